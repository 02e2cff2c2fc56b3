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
    value, position = _read_value(data, 0, 0)
    if position != len(data):
        raise CborError(f"{len(data) - position} bytes are left over")
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


def _read_value(data: bytes, position: int, depth: int) -> tuple[CborValue, int]:
    """Read a value inside `depth` arrays and maps; return it and where it ends."""
    if data[position : position + 1] == bytes((_NULL,)):
        return None, position + 1
    major, argument, start = read_head(data, position)
    match major, argument:
        case (4, count):
            return _read_array(data, start, count, depth)
        case (5, count):
            return _read_map(data, start, count, depth)
        case (0, int(number)):
            return number, start
        case (1, int(number)):
            return -1 - number, start
        case (2, _):
            return read_string(data, position, BYTES)
        case _:
            text, end = read_string(data, position, TEXT)
            return _decode_text(text), end


def _is_end(data: bytes, position: int, done: int, count: int | None, depth: int) -> bool:
    """Tell whether an array or map ends here after some entries; refuse what is too deep or too long."""
    if depth == DEPTH_MAX:
        raise CborError(f"nested deeper than {DEPTH_MAX}")
    is_end = data[position : position + 1] == bytes((_BREAK,)) if count is None else done == count
    if not is_end and (done == ENTRIES_MAX or (count is not None and count > ENTRIES_MAX)):
        raise CborError(f"more than {ENTRIES_MAX} entries")
    return is_end


def _read_array(data: bytes, position: int, count: int | None, depth: int) -> tuple[CborValue, int]:
    """Read the entries of an array."""
    entries: list[CborValue] = []
    while not _is_end(data, position, len(entries), count, depth):
        entry, position = _read_value(data, position, depth + 1)
        entries.append(entry)
    return entries, position + (count is None)


def _read_map(data: bytes, position: int, count: int | None, depth: int) -> tuple[CborValue, int]:
    """Read the entries of a map, no key of which repeats."""
    entries: dict[int | bytes | str, CborValue] = {}
    while not _is_end(data, position, len(entries), count, depth):
        key, position = _read_value(data, position, depth + 1)
        if key is None or isinstance(key, list | dict) or key in entries:
            raise CborError("a key repeats, or is neither integer nor string")
        entries[key], position = _read_value(data, position, depth + 1)
    return entries, position + (count is None)


def _decode_text(text: bytes) -> str:
    """Decode a text."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CborError("a text is not UTF-8") from error
