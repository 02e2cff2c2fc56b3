"""Laws of verifying evidence ahead of its block: the same answer as from the ledger, from an excerpt of it, in any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from state.attestation import gpu_nonce
from state.messages import Transfer
from state.runtime import warming
from state.runtime.trust import attest_checks, evidence
from state.runtime.trust.evidence import EvidenceCache, verify_evidence
from state.runtime.warming import EvidenceTask, EvidenceTasks, Lack, has_evidence, keep_answer
from state.transactions import Transaction
from state.trust_messages import GpuEvidence
from tee.simulated_quotes import QuoteRecipe
from tests.support.attesting import FEE, PROVIDER, Lab, enclave_key
from tests.support.chain_builders import account

GPU = GpuEvidence(report=bytes(32), chain=(bytes(32),))


class WarmLab(Lab):
    """A lab with tasks on its state, made for evidence that names the newest block unless it says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = EvidenceTasks()

    def attestation(self, number: int = 0, **changes: object) -> Transaction:
        """Return a transaction with evidence."""
        return self.sign(PROVIDER, self.attest_message(number, **changes), fee=FEE)

    def find_task(self, transaction: Transaction) -> EvidenceTask | None:
        """Return what is to be verified now."""
        return self.tasks.find_task(self.ledger, self.parent_hash, transaction, self.time_ms)

    def verify(self, transaction: Transaction) -> tuple[evidence.Answer | None, int]:
        """Verify with the records that are asked for; return the answer, and how many were."""
        lacks = 0
        while True:
            task = self.find_task(transaction)
            assert task is not None
            found = task.verify()
            if not isinstance(found, Lack):
                return found, lacks
            self.tasks.learn(self.ledger, found)
            lacks += 1


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> WarmLab:
    cache = EvidenceCache()
    for module in ("trust.attest_checks", "warming"):
        monkeypatch.setattr(f"state.runtime.{module}.SHARED_CACHE", cache)
    attest_checks._has_agreed.cache_clear()
    return WarmLab()


def test_the_answer_from_an_excerpt_is_the_one_from_the_ledger(lab: WarmLab) -> None:
    transaction = lab.attestation()
    (message,) = transaction.body.messages
    answer, lacks = lab.verify(transaction)
    assert answer == verify_evidence(lab.ledger, message, bytes(32), lab.now_s)
    assert lacks == 10


def test_records_that_were_asked_for_are_there_for_the_next_machine(lab: WarmLab) -> None:
    first, second = lab.attestation(0), lab.attestation(1)
    lab.verify(first)
    answer, lacks = lab.verify(second)
    assert answer is not None
    assert lacks == 0


def test_a_task_reads_what_was_on_record_when_it_was_made(lab: WarmLab) -> None:
    """Given a task, when the machine is revoked, then the task still proves what its key says, and the next one is another."""
    transaction = lab.attestation()
    answer, _ = lab.verify(transaction)
    before = lab.find_task(transaction)
    serial = lab.vendor.machine("machine 0").pck_serial
    lab.put_all(lab.vendor.collateral(lab.now_s, revoked=(serial,)))
    after = lab.find_task(transaction)
    assert before is not None
    assert after is not None
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(before.verify).result() == answer
    assert after.key != before.key
    assert lab.verify(transaction)[0] is None


def test_an_excerpt_that_grows_too_large_begins_anew(lab: WarmLab, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = lab.attestation(0), lab.attestation(1)
    _, lacks = lab.verify(first)
    monkeypatch.setattr(warming, "EXCERPT_MAX", lacks + 1)
    lab.tasks.learn(lab.ledger, Lack(b"\x00nothing"))
    assert lab.verify(second)[1] == lacks


def test_evidence_that_was_verified_ahead_is_not_verified_in_its_block(
    lab: WarmLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = lab.attestation()
    task = lab.find_task(transaction)
    answer, _ = lab.verify(transaction)
    assert task is not None
    assert answer is not None
    keep_answer(task.key, answer)
    assert lab.find_task(transaction) is None

    def refuse(*_arguments: object) -> None:
        raise AssertionError("verified again")

    monkeypatch.setattr(evidence, "verify_evidence", refuse)
    monkeypatch.setattr(attest_checks, "verify", refuse)
    assert lab.apply(transaction).receipts[0].reason == ""


def test_evidence_that_is_refused_leaves_nothing(lab: WarmLab) -> None:
    broken = lab.vendor.machine("machine 0").quote(bytes(64), None, QuoteRecipe())[:-1]
    assert lab.verify(lab.attestation(quote=broken))[0] is None


def test_evidence_of_what_cannot_pass_anyway_is_not_verified(lab: WarmLab) -> None:
    assert lab.find_task(lab.attestation(release=7)) is None
    assert lab.find_task(lab.attestation(signature=bytes(64))) is None
    assert lab.find_task(lab.attestation(challenge_height=lab.height + 1)) is None


@pytest.mark.parametrize("age", [0, 1], ids=["newest", "on record"])
def test_gpus_are_verified_with_the_hash_of_the_block_that_they_bind(lab: WarmLab, age: int) -> None:
    height = lab.height - age
    task = lab.find_task(lab.attestation(gpus=(GPU,), challenge_height=height))
    assert task is not None
    assert task.nonce == gpu_nonce(
        chain_id=lab.chain_id,
        sign_key=enclave_key(0).public_key,
        challenge_height=height,
        challenge_hash=lab.hashes[height],
    )


def test_only_attestations_have_evidence(lab: WarmLab) -> None:
    assert has_evidence(lab.attestation())
    assert not has_evidence(lab.sign(PROVIDER, Transfer(to=account(1), amount=1)))
