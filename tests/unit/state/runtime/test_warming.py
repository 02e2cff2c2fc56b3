"""Evidence that is verified once, ahead of its block: also for the newest block, but not without what it needs."""

from __future__ import annotations

import pytest

from state.runtime import attest_checks, evidence
from state.runtime.evidence import EvidenceCache
from state.runtime.warming import warm_evidence
from state.trust_messages import GpuEvidence
from tests.support.attesting import FEE, PROVIDER, Lab

GPU = GpuEvidence(report=bytes(32), chain=(bytes(32),))


class Refusal(Exception):
    """Evidence was about to be verified."""


def refuse(*_arguments: object) -> None:
    raise Refusal


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Give a lab in a process that remembers nothing."""
    monkeypatch.setattr(attest_checks, "SHARED_CACHE", EvidenceCache())
    attest_checks._has_agreed.cache_clear()
    return Lab()


def is_verified_ahead(lab: Lab, **changes: object) -> bool:
    """Tell whether the evidence of an attestation for the newest block is verified at admission."""
    transaction = lab.sign(PROVIDER, lab.attest_message(**changes), fee=FEE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "verify_evidence", refuse)
        try:
            warm_evidence(lab.ledger, transaction, lab.time_ms)
        except Refusal:
            return True
    return False


def test_evidence_that_names_the_newest_block_is_verified_ahead(lab: Lab) -> None:
    assert is_verified_ahead(lab)
    assert is_verified_ahead(lab, challenge_height=lab.height - 1)
    assert not is_verified_ahead(lab, challenge_height=lab.height + 1)


def test_gpus_are_not_verified_ahead_without_the_hash_that_they_must_bind(lab: Lab) -> None:
    assert not is_verified_ahead(lab, gpus=(GPU,))
    assert is_verified_ahead(lab, gpus=(GPU,), challenge_height=lab.height - 1)


def test_what_was_verified_ahead_is_not_verified_in_the_block(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    transaction = lab.sign(PROVIDER, lab.attest_message(), fee=FEE)
    warm_evidence(lab.ledger, transaction, lab.time_ms)
    monkeypatch.setattr(evidence, "verify_evidence", refuse)
    monkeypatch.setattr(attest_checks, "verify", refuse)
    assert lab.apply(transaction).receipts[0].reason == ""
