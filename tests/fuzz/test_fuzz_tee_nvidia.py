"""Any bytes into the verifier of NVIDIA reports: an answer or a refusal, and no byte of a good report may change."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from tee.errors import EvidenceRejected
from tee.nvidia import verify_gpu
from tee.spdm import parse_report
from tests.support.nvidia_pki import NONCE, TIME_S, Report, make_block, make_field, make_roots
from tests.support.outcomes import refusal_of

FUZZ = settings(max_examples=300, deadline=None)
GOOD = Report()
REPORT, CHAIN, ROOTS = GOOD.encode(), GOOD.encode_chain(), make_roots(GOOD)


@FUZZ
@given(st.binary(max_size=400))
def test_any_bytes_are_refused(report: bytes) -> None:
    assert refusal_of(lambda: verify_gpu(report, CHAIN, NONCE, ROOTS, TIME_S)) is not None


@FUZZ
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_any_chain_is_refused(chain: list[bytes]) -> None:
    assert refusal_of(lambda: verify_gpu(REPORT, tuple(chain), NONCE, ROOTS, TIME_S)) is not None


@FUZZ
@given(
    st.binary(max_size=200),
    st.integers(0, 255),
    st.one_of(st.none(), st.integers(0, 400)),
    st.binary(max_size=200),
    st.one_of(st.none(), st.integers(0, 400)),
)
def test_any_signed_report_leads_to_claims_or_a_typed_refusal(
    record: bytes, block_count: int, record_length: int | None, opaque: bytes, opaque_length: int | None
) -> None:
    report = Report(
        record=record,
        block_count=block_count,
        record_length=record_length,
        opaque=opaque,
        opaque_length=opaque_length,
    ).encode()
    with suppress(EvidenceRejected):
        verify_gpu(report, CHAIN, NONCE, ROOTS, TIME_S)


@FUZZ
@given(
    st.dictionaries(st.integers(0, 255), st.binary(max_size=60), max_size=8),
    st.dictionaries(st.integers(0, 65_535), st.binary(max_size=60), max_size=8),
)
def test_what_is_well_formed_comes_out_as_it_went_in(blocks: dict[int, bytes], fields: dict[int, bytes]) -> None:
    report = Report(
        record=b"".join(make_block(index, value) for index, value in blocks.items()),
        block_count=len(blocks),
        opaque=b"".join(make_field(kind, content) for kind, content in fields.items()),
    )
    encoded = report.encode()
    parts = parse_report(encoded)
    assert (parts.nonce, parts.measurements, parts.opaque) == (NONCE, blocks, fields)
    assert parts.signed + parts.signature == encoded


@FUZZ
@given(st.integers(0, len(REPORT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(position: int, difference: int) -> None:
    changed = REPORT[:position] + bytes((REPORT[position] ^ difference,)) + REPORT[position + 1 :]
    assert refusal_of(lambda: verify_gpu(changed, CHAIN, NONCE, ROOTS, TIME_S)) is not None
