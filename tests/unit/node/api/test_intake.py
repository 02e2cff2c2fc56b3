"""Laws of the submission queue: batches, bound, and the fate of each transaction."""

from __future__ import annotations

import asyncio

import pytest

from node.api import intake as intake_module
from node.api.errors import ApiReason, RpcError
from node.api.intake import SubmissionQueue
from node.api.waiters import TransactionTracker
from state.errors import TransactionRejected
from state.messages import SCOPES_ALL, AuthKey, SetAuth
from state.runtime.reasons import TransactionReason
from state.runtime.rules import are_signers_authorised
from state.transactions import sign_transaction
from tests.support.chain_builders import World, account_key
from tests.support.fixture_chain import FixtureNode, account, transfer


def sign(node, nonce, **fields):
    return node.fixture.sign(0, transfer(account(1), 1), nonce=nonce, **fields)


async def test_admission_is_awaited_and_its_refusal_raised():
    node = FixtureNode()
    queue = SubmissionQueue(node, 10)
    consumer = asyncio.ensure_future(queue.run())
    good = sign(node, 1)
    await queue.admit(good)
    assert node.mempool.find_by_id(good.tx_id) is good
    with pytest.raises(TransactionRejected) as caught:
        await queue.admit(sign(node, 2, fee=1))
    assert caught.value.reason is TransactionReason.FEE_TOO_LOW
    consumer.cancel()


async def test_what_is_queued_together_is_handed_over_together_in_bounded_batches(monkeypatch):
    monkeypatch.setattr(intake_module, "BATCH_MAX", 3)
    node = FixtureNode()
    batches = []

    async def submit(transactions):
        batches.append(len(transactions))
        return [None] * len(transactions)

    node.submit = submit
    queue = SubmissionQueue(node, 10)
    for nonce in range(1, 6):
        queue.offer(sign(node, nonce))
    consumer = asyncio.ensure_future(queue.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert batches == [3, 2]
    assert len(queue) == 0
    consumer.cancel()


async def test_full_queue_refuses_and_keeps_what_it_has():
    node = FixtureNode()
    queue = SubmissionQueue(node, 2)
    queue.offer(sign(node, 1))
    queue.offer(sign(node, 2))
    with pytest.raises(RpcError) as caught:
        queue.offer(sign(node, 3))
    assert (caught.value.reason, caught.value.seen, caught.value.bound) == (ApiReason.INTAKE_FULL, 2, 2)
    assert len(queue) == 2


async def run_briefly(queue):
    consumer = asyncio.ensure_future(queue.run())
    for _ in range(3):
        await asyncio.sleep(0)
    consumer.cancel()


async def test_refusal_that_nobody_awaits_shows_in_the_tracker():
    node = FixtureNode()
    queue = SubmissionQueue(node, 2)
    poor = sign(node, 1, fee=1)
    queue.offer(poor)
    await run_briefly(queue)
    assert node.tracker.find_refusal(poor.tx_id).reason is TransactionReason.FEE_TOO_LOW


async def test_refusal_of_a_padded_envelope_is_no_news_of_the_owners_transaction():
    """Given a transaction that pays exactly its price, when a stranger signs it too, then the refusal of that is his."""
    node = FixtureNode()
    queue = SubmissionQueue(node, 2)
    genuine = sign(node, 1)
    padded = sign_transaction(node.chain.chain_id, genuine.body, (account_key(0), account_key(1)))
    queue.offer(padded)
    await run_briefly(queue)
    assert padded.tx_id == genuine.tx_id
    assert node.tracker.find_refusal(genuine.tx_id) is None
    queue.offer(genuine)
    await run_briefly(queue)
    assert node.mempool.find_by_id(genuine.tx_id) is genuine


class TwoKeyNode:
    """A node in whose newest state two keys may each act for account 0, and nothing is pending."""

    def __init__(self):
        self.world = self.chain = World()
        self.mempool = FixtureNode().mempool
        self.tracker = TransactionTracker()
        keys = sorted(account_key(index).public_key for index in (0, 1))
        both = tuple(AuthKey(public_key=key, weight=1, scopes=SCOPES_ALL) for key in keys)
        change = SetAuth(account=account(0), keys=both, threshold=1, guardians=(), guardian_quorum=0)
        self.world.apply(self.world.sign(account_key(0), change))
        self.world.apply(interval_ms=self.world.params.accounts.auth_delay_ms + 1_000)

    async def submit(self, transactions):
        return [TransactionRejected(TransactionReason.FEE_TOO_LOW, 1, 2) for _ in transactions]


@pytest.mark.parametrize(("signer_count", "is_news"), [(1, True), (2, False)])
async def test_refusal_for_size_is_news_only_of_an_envelope_that_cannot_be_shorter(signer_count, is_news):
    """Given an account with two keys, when a stranger names both beside false signatures, then the refusal is his."""
    node = TwoKeyNode()
    signers = [account_key(index) for index in range(signer_count)]
    transaction = node.world.sign(signers, transfer(account(1), 1), sender=account(0))
    assert are_signers_authorised(node.chain.ledger, transaction)
    queue = SubmissionQueue(node, 2)
    queue.offer(transaction)
    await run_briefly(queue)
    assert (node.tracker.find_refusal(transaction.tx_id) is not None) is is_news


async def test_submitting_a_pending_transaction_again_is_no_refusal_of_it():
    node = FixtureNode()
    queue = SubmissionQueue(node, 2)
    transaction = sign(node, 1)
    queue.offer(transaction)
    queue.offer(transaction)
    await run_briefly(queue)
    assert node.tracker.find_refusal(transaction.tx_id) is None
    assert node.mempool.find_by_id(transaction.tx_id) is transaction


async def test_caller_that_left_does_not_disturb_the_others():
    node = FixtureNode()
    queue = SubmissionQueue(node, 4)
    first, second = sign(node, 1), sign(node, 2)
    leaving = asyncio.ensure_future(queue.admit(first))
    staying = asyncio.ensure_future(queue.admit(second))
    await asyncio.sleep(0)
    leaving.cancel()
    await run_briefly(queue)
    assert await staying is None
    assert len(node.mempool) == 2
