"""Strict reader of DER: one value has one form, and every other form is refused.

Lengths are definite and minimal, tags have one byte, integers and object identifiers are minimal, booleans are 00 or FF,
bit strings end at a byte unless they are lists of named bits, and nothing may follow what a caller reads to its end.
A reader walks inside its parent's bytes; only contents that are asked for are copied. Attestation specification, section 2.1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tee.civil_time import seconds_since_1970

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
IA5_STRING: Final = 0x16
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

DEPTH_MAX: Final = 16
"""Deepest nesting of entered elements; a certificate needs 8."""
LENGTH_OCTETS_MAX: Final = 3
"""Octets behind the first length octet: elements below 16 MiB, far above every bound of ours."""
OID_BYTES_MAX: Final = 32
"""Longest object identifier, encoded; vendors use at most 11 bytes."""
NAMED_BITS_BYTES_MAX: Final = 4
"""Longest list of named bits; key usage has nine bits."""


class DerError(ValueError):
    """The bytes are not the DER that a reader expects."""


class DerReader:
    """A place between two ends of a byte string, which moves on element by element."""

    __slots__ = ("_data", "_depth", "_end", "_position")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None, depth: int = 0) -> None:
        """Begin at `start` and see nothing from `end` on; `depth` counts the elements that were entered to get here."""
        self._data = data
        self._position = start
        self._end = len(data) if end is None else end
        self._depth = depth
        if not 0 <= start <= self._end <= len(data):
            raise DerError("the ends lie outside the bytes")

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self._position == self._end

    def finish(self) -> None:
        """Raise DerError if bytes are left."""
        if self._position != self._end:
            raise DerError(f"{self._end - self._position} bytes are left over")

    def peek(self) -> int | None:
        """Return the tag of the next element, or None at the end."""
        return self._data[self._position] if self._position < self._end else None

    def _step(self) -> int:
        """Move behind the next element and return where its content begins; its tag is at the old position."""
        data, position, end = self._data, self._position, self._end
        if end - position < 2:
            raise DerError("an element is cut off")
        if data[position] & 0x1F == 0x1F:
            raise DerError("a tag has more than one byte")
        length = data[position + 1]
        start = position + 2
        if length >= 0x80:
            count = length & 0x7F
            if not 1 <= count <= LENGTH_OCTETS_MAX or end - start < count:
                raise DerError("a length is indefinite, too long or cut off")
            length = int.from_bytes(data[start : start + count], "big")
            start += count
            if length < 0x80 or length >> (8 * (count - 1)) == 0:
                raise DerError("a length is not minimal")
        if end - start < length:
            raise DerError("an element reaches over the end")
        self._position = start + length
        return start

    def _step_into(self, tag: int) -> int:
        """Move as `_step` does, over an element with this tag."""
        position = self._position
        if position < self._end and self._data[position] != tag:
            raise DerError(f"tag {self._data[position]:#04x} where {tag:#04x} belongs")
        return self._step()

    def read(self, tag: int) -> bytes:
        """Read one element and return its content."""
        start = self._step_into(tag)
        return self._data[start : self._position]

    def read_element(self) -> tuple[int, bytes, bytes]:
        """Read one element of any kind; return its tag, its content, and the whole of it."""
        position = self._position
        start = self._step()
        return self._data[position], self._data[start : self._position], self._data[position : self._position]

    def read_whole(self, tag: int) -> bytes:
        """Read one element and return it with its head."""
        position = self._position
        self._step_into(tag)
        return self._data[position : self._position]

    def enter(self, tag: int) -> DerReader:
        """Read one element and return a reader of its content."""
        if self._depth == DEPTH_MAX:
            raise DerError(f"nested deeper than {DEPTH_MAX}")
        start = self._step_into(tag)
        return DerReader(self._data, start, self._position, self._depth + 1)

    def read_integer(self, tag: int = INTEGER) -> int:
        """Read an INTEGER, or what is encoded like one under another tag."""
        content = self.read(tag)
        if not content:
            raise DerError("an integer is empty")
        if len(content) > 1 and content[0] in {0x00, 0xFF} and (content[0] ^ content[1]) < 0x80:
            raise DerError("an integer is not minimal")
        return int.from_bytes(content, "big", signed=True)

    def read_unsigned(self, tag: int = INTEGER) -> int:
        """Read an INTEGER that is not negative, or what is encoded like one under another tag."""
        integer = self.read_integer(tag)
        if integer < 0:
            raise DerError("an integer is negative")
        return integer

    def read_boolean(self) -> bool:
        """Read a BOOLEAN, 00 or FF."""
        content = self.read(BOOLEAN)
        if content not in {b"\x00", b"\xff"}:
            raise DerError("a boolean is neither 00 nor FF")
        return content == b"\xff"

    def read_octets(self) -> bytes:
        """Read an OCTET STRING."""
        return self.read(OCTET_STRING)

    def read_bit_string(self) -> bytes:
        """Read a BIT STRING of whole bytes, so the octet that counts unused bits is 0."""
        content = self.read(BIT_STRING)
        if not content or content[0] != 0:
            raise DerError("a bit string does not end at a byte")
        return content[1:]

    def read_named_bits(self) -> int:
        """Read a BIT STRING that lists named bits; name n becomes bit n of the integer, and unused bits are 0.

        Zeros behind the last name are accepted, against DER, because AMD's authorities have them.
        """
        content = self.read(BIT_STRING)
        unused = content[0] if content else 8
        octets = content[1:]
        if len(octets) > NAMED_BITS_BYTES_MAX or unused > (7 if octets else 0):
            raise DerError("a list of named bits has a wrong form")
        bits = int.from_bytes(octets, "big")
        if bits & ((1 << unused) - 1):
            raise DerError("an unused bit is set")
        last = 8 * len(octets) - 1
        return sum(1 << name for name in range(last + 1) if bits >> (last - name) & 1)

    def read_null(self) -> None:
        """Read a NULL."""
        if self.read(NULL):
            raise DerError("a null has content")

    def read_oid(self) -> str:
        """Read an OBJECT IDENTIFIER in dotted form."""
        return _decode_oid(self.read(OBJECT_IDENTIFIER))

    def read_time(self) -> int:
        """Read a UTCTime or GeneralizedTime, in Zulu and with seconds; return seconds since 1970.

        Two-digit years from 50 on belong to the last century. Moments before 1970 are refused.
        """
        tag, content, _whole = self.read_element()
        if tag not in {UTC_TIME, GENERALIZED_TIME}:
            raise DerError(f"tag {tag:#04x} where a time belongs")
        return _decode_time(content, year_digits=2 if tag == UTC_TIME else 4)


@lru_cache(maxsize=256)
def _decode_oid(content: bytes) -> str:
    """Return the dotted form of an encoded object identifier; the same few occur again and again."""
    if not 1 <= len(content) <= OID_BYTES_MAX or content[-1] >= 0x80:
        raise DerError("an object identifier is empty, too long or cut off")
    numbers: list[int] = []
    number = 0
    for octet in content:
        if number == 0 and octet == 0x80:
            raise DerError("an object identifier is not minimal")
        number = number << 7 | octet & 0x7F
        if octet < 0x80:
            numbers.append(number)
            number = 0
    root = min(numbers[0] // 40, 2)
    return ".".join(map(str, (root, numbers[0] - 40 * root, *numbers[1:])))


@lru_cache(maxsize=256)
def _decode_time(content: bytes, *, year_digits: int) -> int:
    """Return the seconds of `YY` or `YYYY` followed by `MMDDHHMMSSZ`."""
    digits = content[:-1]
    # bytes.isdigit knows the ASCII digits alone, so int() below meets nothing else.
    if len(content) != year_digits + 11 or content[-1:] != b"Z" or not digits.isdigit():
        raise DerError("a time has a wrong form")
    year = int(digits[:year_digits])
    if year_digits == 2:
        year += 2000 if year < 50 else 1900
    month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(year_digits, year_digits + 10, 2))
    try:
        return seconds_since_1970(year, month, day, hour, minute, second)
    except ValueError as error:
        raise DerError(str(error)) from error
