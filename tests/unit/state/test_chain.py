"""Laws of the chain object: branches, finalisation, what is kept and what is told."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

import state.chain_commit
from state.block import EpochStart, Tip, genesis_block_hash
from state.chain import Chain
from state.chain_commit import PRUNED, Retention
from state.chain_history import HistoryReason, HistoryRejected
from state.errors import StorageFault
from state.records import ACCOUNTS, ONLY, PARAMS
from state.store import BLOCK, BODY, EVENT, RECEIPTS, TRANSACTION, UNDO, MemoryStore, number_key
from state.transactions import sign_transaction
from state.tree_proof import verify_proof
from tests.support.chain_builders import account, account_key, transfer
from tests.support.fixture_chain import FixtureChain
from tests.support.toy_chain import (
    CHAIN_ID,
    GENESIS,
    TURN,
    VALIDATORS,
    ToyExecution,
    address,
    certify,
    encoded,
    execute,
    extend,
    make_header,
    raw_key,
    record,
    toy_transaction,
)


def make_chain(retention=PRUNED, store=None):
    return Chain.create(store or MemoryStore(), GENESIS, begin_execution=ToyExecution, retention=retention)


@pytest.fixture
def chain():
    return make_chain()


def test_new_chain_stands_at_its_genesis(chain):
    root = chain.tip.block
    assert (root.block_hash, root.height, root.time_ms) == (genesis_block_hash(CHAIN_ID), 0, GENESIS.time_ms)
    start = EpochStart(epoch=0, root=root, validators=VALIDATORS.members)
    assert chain.tip == Tip(epoch_start=start, view=0, block=root, certificate=None)
    assert (chain.genesis, chain.validators, chain.params()) == (GENESIS, VALIDATORS, GENESIS.params)
    assert chain.ledger.get(PARAMS, ONLY) == GENESIS.params


def test_second_genesis_in_one_store_is_refused(chain):
    with pytest.raises(StorageFault, match="holds a chain already"):
        make_chain(store=chain._store)


def test_executed_block_can_be_read_before_it_is_final_and_the_tip_stays(chain):
    block = execute(chain, chain.tip.block.block_hash, [toy_transaction({7: 70})])
    assert chain.is_executed(block.block_hash)
    assert chain.executed(block.block_hash) is block
    assert chain.ledger_at(block.block_hash).get(ACCOUNTS, address(7)) == record(70)
    assert chain.ledger.find(ACCOUNTS, address(7)) is None
    assert chain.prove(raw_key(7)).encoded is None
    assert chain.tip.block.height == 0


def test_result_of_a_block_does_not_depend_on_other_branches_executed_before(chain):
    root = chain.tip.block.block_hash
    alone = execute(make_chain(), root, [toy_transaction({7: 70, 8: 80})], view=2)
    many = toy_transaction(dict.fromkeys(range(60), 1))
    sibling = execute(chain, root, [many], view=1)
    execute(chain, sibling.block_hash, [toy_transaction({7: None, 9: 90})], view=2)
    assert execute(chain, root, [toy_transaction({7: 70, 8: 80})], view=2).block_result == alone.block_result


def test_branches_can_be_extended_in_turn(chain):
    other = make_chain()
    root = chain.tip.block.block_hash
    left = right = root
    for step in range(4):
        left = execute(chain, left, [toy_transaction({step: 1, 50: step})], view=2 * step + 1).block_hash
        right = execute(chain, right, [toy_transaction({step: 2, 51: step})], view=2 * step + 2).block_hash
    expected = root
    for step in range(4):
        expected = execute(other, expected, [toy_transaction({step: 1, 50: step})], view=2 * step + 1).block_hash
    assert chain.executed(left).block_result == other.executed(expected).block_result
    assert chain.ledger_at(right).get(ACCOUNTS, address(51)) == record(3)
    assert chain.ledger_at(right).find(ACCOUNTS, address(50)) is None


def test_finalising_a_path_drops_every_other_branch_and_keeps_what_stands_on_it(chain):
    root = chain.tip.block.block_hash
    first = execute(chain, root, [toy_transaction({1: 1})], view=1)
    second = execute(chain, first.block_hash, [toy_transaction({2: 2})], view=2)
    above = execute(chain, second.block_hash, [toy_transaction({3: 3})], view=3)
    doomed = execute(chain, first.block_hash, [toy_transaction({4: 4})], view=4)
    doomed_child = execute(chain, doomed.block_hash, [toy_transaction({5: 5})], view=5)
    finalized = chain.finalize([first.block_hash, second.block_hash], certify(second))
    assert finalized.blocks == (first, second)
    assert chain.tip.block == second.reference
    assert [chain.is_executed(block.block_hash) for block in (above, doomed, doomed_child)] == [True, False, False]
    assert chain.ledger_at(above.block_hash).get(ACCOUNTS, address(2)) == record(2)
    chain.finalize([above.block_hash], certify(above))
    balances = {index: chain.ledger.find(ACCOUNTS, address(index)) for index in range(1, 6)}
    assert balances == {1: record(1), 2: record(2), 3: record(3), 4: None, 5: None}
    verify_proof(above.block_result.state_root, raw_key(3), encoded(3), chain.prove(raw_key(3)).proof)


def test_view_of_the_tip_is_that_of_the_finalization(chain):
    block = execute(chain, chain.tip.block.block_hash, [], view=3)
    certificate = certify(block, view=5)
    chain.finalize([block.block_hash], certificate)
    assert (chain.tip.view, chain.tip.certificate) == (5, certificate)


def test_synchronised_block_is_final_without_a_certificate_of_its_own(chain):
    block = execute(chain, chain.tip.block.block_hash, [], view=3)
    chain.finalize([block.block_hash], None)
    assert (chain.tip.view, chain.tip.certificate, chain.tip.block) == (3, None, block.reference)
    assert chain.views.finality_of(1) is None
    extend(chain, [])
    proof = chain.views.finality_of(1)
    assert proof.block_result == block.block_result
    assert proof.headers == (block.header, chain.views.header_at(2).header)
    assert proof.headers[1].parent_result == block.result_hash
    assert proof.certificate == chain.tip.certificate


def test_block_that_changes_the_validators_ends_its_epoch(chain):
    extend(chain, [{1: 1}])
    ended = chain.epoch_start
    block = execute(chain, chain.tip.block.block_hash, [toy_transaction({TURN: 1})], view=2)
    certificate = certify(block)
    chain.finalize([block.block_hash], certificate)
    start = EpochStart(epoch=1, root=block.reference, validators=VALIDATORS.members[1:])
    assert chain.tip == Tip(epoch_start=start, view=0, block=block.reference, certificate=certificate)
    assert chain.validators.members == VALIDATORS.members[1:]
    end = chain.views.find_epoch(0).end
    assert chain.views.find_epoch(0).start == ended
    assert (end.header, end.block_result, end.certificate) == (block.header, block.block_result, certificate)
    assert (chain.views.find_epoch(1).start, chain.views.find_epoch(1).end) == (start, None)
    assert chain.views.find_epoch(2) is None
    extend(chain, [{2: 2}])
    assert chain.views.header_at(3).header.epoch == 1


@pytest.mark.parametrize("case", ["gap", "not executed", "other block", "other result", "ended without certificate"])
def test_finalisation_that_cannot_be_is_a_mistake_of_ours(chain, case):
    first = execute(chain, chain.tip.block.block_hash, [toy_transaction({TURN: 1})], view=1)
    second = execute(chain, first.block_hash, [], view=2)
    path, certificate = {
        "gap": ([second.block_hash], certify(second)),
        "not executed": ([bytes(32)], certify(first)),
        "other block": ([first.block_hash], certify(second)),
        "other result": ([first.block_hash], replace(certify(first), result=bytes(32))),
        "ended without certificate": ([first.block_hash], None),
    }[case]
    with pytest.raises((AssertionError, KeyError)):
        chain.finalize(path, certificate)
    assert chain.tip.block.height == 0


def test_execution_runs_in_slices(chain):
    transactions = [toy_transaction({index: index}) for index in range(5)]
    header = make_header(chain, chain.tip.block.block_hash, 1, 5)
    pending = chain.begin(b"\1" * 32, header, transactions)
    assert [pending.run(2), pending.run(2), pending.run(2), pending.run(2)] == [False, False, True, True]
    assert [receipt.tx_id for receipt in chain.finish(pending).receipts] == [tx.tx_id for tx in transactions]


def test_execution_under_way_goes_on_when_its_parent_becomes_final(chain):
    parent = execute(chain, chain.tip.block.block_hash, [toy_transaction({1: 1})], view=1)
    header = make_header(chain, parent.block_hash, 2, 2)
    pending = chain.begin(b"\2" * 32, header, [toy_transaction({2: 2}), toy_transaction({1: None})])
    pending.run(1)
    chain.finalize([parent.block_hash], certify(parent))
    assert pending.run(9)
    block = chain.finish(pending)
    chain.finalize([block.block_hash], certify(block))
    assert chain.ledger.find(ACCOUNTS, address(1)) is None
    assert chain.ledger.get(ACCOUNTS, address(2)) == record(2)


def test_execution_under_way_on_a_passed_over_branch_is_obsolete(chain):
    root = chain.tip.block.block_hash
    winner = execute(chain, root, [], view=1)
    pending = chain.begin(b"\2" * 32, make_header(chain, root, 2, 1), [toy_transaction({2: 2})])
    chain.finalize([winner.block_hash], certify(winner))
    assert pending.is_obsolete
    assert pending.run(1)
    with pytest.raises(AssertionError):
        chain.finish(pending)


def test_events_are_numbered_from_one_over_all_final_blocks_and_only_those(chain):
    root = chain.tip.block.block_hash
    execute(chain, root, [toy_transaction({9: 9}, 999)], view=9)
    first = execute(chain, root, [toy_transaction({1: 1}, 1), toy_transaction({1: 2}, 2)], view=1)
    second = execute(chain, first.block_hash, [toy_transaction({1: 3}, 3)], view=2)
    told = chain.finalize([first.block_hash, second.block_hash], certify(second)).events
    extend(chain, [{5: 5}])
    log = chain.views.events(0, 10)
    assert [sequence for sequence, _ in log] == [1, 2, 3, 4]
    assert log[:3] == list(told)
    nonces = [(event.height, event.event.attributes[0][1]) for _, event in log]
    assert nonces == [(1, 1), (1, 2), (2, 3), (3, 300)]
    assert chain.views.events(1, 2) == log[1:3]
    assert chain.views.events(4, 10) == []
    with pytest.raises(HistoryRejected) as rejected:
        chain.views.events(5, 10)
    assert (rejected.value.reason, rejected.value.bound) == (HistoryReason.FUTURE, 4)


def test_final_block_is_found_by_height_hash_and_transaction(chain):
    extend(chain, [{1: 1}])
    transactions = [toy_transaction({1: 1}, 1), toy_transaction({2: 2}, 2)]
    block = execute(chain, chain.tip.block.block_hash, transactions, view=2)
    chain.finalize([block.block_hash], certify(block))
    stored = chain.views.block_by_height(2)
    assert chain.views.block_by_hash(block.block_hash) == stored
    assert (stored.header, stored.envelopes) == (block.header, block.envelopes)
    assert (stored.receipts, stored.block_result) == (block.receipts, block.block_result)
    assert (stored.certificate, stored.first_sequence, stored.event_count) == (certify(block), 2, 2)
    place, receipt = chain.views.find_receipt(transactions[1].tx_id)
    assert (place.height, place.index, receipt) == (2, 1, block.receipts[1])
    assert chain.views.find_receipt(bytes(32)) is None
    assert chain.views.block_by_hash(bytes(32)) is None
    for height, reason in ((0, HistoryReason.PRUNED), (3, HistoryReason.FUTURE)):
        with pytest.raises(HistoryRejected) as rejected:
            chain.views.block_by_height(height)
        assert rejected.value.reason is reason


def test_refused_copy_of_a_transaction_is_in_no_index_before_and_after_the_genuine_one():
    """Given blocks of refused copy, genuine envelope, refused copy; then the tx_id leads to the genuine one until it is old."""
    fixture = FixtureChain(store=(store := MemoryStore()))
    chain = fixture.chain
    genuine = fixture.sign(0, transfer(account(1), 1), nonce=0)
    copy = sign_transaction(chain.chain_id, genuine.body, (account_key(5),))
    assert copy.tx_id == genuine.tx_id
    fixture.add(copy)
    assert chain.views.block_by_height(1).receipts[0].reason == "unauthorised"
    assert chain.views.find_transaction(genuine.tx_id) is None
    fixture.add(genuine)
    assert chain.views.find_receipt(genuine.tx_id)[0].height == 2
    later = fixture.sign(1, transfer(account(0), 1), nonce=0)
    fixture.add(sign_transaction(chain.chain_id, later.body, (account_key(5),)))
    assert chain.views.find_transaction(later.tx_id) is None
    chain = Chain.open(store, retention=Retention(history_heights=1, blocks_ms=0))
    for _ in range(3):
        fixture.chain = chain
        fixture.add()
    assert chain.views.status().first_block > 3
    assert list(store.iterate(TRANSACTION, b"Y")) == []


def test_later_place_of_a_transaction_counts_and_survives_pruning_of_the_earlier(chain):
    twice = toy_transaction({1: 1}, 1)
    chain = make_chain(Retention(history_heights=1, blocks_ms=2_500))
    for view in (1, 2, 3, 4):
        block = execute(chain, chain.tip.block.block_hash, [twice] if view in {1, 3} else [], view=view)
        chain.finalize([block.block_hash], certify(block))
    assert chain.views.status().first_block == 2
    assert chain.views.find_transaction(twice.tx_id).height == 3


def test_old_blocks_and_events_are_forgotten_completely_and_the_rest_stays():
    chain = make_chain(Retention(history_heights=2, blocks_ms=5_000, events_ms=3_000))
    for height in range(1, 21):
        extend(chain, [{height: height}])
    status = chain.views.status()
    assert (status.first_block, status.first_sequence, status.next_sequence) == (15, 17, 21)
    store = chain._store
    for prefix, first in ((BLOCK, 15), (BODY, 15), (RECEIPTS, 15), (EVENT, 17), (UNDO, 19)):
        stop = bytes((prefix[0] + 1,))
        last = 20
        assert [key for key, _ in store.iterate(prefix, stop)] == [
            number_key(prefix, n) for n in range(first, last + 1)
        ]
    assert len(list(store.iterate(TRANSACTION, b"Y"))) == 6
    with pytest.raises(HistoryRejected) as rejected:
        chain.views.block_by_height(14)
    assert (rejected.value.reason, rejected.value.bound) == (HistoryReason.PRUNED, 15)
    with pytest.raises(HistoryRejected) as rejected:
        chain.views.events(15, 10)
    assert (rejected.value.reason, rejected.value.bound) == (HistoryReason.PRUNED, 16)
    assert len(chain.views.events(16, 10)) == 4
    assert chain.ledger.get(ACCOUNTS, address(1)) == record(1)


def test_forgetting_is_bounded_for_each_batch_and_catches_up():
    chain = make_chain(Retention(history_heights=1, blocks_ms=1_000, events_ms=1_000))
    extend(chain, *[[{1: height}] for height in range(1, 3)])
    firsts = []
    extend(chain, *[[{1: height}] for height in range(3, 20)], interval_ms=1)
    for interval_ms in (10_000, 1, 1, 1, 1, 1, 1):
        extend(chain, [], interval_ms=interval_ms)
        firsts.append(chain.views.status().first_block)
    assert firsts == [6, 10, 14, 18, 20, 20, 20]


def test_forgetting_events_is_bounded_for_each_batch(monkeypatch):
    monkeypatch.setattr(state.chain_commit, "PRUNED_EVENTS_MAX", 3)
    chain = make_chain(Retention(blocks_ms=None, events_ms=1_000))
    extend(chain, [{1: index} for index in range(7)])
    firsts = []
    for interval_ms in (10_000, 1, 1, 1):
        extend(chain, [], interval_ms=interval_ms)
        firsts.append(chain.views.status().first_sequence)
    assert firsts == [4, 7, 8, 8]


def test_long_path_that_is_old_at_once_is_kept_until_it_is_stored():
    chain = make_chain(Retention(history_heights=1, blocks_ms=1_000, events_ms=1_000))
    path = [chain.tip.block.block_hash]
    for view in range(1, 6):
        path.append(execute(chain, path[-1], [toy_transaction({1: view}, view)], view, 10_000).block_hash)
    chain.finalize(path[1:], certify(chain.executed(path[-1])))
    status = chain.views.status()
    assert (status.first_block, status.first_sequence, status.height) == (1, 1, 5)
    extend(chain, [])
    status = chain.views.status()
    assert (status.first_block, status.first_sequence, status.height) == (5, 5, 6)


def test_chain_of_overlays_does_not_grow_with_the_chain(chain):
    parent = execute(chain, chain.tip.block.block_hash, [], view=1)
    for view in range(2, 9):
        header = make_header(chain, parent.block_hash, 100 + view)
        pending = chain.begin(bytes((view,)) * 32, header, [])
        child = execute(chain, parent.block_hash, [], view)
        chain.finalize([parent.block_hash], certify(parent))
        assert chain.ledger_at(child.block_hash)._parent is chain.ledger
        assert pending.overlay._parent is chain.ledger
        parent = child


def test_archive_keeps_everything():
    chain = make_chain(Retention(history_heights=1, blocks_ms=None, events_ms=None))
    for height in range(1, 10):
        extend(chain, [{1: height}], interval_ms=10**12)
    assert chain.views.status().first_block == 1
    assert chain.views.block_by_height(1).receipts
    assert len(chain.views.events(0, 100)) == 9
