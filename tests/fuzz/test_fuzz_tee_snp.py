"""Bytes into the readers of SEV-SNP evidence and of AMD's lists: only typed refusals come out, and nothing foreign is accepted."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tee.amd_collateral import check_amd_crl
from tee.claims import Verified
from tee.documents import RevokedSerials
from tee.errors import Reason
from tee.roots import Roots
from tee.sev_snp import verify_sev_snp
from tests.support import snp_pki as pki
from tests.support.snp_cases import GENOA, TURIN, VLEK
from tests.support.snp_verdicts import Lists, trust, verdict_of

FUZZ = settings(max_examples=300, deadline=None)
EDITS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 3), st.binary(max_size=8)), min_size=1, max_size=4)


@cache
def roots() -> Roots:
    return Roots(amd=trust(GENOA, VLEK, TURIN))


@cache
def genuine(index: int) -> bytes:
    evidence = (GENOA, TURIN, VLEK)[index]
    return evidence.report.encode() + evidence.vek.encode()


def edit(original: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace a few bytes at each place by others, which may be more or fewer."""
    edited = original
    for place, removed, added in edits:
        start = place % (len(edited) + 1)
        edited = edited[:start] + added + edited[start + removed :]
    return edited


def judge(evidence: bytes) -> Verified | Reason:
    return verdict_of(lambda offered: verify_sev_snp(offered, Lists(), roots(), pki.JUNE_2026), evidence)


@FUZZ
@given(st.binary(max_size=3000))
def test_any_bytes_as_evidence_are_refused(evidence: bytes) -> None:
    assert isinstance(judge(evidence), Reason)


@FUZZ
@given(st.integers(0, 2), EDITS)
def test_edited_evidence_is_refused(index: int, edits: list[tuple[int, int, bytes]]) -> None:
    evidence = edit(genuine(index), edits)
    assert isinstance(judge(evidence), Verified) == (evidence == genuine(index))


@FUZZ
@given(st.binary(max_size=2000))
def test_any_bytes_behind_a_genuine_report_are_refused(certificate: bytes) -> None:
    assert judge(genuine(0)[:1184] + certificate) in {Reason.CERT_DER, Reason.CERT_KEY, Reason.VEK_BAD_ISSUER}


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["version", "policy", "key_info", "vmpl", "platform_info", "launch_mitigations"]),
        st.one_of(st.integers(0, 8), st.integers(0, (1 << 32) - 1)),
    ),
    st.binary(min_size=64, max_size=64),
    st.tuples(*[st.binary(min_size=8, max_size=8)] * 3),
)
def test_report_signed_over_any_fields_is_answered(numbers: dict[str, int], chip_id: bytes, words: tuple) -> None:
    """Whatever the firmware signs, the verifier answers with claims or with a reason."""
    committed, current, launch = words
    tcbs = {"committed_tcb": committed, "current_tcb": current, "launch_tcb": launch}
    report = pki.report("Genoa").changed(**numbers, chip_id=chip_id, **tcbs)
    assert isinstance(judge(report.encode() + GENOA.vek.encode()), Verified | Reason)


@FUZZ
@given(EDITS)
def test_edited_revocation_list_is_refused(edits: list[tuple[int, int, bytes]]) -> None:
    assert GENOA.crl is not None
    original = GENOA.crl.encode()
    body = edit(original, edits)
    verdict = verdict_of(lambda offered: check_amd_crl(offered, (GENOA.ark.encode(),), pki.JUNE_2026), body)
    if body == original:
        assert isinstance(verdict, RevokedSerials)
    else:
        assert verdict in {Reason.PARSE, Reason.CRL_SIGNATURE}
