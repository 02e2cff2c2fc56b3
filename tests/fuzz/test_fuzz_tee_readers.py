"""Bytes into the readers below all verifiers: a value or the reader's own error comes out, and what is accepted has one form."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tee import der_writer as w
from tee.amd_roots import AMD_GENOA_ARK
from tee.cbor import CborError, decode_cbor
from tee.certificates import is_signed_by, parse_certificate, parse_revocation_list
from tee.der import DerError, DerReader
from tee.pem import PemError, split_pem_chain
from tee.signatures import (
    SignatureAlgorithm,
    load_public_key,
    verify_certificate_signature,
    verify_p256,
    verify_p384,
)
from tee.strict_json import JsonError, cut_signed_object, parse_json, read_hex, read_integer, read_time
from tests.support.certificate_forms import (
    KEY,
    P384_KEY,
    read_point,
    write_certificate,
    write_entry,
    write_list,
    write_spki,
)
from tests.support.vendor_files import REAL_QUOTE, REAL_VCEK, find_roots, read_evidence

FUZZ = settings(max_examples=300, deadline=None)
FILES = settings(FUZZ, suppress_health_check=[HealthCheck.function_scoped_fixture])
READS = [
    DerReader.read_integer,
    DerReader.read_unsigned,
    DerReader.read_boolean,
    DerReader.read_octets,
    DerReader.read_bit_string,
    DerReader.read_named_bits,
    DerReader.read_null,
    DerReader.read_oid,
    DerReader.read_time,
    DerReader.read_element,
]
CERTIFICATE, LIST = write_certificate(), write_list(write_entry(1), write_entry(2))
RSA_SPKI = parse_certificate(AMD_GENOA_ARK).spki
KEYS = [load_public_key(spki) for spki in (write_spki(KEY), write_spki(P384_KEY), RSA_SPKI)]
ELEMENTS = st.recursive(
    st.builds(w.write_element, st.sampled_from([1, 2, 3, 4, 5, 6, 0x0C, 0x17, 0x18, 0x80]), st.binary(max_size=20)),
    lambda inner: st.builds(
        lambda tag, parts: w.write_element(tag, *parts),
        st.sampled_from([0x30, 0x31, 0xA0, 0xA3]),
        st.lists(inner, max_size=5),
    ),
    max_leaves=20,
)
JSON_PIECES = st.lists(
    st.sampled_from(
        [
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b'"a"',
            b'"',
            b"\\",
            b"1",
            b"-0",
            b"1.5",
            b"e",
            b"NaN",
            b"true",
            b" ",
            b"\xff",
        ]
        + [b'"tcbInfo"', b'"signature"', b'"' + b"ab" * 64 + b'"', b'"\\ud800"', b'"\\u0041"', b"9" * 30]
    ),
    max_size=30,
).map(b"".join)


@st.composite
def spoilt(draw: st.DrawFn, genuine: bytes) -> bytes:
    """Change, cut out or put in a few bytes of something genuine."""
    octets = bytearray(genuine)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(octets)))
        octets[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(octets)


def check_certificate(der: bytes) -> None:
    """Parse what may be a certificate; if it is one, then nothing of it can be missing."""
    with suppress(DerError):
        certificate = parse_certificate(der)
        assert certificate.der == der
        assert der.count(certificate.tbs) == 1
        assert certificate.not_before_s >= 0
        assert 0 <= certificate.serial < 1 << 160
        assert is_signed_by(certificate, certificate) in {True, False}


@FUZZ
@given(st.binary(max_size=300) | ELEMENTS, st.lists(st.sampled_from(READS), max_size=6))
def test_any_bytes_into_the_der_reader(encoded: bytes, reads) -> None:
    with suppress(DerError):
        reader = DerReader(encoded)
        while (tag := reader.peek()) is not None and tag & 0x20:
            reader = reader.enter(tag)
        for read in reads:
            read(reader)
        reader.finish()


@FUZZ
@given(st.binary(max_size=300) | ELEMENTS | spoilt(CERTIFICATE) | spoilt(LIST))
def test_any_bytes_as_certificate_or_list(der: bytes) -> None:
    check_certificate(der)
    with suppress(DerError):
        parsed = parse_revocation_list(der)
        assert list(parsed.serials) == sorted(set(parsed.serials))


@FILES
@given(st.data())
def test_spoilt_certificates_of_vendors(shared_dir: Path, data: st.DataObject) -> None:
    files = [read_evidence(shared_dir, REAL_VCEK), *find_roots(shared_dir).values()]
    check_certificate(data.draw(st.sampled_from(files).flatmap(spoilt)))


@FUZZ
@given(st.binary(max_size=600) | spoilt(write_spki(KEY)) | spoilt(RSA_SPKI))
def test_any_bytes_as_a_public_key(spki: bytes) -> None:
    with suppress(DerError):
        load_public_key(spki)


@FUZZ
@given(
    st.sampled_from(KEYS),
    st.sampled_from(SignatureAlgorithm),
    st.binary(max_size=120) | ELEMENTS | st.binary(min_size=512, max_size=512),
    st.binary(max_size=10),
)
def test_any_bytes_as_the_signature_of_a_certificate(
    key, algorithm: SignatureAlgorithm, signature: bytes, tbs: bytes
) -> None:
    assert verify_certificate_signature(key, algorithm, signature, tbs) is False


@FUZZ
@given(
    st.binary(min_size=64, max_size=64) | st.just(read_point(KEY)),
    st.binary(min_size=96, max_size=96) | st.just(read_point(P384_KEY)),
    st.binary(min_size=96, max_size=96) | st.binary(max_size=100),
)
def test_any_bytes_as_point_and_raw_signature(small: bytes, large: bytes, signature: bytes) -> None:
    assert verify_p256(small, signature[:64], b"") is False
    assert verify_p384(large, signature, b"") is False


@FILES
@given(st.data())
def test_spoilt_chains_in_pem(shared_dir: Path, data: st.DataObject) -> None:
    quote = read_evidence(shared_dir, REAL_QUOTE)
    genuine = quote[quote.index(b"-----BEGIN") :]
    chain = data.draw(st.binary(max_size=200) | spoilt(genuine))
    with suppress(PemError):
        assert len(split_pem_chain(chain, 3)) == 3


@FUZZ
@given(
    st.binary(max_size=200) | JSON_PIECES | spoilt(b'{"tcbInfo":{"a":[1,"b",null]},"signature":"' + b"ab" * 64 + b'"}')
)
def test_any_bytes_as_signed_json(text: bytes) -> None:
    with suppress(JsonError):
        raw, signature = cut_signed_object(text, "tcbInfo")
        assert len(signature) == 64
        assert raw in text
    with suppress(JsonError):
        assert all(type(name) is str for name in parse_json(text))


@FUZZ
@given(st.text(max_size=24) | st.integers() | st.none() | st.booleans())
def test_any_value_as_hex_time_or_integer(value: object) -> None:
    with suppress(JsonError):
        assert len(read_hex(value, 4)) == 4
    with suppress(JsonError):
        assert read_time(value) >= 0
    with suppress(JsonError):
        assert 0 <= read_integer(value, 255) <= 255


@FUZZ
@given(st.binary(max_size=200) | spoilt(bytes.fromhex("bf616101616282f6420001ff")))
def test_any_bytes_as_cbor(encoded: bytes) -> None:
    with suppress(CborError):
        decode_cbor(encoded)


@FILES
@given(st.data())
def test_spoilt_documents_of_nitro(shared_dir: Path, data: st.DataObject) -> None:
    genuine = read_evidence(shared_dir, "nitro/2026-prod-indefinite-map/document.cbor")
    with suppress(CborError):
        document = decode_cbor(data.draw(spoilt(genuine)))
        if isinstance(document, list) and len(document) == 4 and isinstance(document[2], bytes):
            decode_cbor(document[2])
