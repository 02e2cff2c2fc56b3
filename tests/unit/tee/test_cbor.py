"""The strict reader of CBOR: one value has one form but for the length of arrays and maps, and few values have any."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tee.cbor import (
    BYTES,
    DATA_BYTES_MAX,
    DEPTH_MAX,
    ENTRIES_MAX,
    TEXT,
    VALUES_MAX,
    CborError,
    decode_cbor,
    read_head,
    read_string,
)
from tests.support.vendor_files import read_evidence

KEYS = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=8) | st.text(max_size=8)
VALUES = st.recursive(
    KEYS | st.binary(max_size=300) | st.none(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


def write_head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    power = next(power for power in range(4) if argument < 1 << (8 << power))
    return bytes((major << 5 | 24 + power,)) + argument.to_bytes(1 << power, "big")


def write_value(value, *, is_indefinite: bool) -> bytes:
    def write(inner) -> bytes:
        return write_value(inner, is_indefinite=is_indefinite)

    match value:
        case None:
            return b"\xf6"
        case int():
            return write_head(0, value) if value >= 0 else write_head(1, -1 - value)
        case bytes():
            return write_head(2, len(value)) + value
        case str():
            return write_head(3, len(value.encode())) + value.encode()
        case list():
            body = b"".join(map(write, value))
            return b"\x9f" + body + b"\xff" if is_indefinite else write_head(4, len(value)) + body
        case _:
            body = b"".join(write(key) + write(entry) for key, entry in value.items())
            return b"\xbf" + body + b"\xff" if is_indefinite else write_head(5, len(value)) + body


def nested(value) -> int:
    inside = value if isinstance(value, list) else value.values() if isinstance(value, dict) else None
    return 0 if inside is None else 1 + max(map(nested, inside), default=0)


@given(VALUES, st.booleans())
def test_values_come_back_as_written(value, is_indefinite: bool) -> None:
    encoded = write_value(value, is_indefinite=is_indefinite)
    if nested(value) > DEPTH_MAX:
        with pytest.raises(CborError, match="deeper"):
            decode_cbor(encoded)
    else:
        assert decode_cbor(encoded) == value


@pytest.mark.parametrize("name", ["2022-prod", "2026-prod-indefinite-map"])
def test_genuine_documents_are_read_in_both_lengths(shared_dir: Path, name: str) -> None:
    document = decode_cbor(read_evidence(shared_dir, f"nitro/{name}/document.cbor"))
    assert isinstance(document, list)
    protected, unprotected, payload, signature = document
    assert (protected, unprotected, len(signature)) == (bytes.fromhex("a1013822"), {}, 96)
    assert (payload[0] == 0xBF) == ("indefinite" in name)
    fields = decode_cbor(payload)
    assert isinstance(fields, dict)
    assert fields["digest"] == "SHA384"
    assert sorted(fields["pcrs"]) == list(range(16))


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(encoded, id=name)
        for name, encoded in {
            "empty": "",
            "left-over": "0000",
            "number-in-two": "1817",
            "number-in-three": "1900ff",
            "number-in-five": "1a0000ffff",
            "number-in-nine": "1b00000000ffffffff",
            "number-cut-off": "1901",
            "reserved-28": "1c",
            "reserved-30": "1e",
            "number-without-end": "1f",
            "negative-without-end": "3f",
            "bytes-length-not-minimal": "5800",
            "bytes-cut-off": "4200",
            "bytes-huge": "5bffffffffffffffff",
            "bytes-in-pieces": "5f4100ff",
            "text-in-pieces": "7f6161ff",
            "text-not-utf8": "61ff",
            "text-surrogate": "63eda080",
            "array-cut-off": "8200",
            "array-without-break": "9f00",
            "array-length-not-minimal": "980100",
            "map-without-value": "a100",
            "map-odd": "bf00ff",
            "map-repeats": "a200010002",
            "map-repeats-text": "a2616100616100",
            "map-repeats-without-length": "bf00010002ff",
            "map-key-null": "a1f600",
            "map-key-array": "a18000",
            "map-key-map": "a1a000",
            "tag": "c000",
            "bignum": "c24100",
            "false": "f4",
            "true": "f5",
            "undefined": "f7",
            "null-in-two": "f8f6",
            "half": "f90000",
            "double": "fb0000000000000000",
            "break": "ff",
            "break-in-array": "81ff",
            "break-as-value": "bf00ff",
        }.items()
    ],
)
def test_another_form_is_refused(encoded: str) -> None:
    with pytest.raises(CborError):
        decode_cbor(bytes.fromhex(encoded))


def test_a_key_of_bytes_and_the_same_key_of_text_are_two_keys() -> None:
    assert decode_cbor(bytes.fromhex("a2416100616101")) == {b"a": 0, "a": 1}


@pytest.mark.parametrize("opening", [b"\x81", b"\x9f", b"\xa1\x00", b"\xbf\x00"])
def test_nesting_is_bounded(opening: bytes) -> None:
    closing = b"\xff" if opening[0] in {0x9F, 0xBF} else b""
    assert decode_cbor(opening * DEPTH_MAX + b"\x00" + closing * DEPTH_MAX)
    for depth in (DEPTH_MAX + 1, 5000):
        with pytest.raises(CborError, match="deeper"):
            decode_cbor(opening * depth + b"\x00" + closing * depth)


@pytest.mark.parametrize("is_indefinite", [False, True])
def test_entries_are_bounded(is_indefinite: bool) -> None:
    for full in ([0] * ENTRIES_MAX, dict.fromkeys(range(ENTRIES_MAX), 0)):
        assert decode_cbor(write_value(full, is_indefinite=is_indefinite)) == full
    for over in ([0] * (ENTRIES_MAX + 1), dict.fromkeys(range(ENTRIES_MAX + 1), 0)):
        with pytest.raises(CborError, match="entries"):
            decode_cbor(write_value(over, is_indefinite=is_indefinite))


@pytest.mark.parametrize("is_indefinite", [False, True])
def test_values_of_all_depths_together_are_bounded(is_indefinite: bool) -> None:
    full = [[0] * 63, [None] * 63, [[]] * 63, [""] * 62]
    assert decode_cbor(write_value(full, is_indefinite=is_indefinite)) == full
    assert 1 + len(full) + sum(map(len, full)) == VALUES_MAX
    for over in ([*full, b""], {0: full}):
        with pytest.raises(CborError, match="values"):
            decode_cbor(write_value(over, is_indefinite=is_indefinite))


def test_size_is_bounded() -> None:
    assert decode_cbor(write_value(bytes(DATA_BYTES_MAX - 3), is_indefinite=False)) == bytes(DATA_BYTES_MAX - 3)
    with pytest.raises(CborError, match="allowed"):
        decode_cbor(write_value(bytes(DATA_BYTES_MAX - 2), is_indefinite=False))


def test_heads_and_strings_can_be_read_one_by_one() -> None:
    encoded = b"\x84" + b"\x43abc" + b"\x61d" + b"\x9f"
    assert read_head(encoded, 0) == (4, 4, 1)
    assert read_string(encoded, 1, BYTES) == (b"abc", 5)
    assert read_string(encoded, 5, TEXT) == (b"d", 7)
    assert read_head(encoded, 7) == (4, None, 8)
    for position in (-1, 8):
        with pytest.raises(CborError, match="cut off"):
            read_head(encoded, position)
    with pytest.raises(CborError, match="something else"):
        read_string(encoded, 1, TEXT)
