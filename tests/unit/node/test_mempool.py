"""Laws of the mempool, one each. The stateful test in tests/property/test_mempool.py mixes them."""

from __future__ import annotations

import pytest

from node import mempool as mempool_module
from node.admission import MempoolReason, Source
from node.mempool import Mempool, MempoolLimits
from node.pool_entries import fee_rate
from state.errors import TransactionRejected
from tests.support.pool import ADDRESSES, ToyLedger, ToyReason, ToyRules, check_pool, toy_ledger, transfer

ROOMY = {"max_bytes": 1 << 20, "max_transactions": 1_000, "max_work": 1 << 30}


@pytest.fixture
def ledger() -> ToyLedger:
    return toy_ledger()


@pytest.fixture
def pool() -> Mempool[ToyLedger]:
    return Mempool(ToyRules())


def small_pool(**limits: int) -> Mempool[ToyLedger]:
    return Mempool(ToyRules(), MempoolLimits(**limits))


def refusal(pool, ledger, transaction, wall_ms=0):
    with pytest.raises(TransactionRejected) as caught:
        pool.admit(transaction, ledger, wall_ms, Source.PEER)
    return caught.value.reason, caught.value.seen, caught.value.bound


def fill(pool, ledger, *transactions):
    for transaction in transactions:
        pool.admit(transaction, ledger, 0, Source.LOCAL)


def test_admitted_transaction_is_found_by_both_names(pool, ledger):
    transaction = transfer()
    fill(pool, ledger, transaction)
    assert pool.find(transaction.envelope_hash) is transaction
    assert pool.find_by_id(transaction.tx_id) is transaction
    assert pool.is_known(transaction.tx_id)
    assert list(pool) == [transaction]
    assert pool.byte_count == len(transaction.encoded)
    assert pool.admitted == {Source.LOCAL: 1}


def test_same_body_is_a_duplicate(pool, ledger):
    transaction = transfer()
    fill(pool, ledger, transaction)
    assert refusal(pool, ledger, transaction) == (MempoolReason.DUPLICATE, transaction.tx_id.hex(), None)
    assert pool.rejected == {"duplicate": 1}


def test_rules_of_the_runtime_refuse_with_their_reason(pool, ledger):
    assert refusal(pool, ledger, transfer(expires=5), wall_ms=6) == (ToyReason.EXPIRED, 5, 6)
    assert len(pool) == 0
    check_pool(pool)


def test_fees_of_all_pending_transactions_are_reserved(pool, ledger):
    ledger[ADDRESSES[0]].balance = 2_500
    fill(pool, ledger, transfer(nonce=1), transfer(nonce=2))
    assert refusal(pool, ledger, transfer(nonce=3)) == (ToyReason.CANNOT_PAY, 3_000, 2_500)
    fill(pool, ledger, transfer(sender=1, nonce=3))


def test_replaced_fee_is_not_reserved_twice(pool, ledger):
    ledger[ADDRESSES[0]].balance = 1_500
    fill(pool, ledger, transfer(fee=1_000), transfer(fee=1_500))
    assert [tx.body.fee for tx in pool] == [1_500]


