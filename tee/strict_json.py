"""Intel's signed JSON: the bytes that the signature covers, cut out as sent, and a parser that takes one meaning only.

Accepted is JSON in UTF-8 with objects, arrays, strings, integers of 64 bits, true, false and null; refused are repeated
members, fractions and exponents, negative zero, escapes of surrogates, deep nesting and everything behind the value. The text
is checked before the library's parser sees it, because what that takes depends on how it was built. Attestation
specification, section 2.3.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from tee.civil_time import seconds_since_1970

DOCUMENT_BYTES_MAX: Final = 64 * 1024
"""Longest document; Intel's longest has 6.7 KiB."""
DEPTH_MAX: Final = 32
"""Deepest nesting of objects and arrays. Source: limit of Intel's library since June 2026."""
INTEGER_MAX: Final = (1 << 63) - 1
_INTEGER_CHARACTERS_MAX: Final = 20
"""A sign and the 19 digits of the largest integer."""

# Possessive quantifiers keep the time linear in text that nearly matches.
_STRING: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}))*+"')
_STRINGS_AND_TOKENS: Final = re.compile(rb"(?:[ \t\r\n{}\[\]:,a-z0-9-]++|" + _STRING.pattern + rb")*+")
_NOT_BRACKETS: Final = bytes(octet for octet in range(256) if octet not in b"{}[]")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})*", re.ASCII)
_TIME: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z", re.ASCII)


def _compile_object() -> re.Pattern[bytes]:
    """Return the pattern of an object by strings and braces alone, nested as deep as is allowed; it reads each byte once."""
    pattern = rb"(?!)"
    for _ in range(DEPTH_MAX):
        pattern = rb'\{(?:[^"{}]++|' + _STRING.pattern + rb"|" + pattern + rb")*+\}"
    return re.compile(pattern)


_OBJECT: Final = _compile_object()
_ENVELOPE_END: Final = re.compile(
    rb'[ \t\r\n]*+,[ \t\r\n]*+"signature"[ \t\r\n]*+:[ \t\r\n]*+"([0-9A-Fa-f]{128})"[ \t\r\n]*+\}'
)


class JsonError(ValueError):
    """The text is not the JSON that a reader expects."""


def cut_signed_object(document: bytes, member: str) -> tuple[bytes, bytes]:
    """Cut the object of one member out of `{member: {...}, "signature": 128 hex digits}`, without parsing it.

    White space may stand between tokens and nowhere else; at most 64 KiB, objects nested at most 32 deep.

    Returns:
        The object's bytes as they stand, which the signature covers, and the signature: r, s, 32 bytes each.

    Raises:
        JsonError: another envelope.
    """
    if len(document) > DOCUMENT_BYTES_MAX:
        raise JsonError(f"{len(document)} bytes where {DOCUMENT_BYTES_MAX} are allowed")
    start = re.match(rb'\{[ \t\r\n]*+"' + re.escape(member.encode()) + rb'"[ \t\r\n]*+:[ \t\r\n]*+(?=\{)', document)
    if start is None:
        raise JsonError(f"the document does not begin with an object {member}")
    signed = _OBJECT.match(document, start.end())
    if signed is None:
        raise JsonError(f"an object or a string does not end, or objects are nested deeper than {DEPTH_MAX}")
    signature = _ENVELOPE_END.fullmatch(document, signed.end())
    if signature is None:
        raise JsonError("the document does not end with a signature of 128 hex digits")
    return signed[0], bytes.fromhex(signature[1].decode("ascii"))


def parse_json(raw: bytes) -> dict[str, object]:
    """Parse an object of at most 64 KiB, nested at most 32 deep.

    Values are dict, list, str, int, bool and None.

    Raises:
        JsonError: another form of JSON, or none.
    """
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise JsonError(f"{len(raw)} bytes where {DOCUMENT_BYTES_MAX} are allowed")
    _check_text(raw)
    try:
        parsed: object = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_build_object,
            parse_int=_parse_integer,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError("the text is not JSON in UTF-8") from error
    if type(parsed) is not dict:
        raise JsonError("the text is not an object")
    return parsed


def _check_text(raw: bytes) -> None:
    """Check everything on which builds of the library's parser might differ: strings, characters outside, depth."""
    if _STRINGS_AND_TOKENS.fullmatch(raw) is None:
        raise JsonError("a string has a wrong form, or a character stands outside of strings that has no place there")
    outside = _STRING.sub(b"", raw)
    depth = 0
    for bracket in outside.translate(None, delete=_NOT_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        if depth > DEPTH_MAX:
            raise JsonError(f"nested deeper than {DEPTH_MAX}")


def _build_object(members: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object, no member of which repeats."""
    built = dict(members)
    if len(built) != len(members):
        raise JsonError("a member repeats")
    return built


def _parse_integer(digits: str) -> int:
    """Parse an integer between -2^63 + 1 and 2^63 - 1."""
    if len(digits) > _INTEGER_CHARACTERS_MAX or digits == "-0":
        raise JsonError("an integer is too long, or minus zero")
    number = int(digits)
    if abs(number) > INTEGER_MAX:
        raise JsonError("an integer has more than 63 bits")
    return number


def _refuse_number(text: str) -> NoReturn:
    """Refuse a fraction, an exponent or a word for no number."""
    raise JsonError(f"a number is not an integer: {text[:20]}")


def read_object(value: object) -> dict[str, Any]:
    """Return a value that is an object; its members are read by these readers in turn."""
    if type(value) is not dict:
        raise JsonError("not an object")
    return value


def read_list(value: object, entries_max: int) -> list[Any]:
    """Return a value that is an array of at most so many entries; these are read by these readers in turn."""
    if type(value) is not list or len(value) > entries_max:
        raise JsonError(f"not an array of at most {entries_max} entries")
    return value


def read_text(value: object, characters_max: int) -> str:
    """Return a value that is a string of at most so many characters."""
    if type(value) is not str or len(value) > characters_max:
        raise JsonError(f"not a string of at most {characters_max} characters")
    return value


def read_integer(value: object, maximum: int) -> int:
    """Return a value that is an integer from 0 to `maximum`; true and false are none."""
    if type(value) is not int or not 0 <= value <= maximum:
        raise JsonError(f"not an integer from 0 to {maximum}")
    return value


def read_hex(value: object, size: int) -> bytes:
    """Return the bytes of a string of exactly `2 * size` hex digits, of either case."""
    if type(value) is not str or len(value) != 2 * size or _HEX.fullmatch(value) is None:
        raise JsonError(f"not {size} bytes in hex")
    return bytes.fromhex(value)


def read_time(value: object) -> int:
    """Return the seconds since 1970 of a string `YYYY-MM-DDTHH:MM:SSZ`."""
    match = _TIME.fullmatch(value) if type(value) is str else None
    if match is None:
        raise JsonError("not a time of the form YYYY-MM-DDTHH:MM:SSZ")
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return seconds_since_1970(year, month, day, hour, minute, second)
    except ValueError as error:
        raise JsonError(str(error)) from error
