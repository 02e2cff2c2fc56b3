"""Signed JSON: the bytes under the signature come out as sent, and one text has one meaning or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tee.certificates import parse_certificate
from tee.pem import split_pem_chain
from tee.signatures import EcKey, verify_p256
from tee.strict_json import (
    DEPTH_MAX,
    DOCUMENT_BYTES_MAX,
    JsonError,
    cut_signed_object,
    parse_json,
    read_hex,
    read_integer,
    read_list,
    read_object,
    read_text,
    read_time,
)
from tests.support.vendor_files import REAL_COLLATERAL, read_evidence

SIGNATURE = "0123456789abcdef" * 8
DOCUMENTS = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=10,
    ),
    max_size=5,
)


def write_document(raw: str, signature: str = SIGNATURE) -> bytes:
    return f'{{"tcbInfo":{raw},"signature":"{signature}"}}'.encode()


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_every_document_is_parsed_as_the_library_parses_it(document, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii, indent=indent).encode()
    assume(b"\\ud" not in text)  # surrogates are refused, see below
    assert parse_json(text) == document
    assert cut_signed_object(write_document(text.decode()), "tcbInfo") == (text, bytes.fromhex(SIGNATURE))


@pytest.mark.parametrize(("name", "member"), [("tcb_info", "tcbInfo"), ("qe_identity", "enclaveIdentity")])
def test_what_is_cut_out_of_genuine_documents_is_what_intel_signed(shared_dir: Path, name: str, member: str) -> None:
    raw, signature = cut_signed_object(read_evidence(shared_dir, f"{REAL_COLLATERAL}/{name}.json"), member)
    chain = split_pem_chain(read_evidence(shared_dir, f"{REAL_COLLATERAL}/tcb_signing_chain.pem"), 2)
    key = parse_certificate(chain[0]).key
    assert isinstance(key, EcKey)
    assert verify_p256(key.point, signature, raw)
    assert parse_json(raw)["tcbEvaluationDataNumber"] == 17


def test_white_space_may_stand_between_the_tokens_of_the_envelope() -> None:
    document = f'{{ "tcbInfo"\t:\n{{"a" : 1}}\r,  "signature" : "{SIGNATURE.upper()}" }}'.encode()
    assert cut_signed_object(document, "tcbInfo") == (b'{"a" : 1}', bytes.fromhex(SIGNATURE))


def test_braces_and_quotes_inside_strings_do_not_end_the_object() -> None:
    raw = r'{"a":"}","b":"\"}","c":"\\","d":{"e":"{"}}'
    assert cut_signed_object(write_document(raw), "tcbInfo")[0] == raw.encode()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(write_document("{}") + b"\n", id="line-end-behind"),
        pytest.param(b" " + write_document("{}"), id="space-before"),
        pytest.param(b"\xef\xbb\xbf" + write_document("{}"), id="byte-order-mark"),
        pytest.param(write_document("[]"), id="array"),
        pytest.param(write_document("{"), id="object-without-end"),
        pytest.param(write_document('{"a}'), id="string-without-end"),
        pytest.param(write_document("{}", SIGNATURE[:-2]), id="short-signature"),
        pytest.param(write_document("{}", SIGNATURE + "00"), id="long-signature"),
        pytest.param(write_document("{}", SIGNATURE[:-1] + "g"), id="signature-not-hex"),
        pytest.param(write_document('{},"x":1'), id="third-member"),
        pytest.param(write_document('{},"tcbInfo":{}'), id="two-objects"),
        pytest.param(write_document("{}").replace(b"tcbInfo", b"enclaveIdentity"), id="other-member"),
        pytest.param(write_document("{}").replace(b"tcbInfo", b"tcb\\u0049nfo"), id="escaped-member"),
        pytest.param(f'{{"signature":"{SIGNATURE}","tcbInfo":{{}}}}'.encode(), id="signature-first"),
        pytest.param(write_document('{"a":"' + "a" * DOCUMENT_BYTES_MAX + '"}'), id="too-large"),
    ],
)
def test_another_envelope_is_refused(document: bytes) -> None:
    with pytest.raises(JsonError):
        cut_signed_object(document, "tcbInfo")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name)
        for name, text in {
            "empty": b"",
            "array": b"[]",
            "number": b"1",
            "two-values": b"{}{}",
            "trailing": b"{} x",
            "comment": b"{/**/}",
            "repeated": b'{"a":1,"a":1}',
            "repeated-by-escape": b'{"a":1,"\\u0061":1}',
            "repeated-inside": b'{"a":[{"b":1,"b":2}]}',
            "fraction": b'{"a":1.0}',
            "exponent": b'{"a":1e2}',
            "large-exponent": b'{"a":1E2}',
            "minus-zero": b'{"a":-0}',
            "plus": b'{"a":+1}',
            "leading-zero": b'{"a":01}',
            "hex": b'{"a":0x1}',
            "underscore": b'{"a":1_0}',
            "arabic-digit": '{"a":\u0661}'.encode(),
            "nan": b'{"a":NaN}',
            "infinity": b'{"a":-Infinity}',
            "64-bits": b'{"a":9223372036854775808}',
            "minus-64-bits": b'{"a":-9223372036854775808}',
            "thousands-of-digits": b'{"a":' + b"9" * 5000 + b"}",
            "word": b'{"a":truth}',
            "capital-word": b'{"a":True}',
            "comma-at-end": b'{"a":1,}',
            "single-quotes": b"{'a':1}",
            "control-character": b'{"a":"\n"}',
            "bad-escape": b'{"a":"\\x41"}',
            "short-escape": b'{"a":"\\u004"}',
            "surrogate": b'{"a":"\\ud800"}',
            "surrogate-pair": b'{"a":"\\ud83d\\ude00"}',
            "not-utf8": b'{"a":"\xff"}',
            "utf8-surrogate": b'{"a":"\xed\xa0\x80"}',
            "overlong": b'{"a":"\xc0\xaf"}',
            "utf16": '{"a":1}'.encode("utf-16"),
            "byte-order-mark": b"\xef\xbb\xbf{}",
            "form-feed": b"{\x0c}",
            "no-break-space": b"{\xc2\xa0}",
            "nul": b"{}\x00",
            "string-without-end": b'{"a',
            "escape-at-end": b'{"a\\',
        }.items()
    ],
)
def test_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(JsonError):
        parse_json(text)


def test_integers_of_63_bits_and_a_sign_are_taken() -> None:
    largest = (1 << 63) - 1
    assert parse_json(f'{{"a":{largest},"b":{-largest},"c":0}}'.encode()) == {"a": largest, "b": -largest, "c": 0}


def test_nesting_and_size_are_bounded_before_the_library_sees_the_text() -> None:
    assert parse_json(b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX)
    for depth in (DEPTH_MAX + 1, 20_000):
        with pytest.raises(JsonError, match="deeper"):
            parse_json(b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}")
    assert parse_json(b"{" + b" " * (DOCUMENT_BYTES_MAX - 2) + b"}") == {}
    with pytest.raises(JsonError, match="allowed"):
        parse_json(b"{" + b" " * (DOCUMENT_BYTES_MAX - 1) + b"}")


def test_the_envelope_holds_objects_as_deep_as_the_parser_takes() -> None:
    deepest = '{"a":' * (DEPTH_MAX - 1) + "{}" + "}" * (DEPTH_MAX - 1)
    assert cut_signed_object(write_document(deepest), "tcbInfo")[0] == deepest.encode()
    assert parse_json(deepest.encode())
    with pytest.raises(JsonError, match="deeper"):
        cut_signed_object(write_document('{"a":' + deepest + "}"), "tcbInfo")


@pytest.mark.timeout(5)  # several times that if each quote were tried anew
@pytest.mark.parametrize("piece", [b'\\"', b'"', b"\\", b'{"', b'["a",', b'"a":"\\u0041'])
def test_text_that_nearly_matches_takes_no_longer(piece: bytes) -> None:
    text = (b'{"' + piece * DOCUMENT_BYTES_MAX)[:DOCUMENT_BYTES_MAX]
    with pytest.raises(JsonError):
        parse_json(text)
    with pytest.raises(JsonError):
        cut_signed_object((b'{"tcbInfo":' + text)[:DOCUMENT_BYTES_MAX], "tcbInfo")


def test_brackets_inside_strings_are_no_nesting() -> None:
    assert parse_json(b'{"a":"' + b"[{" * 1000 + b'"}') == {"a": "[{" * 1000}


@pytest.mark.parametrize(
    ("read", "value"),
    [
        pytest.param(lambda value: read_hex(value, 2), value, id=f"hex-{name}")
        for name, value in {
            "short": "00",
            "long": "000000",
            "space": "00 0",
            "spaces": "00  ",
            "prefix": "0x00",
            "letter": "000g",
            "number": 1234,
            "wide-digits": "\uff10\uff10\uff10\uff10",
            "line-end": "000\n",
        }.items()
    ]
    + [
        pytest.param(lambda value: read_integer(value, 255), value, id=f"integer-{value!r}")
        for value in (-1, 256, True, False, "1", None)
    ]
    + [
        pytest.param(read_time, value, id=f"time-{value!r}")
        for value in (
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00z",
            "2026-01-01t00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.0Z",
            "2026-01-01T00:00:00Z\n",
            "20260101T000000Z",
            "\u0662026-01-01T00:00:00Z",
            1_700_000_000,
            None,
        )
    ]
    + [
        pytest.param(read_object, [], id="array-for-object"),
        pytest.param(lambda value: read_list(value, 2), {}, id="object-for-array"),
        pytest.param(lambda value: read_list(value, 2), [1, 2, 3], id="long-array"),
        pytest.param(lambda value: read_text(value, 2), "abc", id="long-text"),
        pytest.param(lambda value: read_text(value, 2), 1, id="number-for-text"),
    ],
)
def test_a_value_of_another_kind_or_range_is_refused(read, value) -> None:
    with pytest.raises(JsonError):
        read(value)


def test_values_are_read_as_what_they_are() -> None:
    assert read_hex("00aAfF", 3) == b"\x00\xaa\xff"
    assert read_hex("", 0) == b""
    assert (read_integer(0, 0), read_integer(255, 255)) == (0, 255)
    assert read_time("2026-11-23T10:20:30Z") == 1_795_429_230
    assert read_object({"a": 1}) == {"a": 1}
    assert read_list([1, 2], 2) == [1, 2]
    assert read_text("ab", 2) == "ab"
