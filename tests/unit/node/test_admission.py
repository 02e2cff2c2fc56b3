"""The pool's rules on real state: what is selected makes a valid block, whatever happened in between."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from node.admission import RuntimeRules, Source
from node.mempool import Mempool
from state.errors import TransactionRejected
from state.runtime.execute import check_block
from state.runtime.prices import PriceTable
from tests.support.chain_builders import make_genesis, with_params
from tests.support.fixture_chain import FixtureChain, account, transfer

RULES = RuntimeRules()


def select(pool, fixture, ledger=None):
    tip = fixture.chain.tip.block
    params = fixture.chain.params().blocks
    return pool.select(
        ledger or fixture.chain.ledger,
        tip.time_ms + 1_000,
        max_bytes=params.bytes_max,
        max_transactions=params.transactions_max,
        max_work=params.work_max,
    )


def pay(fixture, nonce, amount=1, sender=0, **fields):
    return fixture.sign(sender, transfer(account(1), amount), nonce=nonce, **fields)


def fill(pool, fixture, *transactions):
    for transaction in transactions:
        pool.admit(transaction, fixture.chain.ledger, fixture.chain.tip.block.time_ms, Source.LOCAL)


def test_refusals_are_the_runtimes():
    fixture = FixtureChain()
    pool = Mempool(RULES)
    with pytest.raises(TransactionRejected) as caught:
        fill(pool, fixture, pay(fixture, 0, fee=1))
    assert caught.value.reason == "fee_too_low"


def test_selection_in_any_order_of_arrival_makes_a_valid_block():
    fixture = FixtureChain()
    pool = Mempool(RULES)
    fill(pool, fixture, *(pay(fixture, nonce, fee=5_000 + 100 * (nonce % 3)) for nonce in (5, 1, 9, 3, 7)))
    fill(pool, fixture, *(pay(fixture, nonce, sender=2) for nonce in (4, 2)))
    chosen = select(pool, fixture)
    assert len(chosen) == 7
    header = fixture.execute(*chosen).header
    check_block(fixture.chain.ledger, header, fixture.chain.tip.block.time_ms, chosen)


def test_replaced_transaction_of_an_unfinal_ancestor_keeps_its_rival_out():
    """Given A in an unfinal block, when A' with its nonce replaces it in the pool, then no block on that one takes A'."""
    fixture = FixtureChain()
    pool = Mempool(RULES)
    first, rival = pay(fixture, 0, fee=10_000), pay(fixture, 0, fee=20_000)
    fill(pool, fixture, first)
    ancestor = fixture.execute(first)
    fill(pool, fixture, rival)
    assert select(pool, fixture, fixture.chain.ledger_at(ancestor.block_hash)) == []
    assert select(pool, fixture) == [rival]


def test_work_counts_by_the_parameters_of_the_parents_state():
    genesis = with_params(make_genesis(4), "fees", signature_work=1_500)
    work_max = PriceTable(genesis.params).dearest_work
    fixture = FixtureChain(with_params(genesis, "blocks", work_max=work_max))
    pool = Mempool(RULES)
    fill(pool, fixture, *(pay(fixture, nonce) for nonce in range(work_max // 1_500)))
    chosen = select(pool, fixture)
    work = RULES.block_work(fixture.chain.ledger, fixture.chain.tip.block.time_ms + 1_000)
    assert 0 < sum(work(transaction) for transaction in chosen) <= work_max
    assert sum(work(transaction) for transaction in chosen) + work(chosen[0]) > work_max


def test_final_block_drops_nonces_that_it_used_and_keeps_skipped_ones():
    fixture = FixtureChain()
    pool = Mempool(RULES)
    low, used, rival = pay(fixture, 2), pay(fixture, 5), pay(fixture, 5, amount=2)
    fill(pool, fixture, low, rival)
    fixture.add(used)
    pool.remove_final([used], fixture.chain.ledger, fixture.chain.tip.block.time_ms)
    assert list(pool) == [low]
    assert pool.dropped["invalid"] == 1


def test_sender_that_spent_everything_keeps_nothing_pending():
    fixture = FixtureChain()
    pool = Mempool(RULES)
    fill(pool, fixture, pay(fixture, 3), pay(fixture, 4))
    everything = fixture.chain.ledger.find_raw(b"\x10" + account(0)).balance - 50_000
    spending = pay(fixture, 0, amount=everything, fee=49_999)
    fixture.add(spending)
    pool.remove_final([spending], fixture.chain.ledger, fixture.chain.tip.block.time_ms)
    assert len(pool) == 0
    assert pool.dropped["unfunded"] == 2


def test_state_of_an_absent_sender_is_empty():
    state = RULES.sender_state(FixtureChain().chain.ledger, b"\0" * 21)
    assert (state.balance, state.highest_nonce, state.is_nonce_used(0)) == (0, -1, False)
    used = replace(state.account, next_nonce=3, unused_nonces=((1, 1),))
    assert [replace(state, account=used).is_nonce_used(nonce) for nonce in range(4)] == [True, False, True, False]
