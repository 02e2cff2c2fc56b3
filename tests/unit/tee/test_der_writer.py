"""What the writer of DER writes is minimal, and is what others read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tee.der_writer import (
    write_bits,
    write_boolean,
    write_context,
    write_element,
    write_integer,
    write_named_bits,
    write_octets,
    write_oid,
    write_sequence,
    write_set,
    write_text,
    write_time,
)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "020100"),
        (1, "020101"),
        (127, "02017f"),
        (128, "02020080"),
        (255, "020200ff"),
        (256, "02020100"),
        (65_535, "020300ffff"),
        (-1, "0201ff"),
        (-128, "020180"),
        (-129, "0202ff7f"),
        (1 << 159, "02150080" + "00" * 19),
    ],
)
def test_integers_take_the_fewest_bytes(number: int, expected: str) -> None:
    assert write_integer(number).hex() == expected


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100"), (65_536, "0483010000")],
)
def test_lengths_take_the_fewest_bytes(size: int, head: str) -> None:
    assert write_octets(bytes(size)) == bytes.fromhex(head) + bytes(size)


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("2.5.29.15", "0603551d0f"),
        ("1.2.840.10045.4.3.2", "06082a8648ce3d040302"),
        ("1.2.840.113741.1.13.1.2.18", "060b2a864886f84d010d010212"),
    ],
)
def test_identifiers_are_written_in_base_128(dotted: str, expected: str) -> None:
    assert write_oid(dotted).hex() == expected


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0, "030100"), (1, "03020780"), (0b11, "030206c0"), (1 << 5 | 1 << 6, "03020106"), (1 << 8, "0303070080")],
)
def test_named_bits_have_no_zeros_at_the_end(bits: int, expected: str) -> None:
    assert write_named_bits(bits).hex() == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("1950-01-01T00:00:00", b"\x17\x0d500101000000Z"),
        ("2049-12-31T23:59:59", b"\x17\x0d491231235959Z"),
        ("2050-01-01T00:00:00", b"\x18\x0f20500101000000Z"),
        ("1949-12-31T23:59:59", b"\x18\x0f19491231235959Z"),
        ("9999-12-31T23:59:59", b"\x18\x0f99991231235959Z"),
    ],
)
def test_years_from_1950_to_2049_have_two_digits(moment: str, expected: bytes) -> None:
    assert write_time(int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())) == expected


def test_other_forms_are_written_as_the_standard_says() -> None:
    assert write_boolean(is_true=True) == b"\x01\x01\xff"
    assert write_boolean(is_true=False) == b"\x01\x01\x00"
    assert write_bits(b"\xa0", 4) == b"\x03\x02\x04\xa0"
    assert write_text("é") == b"\x0c\x02\xc3\xa9"
    assert write_sequence(b"\x05\x00", b"\x05\x00") == b"\x30\x04\x05\x00\x05\x00"
    assert write_set(b"\x05\x00") == b"\x31\x02\x05\x00"
    assert write_context(3, b"\x05\x00") == b"\xa3\x02\x05\x00"
    assert write_context(0, b"k", is_constructed=False) == b"\x80\x01k"
    assert write_element(0x0A, b"\x01") == b"\x0a\x01\x01"
