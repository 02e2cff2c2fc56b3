"""What the two ends of a connection tell each other about the connection itself.

Control messages travel as frames of channel 255, which no user of the network can send on.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from p2p import codec, wire
from p2p.errors import RefusalReason

CONTROL_CHANNEL = 0xFF
MESSAGE_BYTES_MAX = 64
"""Longest control message; a farewell with the longest reason takes 20."""

PingNumber = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Admit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=0):
    """The responder takes the connection; nothing else may come before it."""


class Close(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The sender closes, because the connection is of no use to it."""

    reason: RefusalReason


class Ping(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Asks for a `Pong` with the same number."""

    number: PingNumber


class Pong(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Answers a `Ping`."""

    number: PingNumber


Control = Admit | Close | Ping | Pong

_decoder: "msgspec.msgpack.Decoder[Control]" = msgspec.msgpack.Decoder(Control)


def encode_control_frame(message: Control) -> bytes:
    """Return the frame of a control message."""
    return wire.encode_frame(CONTROL_CHANNEL, codec.encode(message))


def decode_control(payload: bytes) -> Control:
    """Decode the payload of a control frame.

    Raises:
        PeerViolation: MESSAGE_MALFORMED, MESSAGE_NOT_CANONICAL.
    """
    return codec.decode(_decoder, payload)
