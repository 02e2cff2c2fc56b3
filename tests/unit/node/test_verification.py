"""Laws of verifying beside the loop: every wrong signature is named, once, evidence keeps nobody, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest
from msgspec.structs import replace

from node import verification
from node.verification import BATCH_MAX, INLINE_MAX, SignaturePool, find_wrong
from state.codec import encode
from state.transactions import Envelope, Transaction
from tests.support.pool import CHAIN_ID, transfer

WAIT_S = 10.0
MANY = 2 * BATCH_MAX + 3
GOOD = [transfer(nonce=nonce) for nonce in range(1, MANY + 1)]


def forge(transaction):
    """Return the transaction with a signature that is none."""
    pairs = tuple(replace(pair, signature=bytes(64)) for pair in transaction.signatures)
    envelope = Envelope(body=transaction.body, signatures=pairs)
    return Transaction(envelope, encode(envelope), CHAIN_ID)


@pytest.fixture
async def pool():
    signatures = SignaturePool(asyncio.get_running_loop())
    yield signatures
    signatures.close()


async def verify(pool, transactions):
    """Return the envelope hashes that the pool finds wrong."""
    told = asyncio.get_running_loop().create_future()
    pool.verify(transactions, told.set_result)
    async with asyncio.timeout(WAIT_S):
        return await told


def with_forged(count, *indices):
    """Return so many transactions, of which some are forged, and the envelope hashes of those."""
    chosen = [forge(one) if index in indices else one for index, one in enumerate(GOOD[:count])]
    return chosen, frozenset(chosen[index].envelope_hash for index in indices)


@pytest.mark.parametrize("count", range(INLINE_MAX + 1))
async def test_a_handful_is_verified_on_the_spot(pool, count):
    transactions, wrong = with_forged(count, *range(count))
    told = []
    pool.verify(transactions, told.append)
    assert told == [wrong]
    assert pool.waiting_count == 0


@pytest.mark.parametrize(
    ("count", "forged"),
    [
        (INLINE_MAX + 1, ()),
        (INLINE_MAX + 1, (0,)),
        (BATCH_MAX, (0, BATCH_MAX - 1)),
        (BATCH_MAX + 1, (BATCH_MAX,)),
        (MANY, (0, BATCH_MAX, MANY - 1)),
    ],
    ids=["none", "one", "of a full batch", "of a batch of one", "of several batches"],
)
async def test_wrong_ones_are_named_and_nothing_waits_afterwards(pool, count, forged):
    transactions, wrong = with_forged(count, *forged)
    assert await verify(pool, transactions) == wrong
    assert pool.waiting_count == 0
    assert pool.verified_count == count


async def test_transaction_with_one_wrong_signature_of_several_is_wrong():
    pair = GOOD[0].signatures[0]
    other = transfer(sender=1).signatures[0]
    envelope = Envelope(body=GOOD[0].body, signatures=tuple(sorted((pair, other), key=lambda one: one.public_key)))
    transaction = Transaction(envelope, encode(envelope), CHAIN_ID)
    assert find_wrong([GOOD[0], transaction]) == {transaction.envelope_hash}


async def test_who_asked_is_told_once_on_the_loop_that_asked(pool):
    told = asyncio.get_running_loop().create_future()
    threads = []

    def done(_wrong):
        threads.append(threading.current_thread())
        told.set_result(None)

    pool.verify(GOOD, done)
    async with asyncio.timeout(WAIT_S):
        await told
    await verify(pool, GOOD[:3])
    assert threads == [threading.current_thread()]


class Gate:
    """Keeps the verifying thread until it is opened."""

    def __init__(self, monkeypatch):
        self.opened = threading.Event()
        self.entered = threading.Event()
        monkeypatch.setattr(verification, "find_wrong", self)

    def __call__(self, transactions):
        self.entered.set()
        assert self.opened.wait(WAIT_S)
        return find_wrong(transactions)


async def test_peers_are_read_no_further_while_too_many_wait(pool, monkeypatch):
    monkeypatch.setattr(verification, "WAITING_MAX", 5)
    gate = Gate(monkeypatch)
    first = asyncio.ensure_future(verify(pool, GOOD[:5]))
    await asyncio.sleep(0)
    assert (pool.waiting_count, pool.is_congested) == (5, False)
    second = asyncio.ensure_future(verify(pool, GOOD[:3]))
    await asyncio.sleep(0)
    assert (pool.waiting_count, pool.is_congested) == (8, True)
    gate.opened.set()
    await asyncio.gather(first, second)
    assert (pool.waiting_count, pool.is_congested) == (0, False)


async def test_nobody_is_told_anything_after_the_pool_was_closed(monkeypatch):
    """Given one batch in the thread and others behind it, when the pool is closed, then no callback comes late."""
    gate = Gate(monkeypatch)
    pool = SignaturePool(asyncio.get_running_loop())
    told = []
    pool.verify(GOOD[:3], told.append)
    pool.verify(GOOD, told.append)
    assert gate.entered.wait(WAIT_S)
    gate.opened.set()
    pool.close()
    await loop_went_round()
    assert told == []


class Task:
    """Evidence whose verification says where it is done; it waits for a gate, if there is one."""

    def __init__(self, gate=None, error=None):
        self.gate = gate or threading.Event()
        self.entered = threading.Event()
        self.error = error
        if gate is None:
            self.gate.set()

    def verify(self):
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return threading.current_thread()


async def test_evidence_is_verified_in_another_thread_and_told_on_the_loop(pool):
    told = asyncio.get_running_loop().create_future()
    pool.verify_evidence(Task(), lambda found: told.set_result((found, threading.current_thread())))
    async with asyncio.timeout(WAIT_S):
        found, here = await told
    assert found.name.startswith("evidence")
    assert here is threading.current_thread()


async def test_signatures_do_not_wait_for_evidence(pool):
    gate = threading.Event()
    told = asyncio.get_running_loop().create_future()
    pool.verify_evidence(Task(gate), told.set_result)
    assert await verify(pool, GOOD[:3]) == frozenset()
    assert not told.done()
    gate.set()
    async with asyncio.timeout(WAIT_S):
        await told


async def test_nobody_is_told_of_evidence_after_the_pool_was_closed():
    pool, gate, told = SignaturePool(asyncio.get_running_loop()), threading.Event(), []
    first, second = Task(gate), Task(gate)
    pool.verify_evidence(first, told.append)
    pool.verify_evidence(second, told.append)
    assert first.entered.wait(WAIT_S)
    gate.set()
    pool.close()
    await loop_went_round()
    assert told == []


async def test_mistake_in_the_verification_of_evidence_is_one_of_the_loop_too(pool):
    heard = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.set_result(context["exception"]))
    told = []
    pool.verify_evidence(Task(error=AssertionError("broken")), told.append)
    async with asyncio.timeout(WAIT_S):
        assert str(await heard) == "broken"
    assert told == []


async def loop_went_round():
    """Wait until everything that was handed to the loop before is done."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_soon(passed.set)
    await passed.wait()


async def test_mistake_in_the_thread_is_one_of_the_loop_too(pool, monkeypatch):
    """Given verification that breaks, then the loop's handler of errors hears of it, which ends the node."""
    heard = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.set_result(context["exception"]))

    def break_down(_transactions):
        raise AssertionError("broken")

    monkeypatch.setattr(verification, "find_wrong", break_down)
    told = []
    pool.verify(GOOD[:3], told.append)
    async with asyncio.timeout(WAIT_S):
        assert str(await heard) == "broken"
    assert told == []


def test_pool_that_outlives_its_loop_closes_in_silence(monkeypatch):
    gate = Gate(monkeypatch)
    loop = asyncio.new_event_loop()
    pool = SignaturePool(loop)
    told = []
    pool.verify(GOOD, told.append)
    assert gate.entered.wait(WAIT_S)
    loop.close()
    gate.opened.set()
    pool.close()
    assert told == []
