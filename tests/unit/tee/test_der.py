"""The strict reader of DER: one value has one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tee import der_writer as w
from tee.der import DEPTH_MAX, NULL, OCTET_STRING, SEQUENCE, DerError, DerReader


def read(method: str, encoded: bytes):
    reader = DerReader(encoded)
    value = getattr(reader, method)()
    reader.finish()
    return value


@given(st.integers())
def test_integers_come_back_as_written(number: int) -> None:
    assert read("read_integer", w.write_integer(number)) == number


@given(st.binary(max_size=70_000))
def test_octets_of_every_length_come_back_as_written(content: bytes) -> None:
    assert read("read_octets", w.write_octets(content)) == content


@given(st.integers(0, 2**32 - 1))
def test_named_bits_come_back_as_written(bits: int) -> None:
    assert read("read_named_bits", w.write_named_bits(bits)) == bits


@given(st.integers(0, 253_402_300_799))
def test_times_come_back_as_written(time_s: int) -> None:
    assert read("read_time", w.write_time(time_s)) == time_s


@given(st.integers(0, 2), st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_object_identifiers_come_back_as_written(root: int, arcs: list[int]) -> None:
    arcs[0] = arcs[0] if root == 2 else arcs[0] % 40
    dotted = ".".join(map(str, (root, *arcs)))
    encoded = w.write_oid(dotted)
    if len(encoded) <= 2 + 32:
        assert read("read_oid", encoded) == dotted


@pytest.mark.parametrize(
    ("method", "encoded"),
    [
        pytest.param("read_octets", "", id="nothing"),
        pytest.param("read_octets", "04", id="tag-alone"),
        pytest.param("read_octets", "0402aa", id="content-cut-off"),
        pytest.param("read_octets", "0480aa0000", id="indefinite-length"),
        pytest.param("read_octets", "0481", id="length-cut-off"),
        pytest.param("read_octets", "048101aa", id="long-form-of-a-short-length"),
        pytest.param("read_octets", "04820080" + "aa" * 128, id="length-with-a-leading-zero"),
        pytest.param("read_octets", "048401000000", id="length-of-four-octets"),
        pytest.param("read_octets", "04ff", id="reserved-length"),
        pytest.param("read_octets", "0401aabb", id="bytes-left-over"),
        pytest.param("read_octets", "0500", id="other-tag"),
        pytest.param("read_octets", "2403040100", id="constructed-string"),
        pytest.param("read_element", "1f0100", id="tag-of-several-bytes"),
        pytest.param("read_integer", "0200", id="integer-empty"),
        pytest.param("read_integer", "02020001", id="integer-padded"),
        pytest.param("read_integer", "0202ff80", id="negative-integer-padded"),
        pytest.param("read_unsigned", "0201ff", id="negative"),
        pytest.param("read_boolean", "010101", id="boolean-of-ber"),
        pytest.param("read_boolean", "0102ffff", id="boolean-of-two-bytes"),
        pytest.param("read_boolean", "0100", id="boolean-empty"),
        pytest.param("read_null", "050100", id="null-with-content"),
        pytest.param("read_bit_string", "0300", id="bit-string-empty"),
        pytest.param("read_bit_string", "030201aa", id="unused-bit-in-a-key"),
        pytest.param("read_named_bits", "0300", id="named-bits-empty"),
        pytest.param("read_named_bits", "030101", id="no-names-but-unused-bits"),
        pytest.param("read_named_bits", "03020880", id="eight-unused-bits"),
        pytest.param("read_named_bits", "03020581", id="unused-bit-set"),
        pytest.param("read_named_bits", "0306000000000001", id="too-many-names"),
        pytest.param("read_oid", "0600", id="oid-empty"),
        pytest.param("read_oid", "06022a86", id="oid-cut-off"),
        pytest.param("read_oid", "06032a8001", id="oid-padded"),
        pytest.param("read_oid", "0621" + "2a" * 33, id="oid-too-long"),
        pytest.param("read_time", "0500", id="no-time"),
        pytest.param("read_time", "170b" + b"2601010000Z".hex(), id="time-without-seconds"),
        pytest.param("read_time", "1711" + b"260101000000+0100".hex(), id="time-with-zone"),
        pytest.param("read_time", "170d" + b"260101000000z".hex(), id="time-in-small-zulu"),
        pytest.param("read_time", "170d" + b"26010100000 Z".hex(), id="time-with-space"),
        pytest.param("read_time", "170d" + b"+60101000000Z".hex(), id="time-with-sign"),
        pytest.param("read_time", "170d" + b"260230000000Z".hex(), id="thirtieth-of-february"),
        pytest.param("read_time", "170d" + b"690101000000Z".hex(), id="before-1970"),
        pytest.param("read_time", "1812" + b"20260101000000.00Z".hex(), id="time-with-fraction"),
        pytest.param("read_time", "180d" + b"260101000000Z".hex(), id="two-digits-under-the-long-tag"),
    ],
)
def test_another_form_is_refused(method: str, encoded: str) -> None:
    with pytest.raises(DerError):
        read(method, bytes.fromhex(encoded))


def test_zeros_behind_the_last_named_bit_are_accepted_because_amd_has_them() -> None:
    assert read("read_named_bits", bytes.fromhex("03020004")) == 1 << 5


def test_century_of_two_digits_turns_at_fifty() -> None:
    assert read("read_time", b"\x17\x0d491231235959Z") == 2_524_607_999
    assert read("read_time", b"\x17\x0d991231235959Z") == 946_684_799


def test_end_of_time_of_nvidia_is_a_plain_number() -> None:
    assert read("read_time", b"\x18\x0f99991231235959Z") == 253_402_300_799


def test_elements_are_read_one_after_the_other_inside_their_parent() -> None:
    outside = DerReader(w.write_sequence(w.write_integer(1), w.write_octets(b"ab")) + b"\x05\x00")
    inside = outside.enter(SEQUENCE)
    assert (inside.peek(), inside.is_at_end) == (0x02, False)
    assert inside.read_integer() == 1
    assert inside.read_element() == (OCTET_STRING, b"ab", b"\x04\x02ab")
    assert (inside.peek(), inside.is_at_end) == (None, True)
    inside.finish()
    assert outside.read_whole(NULL) == b"\x05\x00"
    with pytest.raises(DerError):
        outside.read_null()


def test_an_element_may_not_reach_over_the_end_of_its_parent() -> None:
    inside = DerReader(bytes.fromhex("3003040200aabb")).enter(SEQUENCE)
    with pytest.raises(DerError, match="over the end"):
        inside.read_octets()


def test_nesting_ends_at_its_bound() -> None:
    encoded = b""
    for _ in range(DEPTH_MAX + 1):
        encoded = w.write_sequence(encoded)
    reader = DerReader(encoded)
    for _ in range(DEPTH_MAX):
        reader = reader.enter(SEQUENCE)
    with pytest.raises(DerError, match="nested"):
        reader.enter(SEQUENCE)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2), (0, 4)])
def test_a_reader_has_its_ends_inside_the_bytes(start: int, end: int) -> None:
    with pytest.raises(DerError, match="ends"):
        DerReader(b"\x05\x00\x00", start, end)
