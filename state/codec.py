"""Canonical bytes: MessagePack in array form, with exactly one encoding for each value.

Everything that is signed, hashed or stored goes through a `Codec`. Decoding alone accepts longer integer forms, so `decode`
encodes the value again and compares (DESIGN section 3). Nesting is bounded by the types: no wire struct is recursive.
"""

from __future__ import annotations

from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from state.errors import Malformed, MalformedReason

INTEGER_MAX: Final = (1 << 63) - 1
"""Largest integer in signed bytes; every field and every sum of money stays within it."""

UInt = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
"""Unsigned integer of the wire, 0 .. 2^63-1."""
Amount = UInt
"""Money in ubocc (10^-6 BOCC)."""
Height = UInt
TimeMs = UInt
"""Milliseconds since 1970-01-01 UTC, as block time."""
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""A SHA-256 digest."""
OptionalHash = Annotated[bytes, Meta(max_length=32)]
"""A digest, or no bytes where there is none; the owner of the field checks that it is one of the two."""
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Address = Annotated[bytes, Meta(min_length=21, max_length=21)]
"""One type byte and 20 bytes of a digest; shown as bech32m (state/address.py)."""


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Base of every wire struct: a frozen array whose field order is the format. Fields are never added, only new structs."""


ValueType = TypeVar("ValueType")

_encoder = msgspec.msgpack.Encoder()


def encode(wire_value: object) -> bytes:
    """Return the canonical bytes of a wire struct, or of a tuple of integers, bytes and wire structs."""
    return _encoder.encode(wire_value)


class Codec(Generic[ValueType]):
    """Decoder for one type with its size limit. Build once at import, use for ever."""

    __slots__ = ("_decoder", "bytes_max")

    def __init__(self, wire_type: type[ValueType], bytes_max: int) -> None:
        """Prepare a decoder for wire_type that refuses more than bytes_max bytes unread."""
        self._decoder = msgspec.msgpack.Decoder(wire_type)
        self.bytes_max = bytes_max

    def encode(self, wire_value: ValueType) -> bytes:
        """Return the canonical bytes of the value."""
        return _encoder.encode(wire_value)

    def decode(self, encoded: bytes) -> ValueType:
        """Return the value whose one canonical encoding these bytes are.

        Raises:
            Malformed: TOO_LARGE, NOT_DECODABLE, NOT_CANONICAL.
        """
        if len(encoded) > self.bytes_max:
            raise Malformed(MalformedReason.TOO_LARGE, len(encoded), self.bytes_max)
        try:
            wire_value = self._decoder.decode(encoded)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            raise Malformed(MalformedReason.NOT_DECODABLE, str(error)) from error
        if _encoder.encode(wire_value) != encoded:
            raise Malformed(MalformedReason.NOT_CANONICAL, len(encoded))
        return wire_value