@pytest.mark.parametrize(("old", "new", "is_taken"), [(1_000, 1_099, False), (1_000, 1_100, True), (999, 1_098, False)])
def test_replacement_of_a_nonce_takes_ten_percent_more(pool, ledger, old, new, is_taken):
    fill(pool, ledger, transfer(fee=old))
    if is_taken:
        fill(pool, ledger, transfer(fee=new))
        assert pool.dropped == {"replaced": 1}
    else:
        fee_min = -(-old * 11 // 10)
        assert refusal(pool, ledger, transfer(fee=new)) == (MempoolReason.REPLACEMENT_FEE_TOO_LOW, new, fee_min)
    check_pool(pool)


def test_refused_replacement_leaves_the_old_one(pool, ledger):
    ledger[ADDRESSES[0]].balance = 1_200
    old = transfer(fee=1_000)
    fill(pool, ledger, old)
    assert refusal(pool, ledger, transfer(fee=1_300))[0] is ToyReason.CANNOT_PAY
    assert list(pool) == [old]
    check_pool(pool)


def test_sender_limit_counts_one_sender_and_lets_replacements_through(ledger):
    pool = small_pool(per_sender_max=2)
    fill(pool, ledger, transfer(nonce=1), transfer(nonce=2), transfer(sender=1))
    assert refusal(pool, ledger, transfer(nonce=3)) == (MempoolReason.SENDER_LIMIT, 2, 2)
    fill(pool, ledger, transfer(nonce=2, fee=2_000))
    assert len(pool) == 3


def test_full_pool_drops_the_lowest_fee_per_byte_for_a_better_one(ledger):
    pool = small_pool(transactions_max=2)
    cheap, dear, dearest = transfer(fee=1_000), transfer(sender=1, fee=2_000), transfer(sender=2, fee=3_000)
    fill(pool, ledger, cheap, dear, dearest)
    assert list(pool) == [dear, dearest]
    assert pool.dropped == {"evicted": 1}
    assert not pool.is_known(cheap.tx_id)
    check_pool(pool)


def test_newcomer_that_would_be_the_lowest_is_told_the_minimum(ledger):
    pool = small_pool(transactions_max=1)
    holder, newcomer = transfer(fee=1_000), transfer(sender=1, fee=1_000)
    fill(pool, ledger, holder)
    assert refusal(pool, ledger, newcomer) == (MempoolReason.MEMPOOL_FULL, fee_rate(newcomer), fee_rate(holder) + 1)
    assert list(pool) == [holder]


def test_large_newcomer_is_refused_if_it_would_displace_a_better_one(ledger):
    size = len(transfer().encoded)
    pool = small_pool(bytes_max=2 * size + 10)
    cheap, dear = transfer(fee=1_000), transfer(sender=1, fee=9_000)
    fill(pool, ledger, cheap, dear)
    large = transfer(sender=2, fee=3_000, memo=bytes(100))
    assert refusal(pool, ledger, large) == (MempoolReason.MEMPOOL_FULL, fee_rate(large), fee_rate(dear) + 1)
    assert list(pool) == [cheap, dear]
    check_pool(pool)


def test_large_newcomer_displaces_as_many_as_it_needs(ledger):
    size = len(transfer().encoded)
    pool = small_pool(bytes_max=3 * size + 4)
    fill(pool, ledger, transfer(fee=1_000), transfer(sender=1, fee=1_000), transfer(sender=2, fee=90_000))
    large = transfer(sender=3, fee=60_000, memo=bytes(size))
    fill(pool, ledger, large)
    assert sorted(tx.body.fee for tx in pool) == [60_000, 90_000]
    assert pool.dropped == {"evicted": 2}
    check_pool(pool)


def test_envelope_larger_than_the_whole_pool_is_refused(ledger):
    pool = small_pool(bytes_max=10)
    assert refusal(pool, ledger, transfer())[0] is MempoolReason.MEMPOOL_FULL


def test_selection_prefers_fee_per_byte_then_age(pool, ledger):
    first, dear, second = transfer(fee=1_000), transfer(sender=1, fee=2_000), transfer(sender=2, fee=1_000)
    fill(pool, ledger, first, dear, second)
    assert pool.select(ledger, 0, **ROOMY) == [dear, first, second]


def test_selection_keeps_the_nonce_order_of_a_sender(pool, ledger):
    low, high = transfer(nonce=1, fee=1_000), transfer(nonce=2, fee=9_000)
    middle = transfer(sender=1, fee=5_000)
    fill(pool, ledger, high, low, middle)
    assert pool.select(ledger, 0, **ROOMY) == [middle, low, high]


def test_selection_skips_ancestors_expired_and_used(pool, ledger):
    ancestor, expired, used = transfer(nonce=1), transfer(nonce=2, expires=10), transfer(nonce=3)
    good = transfer(nonce=4)
    fill(pool, ledger, ancestor, expired, used, good)
    ledger[ADDRESSES[0]].used.add(3)
    assert pool.select(ledger, 11, **ROOMY, excluded={ancestor.envelope_hash}) == [good]


@pytest.mark.parametrize(
    ("limit", "count"),
    [({"max_transactions": 2}, 2), ({"max_work": 250}, 2), ({"max_work": 99}, 0), ({"max_bytes": 800}, 4)],
)
def test_selection_stays_within_each_limit(pool, ledger, limit, count):
    fill(pool, ledger, *(transfer(sender=sender) for sender in range(5)))
    chosen = pool.select(ledger, 0, **{**ROOMY, **limit})
    assert len(chosen) == count
    assert sum(len(tx.encoded) for tx in chosen) <= {**ROOMY, **limit}["max_bytes"]


def test_sender_whose_next_does_not_fit_waits_whole(pool, ledger):
    large, small = transfer(nonce=1, memo=bytes(200), fee=5_000), transfer(nonce=2, fee=1_000)
    other = transfer(sender=1, fee=900)
    fill(pool, ledger, large, small, other)
    room = len(small.encoded) + len(other.encoded)
    assert pool.select(ledger, 0, max_bytes=room, max_transactions=10, max_work=1 << 30) == [other]


def test_block_counts_as_full_after_many_senders_that_do_not_fit(pool, ledger, monkeypatch):
    monkeypatch.setattr(mempool_module, "SELECT_MISSES_MAX", 2)
    large = [transfer(sender=sender, fee=90_000, memo=bytes(200)) for sender in range(3)]
    small = transfer(sender=3, fee=1_000)
    fill(pool, ledger, *large, small)
    assert pool.select(ledger, 0, **{**ROOMY, "max_bytes": 250}) == []
    assert pool.select(ledger, 0, **{**ROOMY, "max_bytes": 800}) == large[:2]


def test_replacement_in_a_full_pool_displaces_only_the_replaced(ledger):
    pool = small_pool(transactions_max=2)
    old, other = transfer(fee=1_000), transfer(sender=1, fee=1_000)
    fill(pool, ledger, old, other)
    new = transfer(fee=1_100)
    fill(pool, ledger, new)
    assert list(pool) == [other, new]
    assert pool.dropped == {"replaced": 1}
    check_pool(pool)


def test_larger_replacement_in_a_full_pool_displaces_the_lowest_of_the_others(ledger):
    size = len(transfer().encoded)
    pool = small_pool(bytes_max=2 * size + 10)
    old, other = transfer(fee=5_000), transfer(sender=1, fee=1_000)
    fill(pool, ledger, old, other)
    new = transfer(fee=9_000, memo=bytes(60))
    fill(pool, ledger, new)
    assert list(pool) == [new]
    assert pool.dropped == {"replaced": 1, "evicted": 1}
    check_pool(pool)


def test_has_work_looks_past_the_ancestors(pool, ledger):
    assert not pool.has_work(())
    transaction = transfer()
    fill(pool, ledger, transaction)
    assert pool.has_work(())
    assert not pool.has_work({transaction.envelope_hash})


def test_final_transactions_leave_and_are_remembered(pool, ledger):
    mine, foreign, other = transfer(nonce=1), transfer(sender=1), transfer(sender=2)
    fill(pool, ledger, mine, other)
    ledger[ADDRESSES[0]].used.add(1)
    pool.remove_final([mine, foreign], ledger, 0)
    assert list(pool) == [other]
    assert refusal(pool, ledger, mine)[0] is MempoolReason.ALREADY_FINAL
    assert refusal(pool, ledger, foreign)[0] is MempoolReason.ALREADY_FINAL
    check_pool(pool)


def test_final_block_drops_the_pending_rival_of_a_used_nonce(pool, ledger):
    included, rival, later = transfer(fee=1_000), transfer(fee=2_000), transfer(nonce=2)
    fill(pool, ledger, rival, later)
    ledger[ADDRESSES[0]].used.add(1)
    pool.remove_final([included], ledger, 0)
    assert list(pool) == [later]
    assert pool.dropped == {"expired": 0, "invalid": 1}
    check_pool(pool)


def test_sender_who_spent_its_money_loses_its_highest_nonces(pool, ledger):
    pending = [transfer(nonce=nonce) for nonce in (2, 3, 4)]
    fill(pool, ledger, *pending)
    ledger[ADDRESSES[0]].balance = 1_999
    pool.remove_final([transfer(nonce=1)], ledger, 0)
    assert list(pool) == pending[:1]
    assert pool.dropped["unfunded"] == 2
    check_pool(pool)


def test_expired_transactions_leave_and_are_remembered(pool, ledger):
    old, fresh = transfer(nonce=1, expires=10), transfer(nonce=2, expires=11)
    fill(pool, ledger, old, fresh)
    assert pool.drop_expired(10) == 0
    assert pool.drop_expired(11) == 1
    assert list(pool) == [fresh]
    assert refusal(pool, ledger, old)[0] is MempoolReason.EXPIRED


def test_memory_of_past_transactions_is_bounded(pool, ledger, monkeypatch):
    monkeypatch.setattr(mempool_module, "SEEN_MAX", 2)
    gone = [transfer(nonce=nonce) for nonce in (1, 2, 3)]
    pool.remove_final(gone, ledger, 0)
    assert [pool.is_known(tx.tx_id) for tx in gone] == [False, True, True]


def test_dead_keys_are_compacted(pool, ledger, monkeypatch):
    monkeypatch.setattr(mempool_module, "STALE_ENTRIES_MIN", 4)
    for nonce in range(1, 40):
        transaction = transfer(nonce=nonce)
        fill(pool, ledger, transaction)
        pool.remove_final([transaction], ledger, 0)
    assert len(pool._order) <= 6
    assert len(pool._expiries) <= 6


def test_snapshot_counts_what_is_there(pool, ledger):
    cheap, dear = transfer(fee=1_000), transfer(sender=1, fee=2_000)
    fill(pool, ledger, dear, cheap)
    pool.bodies.pin(b"block", [dear])
    snapshot = pool.snapshot()
    assert (snapshot.transactions, snapshot.senders, snapshot.pinned_bodies) == (2, 2, 1)
    assert snapshot.bytes == len(cheap.encoded) + len(dear.encoded)
    assert snapshot.lowest_fee_rate == fee_rate(cheap)
    assert not snapshot.is_full


def test_pinned_body_outlives_eviction_and_expiry(pool, ledger):
    transaction = transfer(expires=5)
    fill(pool, ledger, transaction)
    pool.bodies.pin(b"block", [transaction])
    pool.drop_expired(6)
    assert len(pool) == 0
    assert pool.find(transaction.envelope_hash) is transaction


def test_body_shared_by_two_blocks_stays_until_both_are_released(pool):
    shared, own = transfer(nonce=1), transfer(nonce=2)
    pool.bodies.pin(b"one", [shared, own])
    pool.bodies.pin(b"one", [shared, own])
    pool.bodies.pin(b"two", [shared])
    pool.bodies.unpin(b"one")
    assert pool.find(shared.envelope_hash) is shared
    assert pool.find(own.envelope_hash) is None
    assert pool.bodies.find_block(b"two") == (shared.envelope_hash,)
    assert pool.bodies.blocks() == (b"two",)
    pool.bodies.unpin(b"two")
    pool.bodies.unpin(b"two")
    assert len(pool.bodies) == 0


def test_pending_of_a_sender_is_in_nonce_order(pool, ledger):
    late, early = transfer(nonce=9), transfer(nonce=2)
    fill(pool, ledger, late, early)
    assert pool.pending_of(ADDRESSES[0]) == (early, late)
    assert pool.pending_of(ADDRESSES[1]) == ()


def test_sender_with_a_held_transaction_waits_from_there_on(pool, ledger):
    """Given the second of three held, then a block has the first; once that is there, nothing is to be done but for others."""
    first, held, third = (transfer(nonce=nonce) for nonce in (1, 2, 3))
    fill(pool, ledger, first, held, third)
    pool.hold(held.envelope_hash)
    assert pool.select(ledger, 0, **ROOMY) == [first]
    assert pool.has_work(())
    assert not pool.has_work({first.envelope_hash})
    other = transfer(sender=1)
    fill(pool, ledger, other)
    assert pool.has_work({first.envelope_hash})
    pool.held.drop(held.envelope_hash)
    assert pool.select(ledger, 0, **ROOMY) == [first, held, third, other]


def test_held_transaction_that_a_block_has_already_keeps_nobody(pool, ledger):
    held, following = transfer(nonce=1), transfer(nonce=2)
    fill(pool, ledger, held, following)
    pool.hold(held.envelope_hash)
    excluded = {held.envelope_hash}
    assert pool.select(ledger, 0, **ROOMY, excluded=excluded) == [following]
    assert pool.has_work(excluded)


def test_transaction_that_left_is_held_no_more(pool, ledger):
    transaction = transfer()
    fill(pool, ledger, transaction)
    pool.hold(transaction.envelope_hash)
    pool.discard(transaction.envelope_hash)
    assert transaction.envelope_hash not in pool.held
    fill(pool, ledger, transaction)
    assert pool.select(ledger, 0, **ROOMY) == [transaction]
