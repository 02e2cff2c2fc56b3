"""Strict msgpack for the messages of this package.

# Invariant: `decode` accepts exactly the bytes that `encode` makes, so a message has one byte string. The msgspec
decoder alone also takes longer integer and length forms.
"""

from typing import TypeVar

import msgspec

from p2p.errors import PeerViolation, ViolationReason

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()


def encode(message: object) -> bytes:
    """Encode a message struct to its only byte string."""
    return _encoder.encode(message)


def decode(decoder: "msgspec.msgpack.Decoder[T]", payload: bytes) -> T:
    """Decode one message and check that it is canonical.

    Raises:
        PeerViolation: MESSAGE_MALFORMED, MESSAGE_NOT_CANONICAL.
    """
    try:
        message = decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, OverflowError, UnicodeDecodeError) as error:
        raise PeerViolation(ViolationReason.MESSAGE_MALFORMED, str(error)[:80]) from error
    if _encoder.encode(message) != payload:
        raise PeerViolation(ViolationReason.MESSAGE_NOT_CANONICAL, len(payload))
    return message
