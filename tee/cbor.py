"""Strict reader of the CBOR that Nitro documents are made of: integers, bytes, text, arrays, maps and null, nothing else.

Heads are minimal, strings come in one piece, arrays and maps may be of indefinite length, no key repeats. Tags, floats,
booleans, undefined and everything behind the value are refused. Attestation specification, section 2.4; RFC 8949.
"""

from __future__ import annotations

from typing import Final

DEPTH_MAX: Final = 8
"""Deepest nesting of arrays and maps; documents need 2."""
ENTRIES_MAX: Final = 64
"""Most entries of one array or map; documents need 32."""
VALUES_MAX: Final = 256
"""Most values of a document, keys and entries of all depths together; documents need 95. Anybody can send 16 KiB of the smallest
values, which nobody signed, so reading them must not cost more than the signatures that follow."""
DATA_BYTES_MAX: Final = 16 * 1024

UNSIGNED: Final = 0
NEGATIVE: Final = 1
BYTES: Final = 2
TEXT: Final = 3
ARRAY: Final = 4
MAP: Final = 5

_BREAK: Final = 0xFF
_NULL: Final = 0xF6

CborValue = int | bytes | str | list["CborValue"] | dict["int | bytes | str", "CborValue"] | None
"""Integers reach from -2^64 to 2^64 - 1. Maps keep the order of the document."""


class CborError(ValueError):
    """The bytes are not the CBOR that a reader expects."""


def read_head(data: bytes, position: int) -> tuple[int, int | None, int]:
    """Read the head at a position: its major type, its argument (None for indefinite length), and where it ends.

    Raises:
        CborError: cut off, not minimal, reserved, or a major type above 5.
    """
    if not 0 <= position < len(data):
        raise CborError("a head is cut off")
    major, short = divmod(data[position], 32)
    position += 1
    if major > MAP:
        raise CborError("a tag, float or simple value")
    if short < 24:
        return major, short, position
    if short == 31 and major in {ARRAY, MAP}:
        return major, None, position
    if short > 27:
        raise CborError("a head is reserved, or a string comes in pieces")
    size = 1 << (short - 24)
    if len(data) - position < size:
        raise CborError("a head is cut off")
    argument = int.from_bytes(data[position : position + size], "big")
    if argument < (24 if size == 1 else 1 << (4 * size)):
        raise CborError("a head is not minimal")
    return major, argument, position + size


def decode_cbor(data: bytes) -> CborValue:
    """Decode one value of at most 16 KiB, behind which nothing is left.

    Raises:
        CborError: another form, depth or number of entries.
    """
    if len(data) > DATA_BYTES_MAX:
        raise CborError(f"{len(data)} bytes where {DATA_BYTES_MAX} are allowed")
    reader = _Reader(data)
    value = reader.read_value(0)
    reader.finish()
    return value


def read_string(data: bytes, position: int, major: int) -> tuple[bytes, int]:
    """Read a byte string or the bytes of a text at a position; return them, and where they end.

    Raises:
        CborError: another major type, or cut off.
    """
    seen, length, position = read_head(data, position)
    if seen != major or length is None or len(data) - position < length:
        raise CborError("a string is cut off, or something else stands in its place")
    return data[position : position + length], position + length


class _Reader:
    """A place in a document, which moves on value by value."""

    __slots__ = ("_data", "_position", "_values_left")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._values_left = VALUES_MAX

    def finish(self) -> None:
        """Refuse bytes behind the value."""
        if self._position != len(self._data):
            raise CborError(f"{len(self._data) - self._position} bytes are left over")

    def read_value(self, depth: int) -> CborValue:
        """Read a value inside `depth` arrays and maps."""
        if self._values_left == 0:
            raise CborError(f"more than {VALUES_MAX} values")
        self._values_left -= 1
        if self._has(_NULL):
            return None
        start = self._position
        major, argument, self._position = read_head(self._data, start)
        match major, argument:
            case (4, count):
                return self._read_array(count, depth)
            case (5, count):
                return self._read_map(count, depth)
            case (0, int(number)):
                return number
            case (1, int(number)):
                return -1 - number
            case (2, _):
                string, self._position = read_string(self._data, start, BYTES)
                return string
            case _:
                text, self._position = read_string(self._data, start, TEXT)
                return _decode_text(text)

    def _has(self, octet: int) -> bool:
        """Move over this byte if it comes next, and tell whether it did."""
        has_octet = self._data[self._position : self._position + 1] == bytes((octet,))
        self._position += has_octet
        return has_octet

    def _is_end(self, done: int, count: int | None, depth: int) -> bool:
        """Tell whether an array or map ends here after some entries; refuse what is too deep or too long."""
        if depth == DEPTH_MAX:
            raise CborError(f"nested deeper than {DEPTH_MAX}")
        is_end = self._has(_BREAK) if count is None else done == count
        if not is_end and (done == ENTRIES_MAX or (count is not None and count > ENTRIES_MAX)):
            raise CborError(f"more than {ENTRIES_MAX} entries")
        return is_end

    def _read_array(self, count: int | None, depth: int) -> CborValue:
        """Read the entries of an array."""
        entries: list[CborValue] = []
        while not self._is_end(len(entries), count, depth):
            entries.append(self.read_value(depth + 1))
        return entries

    def _read_map(self, count: int | None, depth: int) -> CborValue:
        """Read the entries of a map, no key of which repeats."""
        entries: dict[int | bytes | str, CborValue] = {}
        while not self._is_end(len(entries), count, depth):
            key = self.read_value(depth + 1)
            if key is None or isinstance(key, list | dict) or key in entries:
                raise CborError("a key repeats, or is neither integer nor string")
            entries[key] = self.read_value(depth + 1)
        return entries


def _decode_text(text: bytes) -> str:
    """Decode a text."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CborError("a text is not UTF-8") from error
