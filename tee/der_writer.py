"""DER, written: the few forms that certificates, revocation lists and vendor extensions use.

Each function returns one whole element. It writes what it is given and judges nothing, so that tests can make false documents too;
lengths are always minimal. The strict reader is `tee/der.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
UTF8_STRING: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

UTC_TIME_YEARS: Final = range(1950, 2050)
"""Years that X.509 writes with two digits; all others take four."""


def write_element(tag: int, *contents: bytes) -> bytes:
    """Return one element with a one-byte tag around the joined contents."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def write_sequence(*elements: bytes) -> bytes:
    """Return a SEQUENCE of these elements in this order."""
    return write_element(SEQUENCE, *elements)


def write_set(*elements: bytes) -> bytes:
    """Return a SET of these elements; the caller orders them."""
    return write_element(SET, *elements)


def write_context(number: int, *contents: bytes, is_constructed: bool = True) -> bytes:
    """Return an element with a context tag of 0 to 30."""
    return write_element(0x80 | (0x20 if is_constructed else 0) | number, *contents)


def write_integer(number: int, tag: int = INTEGER) -> bytes:
    """Return a minimal INTEGER (or ENUMERATED) of any sign and size."""
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return write_element(tag, number.to_bytes(size, "big", signed=True))


def write_boolean(is_true: bool) -> bytes:
    """Return a BOOLEAN."""
    return write_element(BOOLEAN, b"\xff" if is_true else b"\x00")


def write_octets(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return write_element(OCTET_STRING, content)


def write_bits(content: bytes, unused_count: int = 0) -> bytes:
    """Return a BIT STRING whose last byte has this many unused low bits."""
    return write_element(BIT_STRING, bytes((unused_count,)), content)


def write_named_bits(bits: int) -> bytes:
    """Return a BIT STRING of named bits as DER wants it: bit 0 first, without zeros at the end."""
    count = bits.bit_length()
    size = (count + 7) // 8
    mirrored = sum(1 << (size * 8 - 1 - index) for index in range(count) if bits >> index & 1)
    return write_bits(mirrored.to_bytes(size, "big"), size * 8 - count)


def write_oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return write_element(OBJECT_IDENTIFIER, *(_arc(arc) for arc in (first * 40 + second, *rest)))


def _arc(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))


def write_text(text: str) -> bytes:
    """Return a UTF8String."""
    return write_element(UTF8_STRING, text.encode())


def write_time(time_s: int) -> bytes:
    """Return seconds since 1970 as UTCTime, or as GeneralizedTime from the year 2050."""
    moment = datetime.fromtimestamp(time_s, UTC)
    clock = f"{moment.month:02}{moment.day:02}{moment.hour:02}{moment.minute:02}{moment.second:02}Z"
    if moment.year in UTC_TIME_YEARS:
        return write_element(UTC_TIME, f"{moment.year % 100:02}{clock}".encode())
    return write_element(GENERALIZED_TIME, f"{moment.year:04}{clock}".encode())
