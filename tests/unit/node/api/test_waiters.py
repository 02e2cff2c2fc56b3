"""Laws of the tracker: what is known of a recent transaction, and who is told."""

from __future__ import annotations

import asyncio

import pytest

from node.api import waiters as waiters_module
from node.api.errors import ApiReason, RpcError
from node.api.waiters import Level, TransactionTracker
from state.errors import TransactionRejected
from state.runtime.reasons import TransactionReason
from state.transactions import sign_transaction
from tests.support.fixture_chain import FixtureChain, account, account_key, transfer

LONG_MS = 60_000


class Scene:
    """A tracker, and a chain whose blocks it is told of."""

    def __init__(self) -> None:
        self.fixture = FixtureChain()
        self.tracker = TransactionTracker(waiters_max=4)
        self.nonce = 0

    def sign(self):
        self.nonce += 1
        return self.fixture.sign(0, transfer(account(1), 1), nonce=self.nonce)

    def notarize(self, *transactions, **where):
        block = self.fixture.execute(*transactions, **where)
        self.tracker.on_notarized(block)
        return block

    def finalize(self, *blocks):
        self.tracker.on_final(self.fixture.finalize(*blocks).blocks)

    async def waiting(self, transaction, level):
        """Return a task that waits, once it does."""
        task = asyncio.ensure_future(self.tracker.wait(transaction.tx_id, level, LONG_MS))
        await asyncio.sleep(0)
        assert self.tracker.waiter_count
        return task


async def test_transaction_in_a_notarised_block_is_provisional_until_final():
    scene = Scene()
    other, transaction = scene.sign(), scene.sign()
    block = scene.notarize(other, transaction)
    found = scene.tracker.find(transaction.tx_id)
    assert (found.level, found.height, found.index) == (Level.NOTARIZED, 1, 1)
    assert found.receipt == block.receipts[1]
    assert scene.tracker.find_unfinal_block(transaction.tx_id) is block
    scene.finalize(block)
    assert scene.tracker.find(transaction.tx_id).level is Level.FINAL
    assert scene.tracker.find_unfinal_block(transaction.tx_id) is None


async def test_waiter_hears_of_its_level_and_not_of_a_lower_one():
    scene = Scene()
    transaction = scene.sign()
    early, late = await scene.waiting(transaction, Level.NOTARIZED), await scene.waiting(transaction, Level.FINAL)
    block = scene.notarize(transaction)
    assert (await early).level is Level.NOTARIZED
    await asyncio.sleep(0)
    assert not late.done()
    scene.finalize(block)
    assert (await late).level is Level.FINAL
    assert scene.tracker.waiter_count == 0


async def test_block_that_was_never_seen_notarised_wakes_both_levels():
    scene = Scene()
    transaction = scene.sign()
    tasks = [await scene.waiting(transaction, level) for level in Level]
    scene.finalize(scene.fixture.execute(transaction))
    assert [(await task).level for task in tasks] == [Level.FINAL, Level.FINAL]


async def test_foreign_envelope_around_the_same_body_settles_nothing():
    scene = Scene()
    transaction = scene.sign()
    foreign = sign_transaction(scene.fixture.chain.chain_id, transaction.body, (account_key(5),))
    assert foreign.tx_id == transaction.tx_id
    tasks = [await scene.waiting(transaction, level) for level in Level]
    block = scene.notarize(foreign)
    assert block.receipts[0].reason == TransactionReason.UNAUTHORISED
    assert scene.tracker.find(transaction.tx_id) is None
    scene.finalize(block)
    await asyncio.sleep(0)
    assert scene.tracker.find(transaction.tx_id) is None
    assert not any(task.done() for task in tasks)
    scene.finalize(scene.notarize(transaction))
    assert [(await task).receipt.reason for task in tasks] == ["", ""]


async def test_memory_of_final_blocks_outlives_foreign_envelopes(monkeypatch):
    monkeypatch.setattr(waiters_module, "RECENT_BLOCKS_MAX", 1)
    scene = Scene()
    transaction = scene.sign()
    foreign = sign_transaction(scene.fixture.chain.chain_id, transaction.body, (account_key(5),))
    scene.finalize(scene.fixture.execute(foreign))
    scene.finalize(scene.fixture.execute(transaction))
    assert scene.tracker.find(transaction.tx_id).height == 2


async def test_block_of_a_transaction_is_told_from_its_rival_of_the_same_height():
    scene = Scene()
    transaction = scene.sign()
    scene.notarize(view=1)
    block = scene.notarize(transaction, view=2)
    assert scene.tracker.find_unfinal_block(transaction.tx_id) is block


async def test_branch_that_is_passed_over_is_forgotten_with_its_transactions():
    scene = Scene()
    lost, kept = scene.sign(), scene.sign()
    scene.notarize(lost, view=1)
    winner = scene.notarize(kept, view=2)
    scene.finalize(winner)
    assert scene.tracker.find(lost.tx_id) is None
    assert scene.tracker.find(kept.tx_id).level is Level.FINAL


async def test_block_above_the_final_one_stays_notarised():
    scene = Scene()
    first, second = scene.sign(), scene.sign()
    parent = scene.notarize(first)
    scene.notarize(second, parent_hash=parent.block_hash)
    scene.finalize(parent)
    assert scene.tracker.find(second.tx_id).level is Level.NOTARIZED


async def test_time_is_up_without_news():
    scene = Scene()
    assert await scene.tracker.wait(scene.sign().tx_id, Level.FINAL, 0) is None
    assert scene.tracker.waiter_count == 0


async def test_refusal_wakes_waiters_and_is_remembered_until_admission():
    scene = Scene()
    transaction = scene.sign()
    rejection = TransactionRejected(TransactionReason.FEE_TOO_LOW, 1, 2)
    task = await scene.waiting(transaction, Level.FINAL)
    scene.tracker.on_refused(transaction.tx_id, rejection)
    assert await task is rejection
    assert scene.tracker.find_refusal(transaction.tx_id) is rejection
    scene.tracker.on_admitted(transaction.tx_id)
    assert scene.tracker.find_refusal(transaction.tx_id) is None


async def test_memory_of_refusals_is_bounded(monkeypatch):
    monkeypatch.setattr(waiters_module, "REFUSALS_MAX", 2)
    tracker = TransactionTracker()
    rejection = TransactionRejected(TransactionReason.EXPIRED)
    for name in (b"a", b"b", b"c"):
        tracker.on_refused(name, rejection)
    assert [tracker.find_refusal(name) for name in (b"a", b"b", b"c")] == [None, rejection, rejection]


async def test_memory_of_final_blocks_is_bounded(monkeypatch):
    monkeypatch.setattr(waiters_module, "RECENT_BLOCKS_MAX", 2)
    scene = Scene()
    transactions = [scene.sign() for _ in range(3)]
    for transaction in transactions:
        scene.finalize(scene.fixture.execute(transaction))
    assert [scene.tracker.find(transaction.tx_id) is None for transaction in transactions] == [True, False, False]


async def test_waiters_are_bounded_and_one_that_leaves_makes_room():
    scene = Scene()
    transaction = scene.sign()
    tasks = [await scene.waiting(transaction, Level.FINAL) for _ in range(4)]
    with pytest.raises(RpcError) as caught:
        await scene.tracker.wait(transaction.tx_id, Level.FINAL, LONG_MS)
    assert (caught.value.reason, caught.value.bound) == (ApiReason.TOO_MANY_WAITERS, 4)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    assert scene.tracker.waiter_count == 3
    scene.finalize(scene.fixture.execute(transaction))
    assert [(await task).height for task in tasks[1:]] == [1, 1, 1]
