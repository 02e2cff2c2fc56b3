"""Evidence that is verified once and kept, and the dry run of an attestation."""

from __future__ import annotations

from hashlib import sha256

import pytest

from state.errors import BlockRejected
from state.messages import Transfer
from state.runtime.explain import DryRunReason
from state.runtime.reasons import TransactionReason
from state.runtime.trust import evidence
from state.runtime.trust.evidence import SHARED_CACHE, EvidenceCache, verify_evidence
from state.trust_queries import appraise
from tee.errors import EvidenceRejected, Reason
from tee.simulated_quotes import TdBody
from tests.support.attesting import (
    FEE,
    PROVIDER,
    Lab,
)
from tests.support.chain_builders import account


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_kept_answer_counts_no_longer_than_what_it_rests_on(lab: Lab) -> None:
    cache, message = EvidenceCache(), lab.attest_message()
    answer = cache.verify(lab.ledger, message, bytes(32), lab.now_s)
    assert cache.verify(lab.ledger, message, bytes(32), answer.valid_until_s) is answer
    with pytest.raises(EvidenceRejected) as caught:
        cache.verify(lab.ledger, message, bytes(32), answer.valid_until_s + 1)
    assert caught.value.reason is Reason.PCK_CRL_EXPIRED
    with pytest.raises(EvidenceRejected):
        cache.verify(lab.ledger, message, bytes(32), answer.valid_from_s - 1)


def test_an_answer_that_is_verified_anew_takes_no_place_of_another(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "ANSWERS_MAX", 2)
    cache, first, second = EvidenceCache(), lab.attest_message(0), lab.attest_message(1)
    kept = cache.verify(lab.ledger, first, bytes(32), lab.now_s)
    answer = cache.verify(lab.ledger, second, bytes(32), lab.now_s)
    with monkeypatch.context() as patch:
        patch.setattr(evidence, "verify_evidence", lambda *_arguments: answer)
        cache.verify(lab.ledger, second, bytes(32), answer.valid_until_s + 1)
    assert cache.verify(lab.ledger, first, bytes(32), lab.now_s) is kept


def test_the_root_of_an_answer_is_the_one_that_its_evidence_ends_with(lab: Lab) -> None:
    answer = verify_evidence(lab.ledger, lab.attest_message(), bytes(32), lab.now_s)
    assert answer.root == sha256(lab.vendor.root).digest()
    assert {each.root for each in answer.documents} == {answer.root}


def test_new_collateral_makes_kept_answers_worthless(lab: Lab) -> None:
    cache, message = EvidenceCache(), lab.attest_message()
    cache.verify(lab.ledger, message, bytes(32), lab.now_s)
    lab.apply()
    serial = lab.vendor.machine("machine 0").pck_serial
    lab.put_all(lab.vendor.collateral(lab.now_s, revoked=(serial,)))
    with pytest.raises(EvidenceRejected) as caught:
        cache.verify(lab.ledger, message, bytes(32), lab.now_s)
    assert caught.value.reason is Reason.PCK_REVOKED


def test_a_node_with_answers_and_one_without_reach_the_same_state() -> None:
    states = []
    for is_warm in (True, False):
        lab = Lab()
        for number in range(3):
            transaction = lab.sign(PROVIDER, lab.attest_message(number), fee=FEE)
            if not is_warm:
                SHARED_CACHE._answers.clear()
            lab.apply(transaction)
        states.append(lab.state)
    assert states[0] == states[1]


def test_the_dry_run_names_every_check_and_what_it_found(lab: Lab) -> None:
    checks = appraise(lab.ledger, account(0), lab.attest_message(challenge_height=lab.height - 1), lab.time_ms)
    assert [check.name for check in checks if not check.ok] == []
    found = {check.name: check.seen for check in checks}
    assert found["judgement"] == "SIMULATED, trusted, level 1, standing 5"
    assert found["evidence"].startswith("SIMULATED, valid from")


def test_the_dry_run_goes_on_after_a_refusal(lab: Lab) -> None:
    message = lab.attest_message(
        challenge_height=lab.height - 1, seal_key=bytes([8]) * 32, body=TdBody(mr_td=bytes(48))
    )
    refused = {
        check.name: check.reason for check in appraise(lab.ledger, account(0), message, lab.time_ms) if not check.ok
    }
    assert refused == {
        "binding": TransactionReason.BINDING_MISMATCH,
        "measurements": TransactionReason.MEASUREMENT_MISMATCH,
    }
    unknown = appraise(lab.ledger, account(0), lab.attest_message(release=7), lab.time_ms)
    assert [check.name for check in unknown if check.reason == DryRunReason.NOT_MADE][:2] == ["tee", "evidence"]


def test_two_attestations_do_not_fit_one_transaction(lab: Lab) -> None:
    with pytest.raises(BlockRejected) as caught:
        lab.send(PROVIDER, lab.attest_message(0), lab.attest_message(1))
    assert TransactionReason.TOO_MANY_LARGE_MESSAGES in str(caught.value)
    both = (lab.attest_message(0), Transfer(to=account(1), amount=1))
    assert lab.reason(PROVIDER, *both) == ""
