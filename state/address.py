"""Addresses: one type byte and 20 bytes of a digest, shown as bech32m (BIP-350).

The type byte keeps room for other kinds of keys and makes an account's address differ from a resource's even for equal digests.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from functools import lru_cache, reduce
from operator import xor
from typing import Final

from state.crypto import tag, tagged_hash
from state.errors import Rejected

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHARACTERS: Final = _CHARSET.encode().ljust(256)
_BECH32M: Final = 0x2BC830A3
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_STEPS: Final = tuple(
    reduce(xor, (generator for bit, generator in enumerate(_GENERATOR) if top >> bit & 1), 0) for top in range(32)
)
"""What the five bits that leave the checksum add to it, for each value of theirs: APIs write many addresses."""
_TEXT_MAX: Final = 90
_CHECKSUM_CHARS: Final = 6
_ACCOUNT_TAG: Final = tag("account")
ADDRESS_BYTES: Final = 21
TEXTS_MAX: Final = 8_192
"""Texts of addresses kept, about 200 bytes each."""
_PREFIXES_MAX: Final = 16


class AddressKind(IntEnum):
    """First byte of an address: what it names."""

    ACCOUNT = 0
    """An account, from an Ed25519 public key."""
    RESOURCE = 1
    ORDER = 2
    ENCLAVE = 3


class AddressReason(StrEnum):
    """Why a text is no address."""

    BAD_BECH32M = "bad_bech32m"
    """Wrong characters, mixed case, length or checksum."""
    WRONG_PREFIX = "wrong_prefix"
    """A valid bech32m text for something else."""
    WRONG_KIND = "wrong_kind"
    """The type byte and the prefix do not agree, or the payload has another length."""


class AddressRejected(Rejected):
    """A text that is no address of the expected kind."""


HUMAN_PREFIX: Final = {
    AddressKind.ACCOUNT: "bocc",
    AddressKind.RESOURCE: "boccres",
    AddressKind.ORDER: "boccord",
    AddressKind.ENCLAVE: "boccenc",
}
VALIDATOR_PREFIX: Final = "boccval"
"""A validator is named by its operator's account address under this prefix."""


def account_address(public_key: bytes) -> bytes:
    """Return the 21-byte address of the account that this Ed25519 key controls at first."""
    return bytes((AddressKind.ACCOUNT,)) + tagged_hash(_ACCOUNT_TAG, public_key)[:20]


@lru_cache(maxsize=TEXTS_MAX)
def format_address(address: bytes, prefix: str | None = None) -> str:
    """Return the bech32m text of a 21-byte address; the prefix follows from the type byte unless given.

    Texts made lately are kept, because an answer of an API names many addresses.
    """
    return bech32m_encode(prefix or HUMAN_PREFIX[AddressKind(address[0])], address)


def parse_address(text: str, prefix: str = "bocc", kind: AddressKind = AddressKind.ACCOUNT) -> bytes:
    """Return the 21 bytes of a bech32m address.

    Raises:
        AddressRejected: BAD_BECH32M, WRONG_PREFIX, WRONG_KIND.
    """
    seen_prefix, payload = bech32m_decode(text)
    if seen_prefix != prefix:
        raise AddressRejected(AddressReason.WRONG_PREFIX, seen_prefix, prefix)
    if len(payload) != ADDRESS_BYTES or payload[0] != kind:
        raise AddressRejected(AddressReason.WRONG_KIND, payload.hex(), kind.name.lower())
    return payload


def bech32m_encode(prefix: str, payload: bytes) -> str:
    """Return prefix, separator, payload in 5-bit characters and checksum, in lower case.

    Source: BIP-173 and BIP-350.
    """
    values = _to_five_bits(payload)
    checksum = _polymod([*values, 0, 0, 0, 0, 0, 0], _checksum_of(prefix)) ^ _BECH32M
    values += [(checksum >> 5 * (5 - position)) & 31 for position in range(_CHECKSUM_CHARS)]
    return prefix + "1" + bytes(values).translate(_CHARACTERS).decode()


def bech32m_decode(text: str) -> tuple[str, bytes]:
    """Return prefix and payload of a bech32m text.

    Raises:
        AddressRejected: BAD_BECH32M.
    """
    rejected = AddressRejected(AddressReason.BAD_BECH32M, text[:_TEXT_MAX])
    separator = text.rfind("1")
    has_legal_shape = 1 <= separator <= len(text) - _CHECKSUM_CHARS - 1 and len(text) <= _TEXT_MAX
    is_one_case = text in (text.lower(), text.upper())
    if not (has_legal_shape and is_one_case and all(33 <= ord(char) <= 126 for char in text)):
        raise rejected
    lowered = text.lower()
    prefix, characters = lowered[:separator], lowered[separator + 1 :]
    values = [_CHARSET.find(char) for char in characters]
    if min(values) < 0 or _polymod(values, _checksum_of(prefix)) != _BECH32M:
        raise rejected
    payload = _from_five_bits(values[:-_CHECKSUM_CHARS])
    if payload is None:
        raise rejected
    return prefix, payload


def _polymod(values: list[int], checksum: int) -> int:
    for value in values:
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _STEPS[checksum >> 25]
    return checksum


@lru_cache(maxsize=_PREFIXES_MAX)
def _checksum_of(prefix: str) -> int:
    return _polymod([ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix], 1)


def _to_five_bits(payload: bytes) -> list[int]:
    bit_count = len(payload) * 8
    padding = -bit_count % 5
    number = int.from_bytes(payload, "big") << padding
    return [number >> shift & 31 for shift in range(bit_count + padding - 5, -1, -5)]


def _from_five_bits(values: list[int]) -> bytes | None:
    """Return the bytes, or None if the padding is five bits or more, or not zero."""
    padding = len(values) * 5 % 8
    number = 0
    for value in values:
        number = number << 5 | value
    if padding >= 5 or number & ((1 << padding) - 1):
        return None
    return (number >> padding).to_bytes(len(values) * 5 // 8, "big")
