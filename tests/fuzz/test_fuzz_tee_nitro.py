"""Any bytes into the verifier of Nitro documents: an answer or a refusal, and no byte of a good document may change."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from tee.claims import NitroClaims
from tee.cose import open_sign1
from tee.errors import EvidenceRejected
from tee.nitro import verify_nitro
from tests.support.nitro_pki import (
    PROTECTED,
    TIME_S,
    World,
    encode_cbor,
    frame,
    make_fields,
    make_roots,
    sign_payload,
)
from tests.support.outcomes import refusal_of

FUZZ = settings(max_examples=300, deadline=None)
GOOD = World()
DOCUMENT = GOOD.encode()
ROOTS = make_roots(GOOD)

SCALARS = st.one_of(st.integers(-300, 2**64 - 1), st.binary(max_size=60), st.text(max_size=20), st.none())
ITEMS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.integers(-2, 40), st.text(max_size=8)), inner, max_size=5),
    ),
    max_leaves=12,
)


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(document: bytes) -> None:
    assert refusal_of(lambda: verify_nitro(document, ROOTS, TIME_S)) is not None


@FUZZ
@given(ITEMS, ITEMS, ITEMS, ITEMS)
def test_any_four_items_open_in_one_form_only(
    protected: object, unprotected: object, payload: object, signature: object
) -> None:
    message = b"\x84" + b"".join(map(encode_cbor, (protected, unprotected, payload, signature)))
    with suppress(EvidenceRejected):
        parts = open_sign1(message)
        assert message == frame(payload=encode_cbor(parts.payload), signature=encode_cbor(parts.signature))


@FUZZ
@given(ITEMS)
def test_any_signed_payload_is_refused_in_a_typed_way(payload: object) -> None:
    document = sign_payload(encode_cbor(payload), "nitro leaf")
    assert refusal_of(lambda: verify_nitro(document, ROOTS, TIME_S)) is not None


@FUZZ
@given(st.sampled_from(sorted({*make_fields(), "certificate", "cabundle"})), ITEMS)
def test_any_field_of_a_signed_payload_leads_to_claims_in_bounds(name: str, item: object) -> None:
    document = GOOD.put(**{name: item}).encode()
    with suppress(EvidenceRejected):
        claims = verify_nitro(document, ROOTS, TIME_S).claims
        assert isinstance(claims, NitroClaims)
        assert claims.module_id.isascii()
        assert claims.timestamp_ms <= TIME_S * 1000 + 999
        assert [index for index, _register in claims.pcrs] == sorted(dict(claims.pcrs))


@FUZZ
@given(st.integers(0, len(DOCUMENT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(position: int, difference: int) -> None:
    changed = DOCUMENT[:position] + bytes((DOCUMENT[position] ^ difference,)) + DOCUMENT[position + 1 :]
    assert refusal_of(lambda: verify_nitro(changed, ROOTS, TIME_S)) is not None


@FUZZ
@given(st.integers(0, len(DOCUMENT) - 1))
def test_any_cut_is_refused(length: int) -> None:
    assert refusal_of(lambda: verify_nitro(DOCUMENT[:length], ROOTS, TIME_S)) is not None


def test_the_framing_of_the_good_document_is_the_strict_one() -> None:
    """Changes of its bytes mean something only if the good document has the form that the tests build."""
    assert DOCUMENT.startswith(b"\x84\x44" + PROTECTED + b"\xa0\x59")
