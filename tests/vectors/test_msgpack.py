"""MessagePack: of all encodings of one value, the chain reads exactly one.

The suite lists for each value all its encodings. The types of our wire structs are unsigned integers below 2^63, byte
strings, text and arrays; everything else has no place in signed bytes, in whatever encoding.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from state.codec import Codec, UInt, encode
from state.errors import Malformed

PROFILE = {kind: Codec(kind, 1 << 16) for kind in (UInt, bytes, str, tuple[UInt, ...])}
"""Readers of what wire structs are made of."""


@dataclass(frozen=True)
class Row:
    """One value of the suite with all its encodings."""

    kind: str
    stated: object
    encodings: list[bytes]

    def of_profile(self) -> object:
        """Return the value as our types have it, or None if they have no such value."""
        if self.kind == "binary":
            return bytes.fromhex(str(self.stated).replace("-", ""))
        if self.kind == "string":
            return self.stated
        if self.kind == "array":
            return tuple(self.stated) if all(type(item) is int for item in self.stated) else None
        if self.kind in {"number", "bignum"} and not isinstance(self.stated, float):
            return int(self.stated) if 0 <= int(self.stated) < 1 << 63 else None
        return None


@pytest.fixture(scope="module")
def rows(shared_dir: Path) -> list[Row]:
    suite = json.loads((shared_dir / "vectors/msgpack/msgpack-test-suite.json").read_text(encoding="utf-8"))
    return [
        Row(kind, case[kind], [bytes.fromhex(text.replace("-", "")) for text in case["msgpack"]])
        for group in suite.values()
        for case in group
        for kind in [next(iter(case))]
    ]


def accepted(encodings: list[bytes]) -> list[tuple[bytes, object]]:
    """Return those encodings that a reader of the profile takes, each with its value."""
    found = []
    for encoded, codec in itertools.product(encodings, PROFILE.values()):
        try:
            found.append((encoded, codec.decode(encoded)))
        except Malformed:
            continue
    return found


def test_suite_is_the_one_we_know(rows: list[Row]) -> None:
    assert sum(len(row.encodings) for row in rows) == 233
    assert sum(row.of_profile() is not None for row in rows) == 32


def test_each_value_of_the_profile_has_exactly_one_encoding(rows: list[Row]) -> None:
    for row in rows:
        value = row.of_profile()
        if value is not None:
            assert accepted(row.encodings) == [(encode(value), value)], row


def test_canonical_form_is_the_first_of_the_suite_but_for_the_largest_integer(rows: list[Row]) -> None:
    """For 2^63-1 the suite puts the signed form before the unsigned one, of equal length; we read the unsigned."""
    others = [
        row.stated for row in rows if row.of_profile() is not None and encode(row.of_profile()) != row.encodings[0]
    ]
    assert others == [str((1 << 63) - 1)]


def test_nothing_outside_of_the_profile_is_read(rows: list[Row]) -> None:
    """Not as what it is, and not as a number that a float or a negative integer happens to equal."""
    for row in rows:
        if row.of_profile() is None:
            assert accepted(row.encodings) == [], row
