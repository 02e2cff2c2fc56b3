"""Laws of evidence on its way through the thread: who is held, in which order it is verified, and what is not verified at all."""

from __future__ import annotations

import pytest
from msgspec import Struct

from node import evidence_queue
from node.admission import Source
from node.evidence_queue import RUNNING_MAX, EvidenceQueue
from node.mempool import Mempool
from state.runtime.trust.evidence import Answer
from state.runtime.warming import Lack
from tests.support.fixture_chain import FixtureChain
from tests.support.pool import ToyRules, check_pool, toy_ledger, transfer
from tests.support.recording_shell import RecordingShell

ANSWER = Answer(claims=None, gpus=(), is_simulated=True, root=bytes(32), documents=(), valid_from_s=0, valid_until_s=1)
LACK = Lack(b"key")


class ToyTask(Struct):
    """Stands for the evidence of a transaction."""

    key: bytes


class ToyTasks:
    """Makes a task of each transaction that is not named hopeless."""

    hopeless: frozenset[bytes] = frozenset()
    learned: list[Lack]

    def __init__(self):
        type(self).learned = []

    def find_task(self, _ledger, _tip_hash, transaction, _wall_ms):
        return None if transaction.envelope_hash in self.hopeless else ToyTask(transaction.envelope_hash)

    def learn(self, _ledger, lack):
        self.learned.append(lack)


class Queue:
    """A queue before a toy pool; the thread is in the hands of the test."""

    def __init__(self, monkeypatch):
        self.kept = {}
        self.verified_count = 0
        monkeypatch.setattr(evidence_queue, "EvidenceTasks", ToyTasks)
        monkeypatch.setattr(evidence_queue, "keep_answer", self.kept.__setitem__)
        self.pool, self.ledger, self.shell = Mempool(ToyRules()), toy_ledger(), RecordingShell()
        self.queue = EvidenceQueue(FixtureChain().chain, self.pool, self.shell, self.note)

    def note(self):
        self.verified_count += 1

    def add(self, *transactions):
        for transaction in transactions:
            self.pool.admit(transaction, self.ledger, 0, Source.LOCAL)
            self.queue.add(transaction)

    def running(self):
        """Return what is in the thread."""
        return [task.key for task, _ in self.shell.evidence]

    def finish(self, found):
        """Let the thread finish its first task."""
        _, done = self.shell.evidence.pop(0)
        done(found)

    def select(self):
        return self.pool.select(self.ledger, 0, max_bytes=1 << 20, max_transactions=100, max_work=1 << 30)


@pytest.fixture
def queue(monkeypatch):
    return Queue(monkeypatch)


def names(*transactions):
    return [one.envelope_hash for one in transactions]


@pytest.mark.parametrize("found", [ANSWER, None], ids=["proven", "refused"])
def test_transaction_is_held_until_its_evidence_is_verified_whatever_comes_of_it(queue, found):
    transaction = transfer()
    queue.add(transaction)
    assert (queue.select(), queue.pool.has_work(()), queue.verified_count) == ([], False, 0)
    queue.finish(found)
    assert (queue.select(), queue.pool.has_work(()), queue.verified_count) == ([transaction], True, 1)
    assert queue.kept == ({} if found is None else {transaction.envelope_hash: ANSWER})
    assert len(queue.queue) == 0


def test_best_fee_per_byte_is_verified_first_and_few_are_in_the_thread(queue):
    rich = [transfer(sender=number, fee=1_000 + number) for number in range(1, RUNNING_MAX + 3)]
    queue.add(*rich)
    assert queue.running() == names(*rich[:RUNNING_MAX])
    for left in range(2, 0, -1):
        queue.finish(ANSWER)
        assert queue.running()[-1] == rich[RUNNING_MAX + left - 1].envelope_hash
    assert len(queue.queue) == RUNNING_MAX


def test_what_leaves_the_pool_meanwhile_is_not_verified(queue):
    """Given one behind those in the thread, when it leaves, then its evidence is never verified; nor asked for further."""
    pending = [transfer(sender=number, fee=2_000 - number) for number in range(RUNNING_MAX + 2)]
    queue.add(*pending)
    *_, gone, last = pending
    queue.pool.discard(gone.envelope_hash)
    queue.pool.discard(pending[0].envelope_hash)
    queue.finish(LACK)
    assert queue.running() == names(*pending[1:RUNNING_MAX], last)
    assert queue.verified_count == 0
    check_pool(queue.pool)


def test_evidence_that_could_not_pass_is_left_to_its_block(queue, monkeypatch):
    transaction = transfer()
    monkeypatch.setattr(ToyTasks, "hopeless", frozenset(names(transaction)))
    queue.add(transaction)
    assert (queue.running(), queue.select(), queue.verified_count) == ([], [transaction], 1)


def test_evidence_beyond_the_bound_of_the_queue_is_left_to_its_block(queue, monkeypatch):
    monkeypatch.setattr(evidence_queue, "WAITING_MAX", 1)
    pending = [transfer(sender=number, fee=2_000 - number) for number in range(RUNNING_MAX + 2)]
    queue.add(*pending)
    assert len(queue.queue) == RUNNING_MAX + 1
    assert queue.select() == [pending[-1]]


def test_evidence_is_tried_again_with_the_record_that_it_lacked(queue):
    transaction = transfer()
    queue.add(transaction)
    queue.finish(LACK)
    assert (ToyTasks.learned, queue.running(), queue.select()) == ([LACK], names(transaction), [])
    queue.finish(ANSWER)
    assert queue.select() == [transaction]


def test_evidence_that_lacks_records_without_end_is_left_to_its_block(queue, monkeypatch):
    monkeypatch.setattr(evidence_queue, "TRIES_MAX", 3)
    transaction = transfer()
    queue.add(transaction)
    for _ in range(3):
        assert queue.running() == names(transaction)
        queue.finish(LACK)
    assert (queue.running(), queue.select(), len(queue.queue)) == ([], [transaction], 0)


def test_a_shell_that_verifies_at_once_leaves_nobody_held(queue, monkeypatch):
    monkeypatch.setattr(queue.shell, "verify_evidence", lambda _task, done: done(ANSWER))
    pending = [transfer(sender=number) for number in range(3)]
    queue.add(*pending)
    assert queue.select() == pending
