"""Real, altered and self-made SGX and TDX evidence of the public set: verdict, status, advisories, flags and reason of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec import msgpack

from tee.claims import TdxClaims, Verified
from tee.documents import QeIdentity, RevokedSerials, TcbInfo
from tee.errors import EvidenceRejected
from tee.evidence import verify
from tee.roots import VENDOR_ROOTS
from tee.tcb import evaluate_tcb, get_versions
from tests.support.intel_vectors import (
    INTEL_VECTORS,
    REAL_SGX,
    REAL_TDX,
    REAL_TDX_1_5,
    Sample,
    Verdict,
    find_sample,
    judge,
    load_collateral,
    load_samples,
    verify_sample,
)

OTHER_REASONS = {
    # The index says ROOT: any of the checks that meet a foreign root. The first that we make is that of the root's own list.
    "tdx/synthetic/real-tdx-root-with-test-quote": "ROOT_CRL_ISSUER",
}
"""Where our reason is not the word of the index. No other vector needs the freedom that its note may give."""


def expected_verdict(sample: Sample) -> Verdict:
    other = OTHER_REASONS.get(sample.name)
    return sample.expected if other is None else sample.expected._replace(reason=other)


def tabulate(rows: Iterable[tuple[Sample, Verdict]]) -> str:
    """Return one line per vector: whether we agree, and what we say."""
    return "\n".join(
        f"{'agrees' if seen == expected_verdict(sample) else 'DIFFERS':8}{sample.name:50}"
        + (seen.reason if seen.status is None else " ".join([seen.status.name, *seen.flags]))
        for sample, seen in rows
    )


def count_agreement(rows: Iterable[tuple[Sample, Verdict]]) -> list[str]:
    """Return one line per family and origin: how many there are, and on how many we agree in every respect."""
    totals: Counter[tuple[str, str, str]] = Counter()
    agreeing: Counter[tuple[str, str, str]] = Counter()
    for sample, seen in rows:
        group = (sample.kind.name, sample.origin, "accepted" if sample.expected.status else "refused")
        totals[group] += 1
        agreeing[group] += seen == expected_verdict(sample)
    return [f"{' '.join(group):24}{agreeing[group]:4} of {total:4} agree" for group, total in sorted(totals.items())]


def test_every_vector_has_its_verdict_status_advisories_flags_and_reason(
    shared_dir: Path, record_property: pytest.RecordProperty
) -> None:
    rows = [(sample, judge(sample)) for sample in load_samples(shared_dir)]
    print(tabulate(rows))
    for line in count_agreement(rows):
        record_property("figures", line)
    assert len(rows) == INTEL_VECTORS
    assert [(sample.name, seen) for sample, seen in rows] == [(each.name, expected_verdict(each)) for each, _ in rows]


def test_claims_equal_the_facts_that_the_index_measured(shared_dir: Path) -> None:
    compared = 0
    for sample in load_samples(shared_dir):
        if not sample.facts or sample.expected.status is None:
            continue
        claims = verify_sample(sample).claims
        platform, facts = claims.platform, sample.facts
        seen = {
            "fmspc": platform.fmspc.hex(),
            "ppid": platform.ppid.hex(),
            "pceid": platform.pce_id.hex(),
            "pcesvn": platform.pce_svn,
            "cpusvn_components": list(platform.cpu_svn),
            "sgx_type": platform.sgx_type,
            "pck_serial": platform.pck_serial.hex(),
            "qe_isvsvn": platform.qe_svn,
            "report_data": claims.report_data.hex(),
        }
        if isinstance(claims, TdxClaims):
            seen |= {
                "quote_version": claims.quote_version,
                "body_type": claims.body_type,
                "tee_tcb_svn": claims.tee_tcb_svn.hex(),
                "td_attributes": claims.td_attributes.to_bytes(8, "little").hex(),
                "xfam": claims.xfam.to_bytes(8, "little").hex(),
                "mrtd": claims.mr_td.hex(),
            }
        else:
            seen |= {"mrenclave": claims.mr_enclave.hex(), "mrsigner": claims.mr_signer.hex()}
        known = {name: value for name, value in facts.items() if name in seen}
        assert {name: seen[name] for name in known} == known, sample.name
        assert len(known) >= 9, sample.name
        compared += 1
    assert compared == 20


@pytest.mark.parametrize("name", [REAL_TDX, REAL_TDX_1_5, REAL_SGX])
def test_real_quotes_verify_under_our_own_root(shared_dir: Path, name: str) -> None:
    sample = find_sample(shared_dir, name)

    verified = verify(sample.kind, sample.quote, load_collateral(sample), VENDOR_ROOTS, sample.time_s)

    assert verified == verify_sample(sample)
    assert not verified.is_simulated


def is_accepted_at(sample: Sample, time_s: int) -> bool:
    """Tell whether stored collateral and quote pass at another time than that of the intake."""
    try:
        verify(sample.kind, sample.quote, load_collateral(sample), sample.roots, time_s)
    except EvidenceRejected:
        return False
    return True


@pytest.mark.parametrize("name", [REAL_TDX, REAL_TDX_1_5, REAL_SGX])
def test_the_answer_holds_in_exactly_the_seconds_that_it_says(shared_dir: Path, name: str) -> None:
    sample = find_sample(shared_dir, name)
    verified = verify_sample(sample)
    first, last = verified.valid_from_s, verified.valid_until_s

    assert first <= sample.time_s <= last
    seconds = (first - 1, first, last, last + 1)
    assert [is_accepted_at(sample, second) for second in seconds] == [False, True, True, False]


@pytest.mark.parametrize("name", [REAL_TDX, REAL_TDX_1_5, REAL_SGX])
def test_documents_and_answers_survive_storage(shared_dir: Path, name: str) -> None:
    sample = find_sample(shared_dir, name)
    collateral = load_collateral(sample)
    for document, kind in (
        (collateral.root_list, RevokedSerials),
        (collateral.pck_list, RevokedSerials),
        (collateral.platform_info, TcbInfo),
        (collateral.enclave_identity, QeIdentity),
    ):
        assert msgpack.decode(msgpack.encode(document), type=kind) == document
    verified = verify_sample(sample)
    assert msgpack.decode(msgpack.encode(verified), type=Verified) == verified


def test_stored_claims_are_evaluated_again_as_the_quote_would_be(shared_dir: Path) -> None:
    """The same trust domain, judged by the documents of two years."""
    earlier = verify_sample(find_sample(shared_dir, "tdx/v5-90c06f-mrservicetd#0"))
    later = find_sample(shared_dir, "tdx/v5-90c06f-mrservicetd#1")
    documents = load_collateral(later)

    tcb = evaluate_tcb(get_versions(earlier.claims), documents.platform_info, documents.enclave_identity)

    assert tcb == verify_sample(later).claims.tcb
    assert tcb != earlier.claims.tcb
