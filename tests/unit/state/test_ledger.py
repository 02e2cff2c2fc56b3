"""The ledger: layers of decoded records."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.codec import INTEGER_MAX, encode
from state.errors import StorageFault
from state.ledger import BaseLedger, Overlay, Table
from state.records import ACCOUNTS, EPOCH_ENDS, NEW_ACCOUNT, Account, EpochEnd
from state.store import STATE, MemoryStore
from state.tree_shape import key_path
from tests.support.chain_builders import account, make_ledger, state_entry, store_state
from tests.support.checked_overlay import CheckedOverlay

ALICE, BOB = account(0), account(1)


def rich(balance: int) -> Account:
    return replace(NEW_ACCOUNT, balance=balance)


def base_with(**balances: int) -> tuple[MemoryStore, BaseLedger]:
    addresses = {"alice": ALICE, "bob": BOB}
    store = MemoryStore()
    store_state(store, [(ACCOUNTS.raw_key(addresses[name]), encode(rich(balances[name]))) for name in balances])
    return store, BaseLedger(store)


def test_base_reads_what_the_store_holds_and_none_for_the_rest() -> None:
    _store, base = base_with(alice=7)
    assert base.get(ACCOUNTS, ALICE) == rich(7)
    assert base.find(ACCOUNTS, BOB) is None


def test_a_record_that_must_exist_and_does_not_is_our_mistake() -> None:
    _store, base = base_with()
    with pytest.raises(AssertionError):
        base.get(ACCOUNTS, ALICE)
    with pytest.raises(AssertionError):
        Overlay(base).get(ACCOUNTS, ALICE)


def test_base_keeps_a_decoded_record() -> None:
    store, base = base_with(alice=7)
    first = base.get(ACCOUNTS, ALICE)
    store_state(store, [(ACCOUNTS.raw_key(ALICE), encode(rich(8)))])
    assert base.get(ACCOUNTS, ALICE) is first


def test_base_forgets_the_oldest_record_when_it_holds_too_many() -> None:
    store, _base = base_with(alice=7, bob=1)
    base = BaseLedger(store, cached_max=1)
    base.get(ACCOUNTS, ALICE)
    base.get(ACCOUNTS, BOB)
    store_state(store, [(ACCOUNTS.raw_key(ALICE), encode(rich(8))), (ACCOUNTS.raw_key(BOB), encode(rich(2)))])
    assert base.get(ACCOUNTS, BOB) == rich(1)
    assert base.get(ACCOUNTS, ALICE) == rich(8)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(state_entry(ACCOUNTS.raw_key(ALICE), b"\xff"), id="undecodable value"),
        pytest.param(state_entry(ACCOUNTS.raw_key(BOB), encode(rich(7))), id="another key"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_damaged_entry_is_a_fault_of_storage(stored: bytes) -> None:
    store = MemoryStore()
    store.write([(STATE + key_path(ACCOUNTS.raw_key(ALICE)), stored)])
    with pytest.raises(StorageFault):
        BaseLedger(store).find(ACCOUNTS, ALICE)


def test_overlay_shows_its_writes_above_its_parent_and_never_changes_it() -> None:
    _store, base = base_with(alice=7)
    overlay = Overlay(base)
    overlay.put(ACCOUNTS, ALICE, rich(8))
    overlay.put(ACCOUNTS, BOB, rich(1))
    assert (overlay.get(ACCOUNTS, ALICE), overlay.get(ACCOUNTS, BOB)) == (rich(8), rich(1))
    assert (base.get(ACCOUNTS, ALICE), base.find(ACCOUNTS, BOB)) == (rich(7), None)


def test_deleted_record_is_absent_through_every_layer_above() -> None:
    _store, base = base_with(alice=7)
    lower = Overlay(base)
    lower.delete(ACCOUNTS, ALICE)
    upper = Overlay(lower)
    assert lower.find(ACCOUNTS, ALICE) is None
    assert upper.find(ACCOUNTS, ALICE) is None
    upper.put(ACCOUNTS, ALICE, rich(1))
    assert (lower.find(ACCOUNTS, ALICE), upper.get(ACCOUNTS, ALICE)) == (None, rich(1))


def test_equal_ids_of_different_tables_are_different_records() -> None:
    overlay = Overlay(make_ledger())
    overlay.put(EPOCH_ENDS, b"1", EpochEnd(ended_ms=1))
    assert overlay.find(ACCOUNTS, b"1") is None


def test_changes_hold_exactly_what_differs_from_the_parent() -> None:
    _store, base = base_with(alice=7, bob=1)
    overlay = Overlay(base)
    overlay.put(ACCOUNTS, ALICE, rich(8))
    overlay.put(ACCOUNTS, ALICE, rich(7))
    overlay.delete(ACCOUNTS, BOB)
    overlay.delete(ACCOUNTS, account(5))
    overlay.put(ACCOUNTS, account(6), rich(3))
    assert overlay.changes() == {ACCOUNTS.raw_key(BOB): None, ACCOUNTS.raw_key(account(6)): encode(rich(3))}


def test_changes_of_an_upper_layer_are_relative_to_the_lower_one() -> None:
    _store, base = base_with(alice=7)
    lower = Overlay(base)
    lower.put(ACCOUNTS, ALICE, rich(8))
    upper = Overlay(lower)
    upper.put(ACCOUNTS, ALICE, rich(7))
    assert upper.changes() == {ACCOUNTS.raw_key(ALICE): encode(rich(7))}


def test_rollback_restores_puts_and_deletes_since_the_savepoint_only() -> None:
    _store, base = base_with(alice=7, bob=1)
    overlay = Overlay(base)
    overlay.put(ACCOUNTS, ALICE, rich(8))
    savepoint = overlay.savepoint()
    overlay.put(ACCOUNTS, ALICE, rich(9))
    overlay.put(ACCOUNTS, ALICE, rich(10))
    overlay.delete(ACCOUNTS, BOB)
    overlay.put(ACCOUNTS, account(5), rich(3))
    overlay.rollback(savepoint)
    assert overlay.changes() == {ACCOUNTS.raw_key(ALICE): encode(rich(8))}
    assert overlay.get(ACCOUNTS, BOB) == rich(1)


def test_an_ended_savepoint_cannot_be_restored() -> None:
    overlay = Overlay(make_ledger())
    ended = overlay.savepoint()
    overlay.savepoint()
    with pytest.raises(AssertionError):
        overlay.rollback(ended)


def test_absorbed_block_is_seen_by_the_base_and_by_the_child_that_rests_on_it() -> None:
    store, base = base_with(alice=7, bob=1)
    final = Overlay(base)
    final.put(ACCOUNTS, ALICE, rich(8))
    final.delete(ACCOUNTS, BOB)
    child = Overlay(final)
    child.put(ACCOUNTS, account(5), rich(2))
    before = child.changes()
    base.find(ACCOUNTS, BOB)
    store_state(store, final.changes().items())
    base.absorb(final)
    child.rebase(base)
    assert (base.get(ACCOUNTS, ALICE), base.find(ACCOUNTS, BOB)) == (rich(8), None)
    assert (child.get(ACCOUNTS, ALICE), child.find(ACCOUNTS, BOB)) == (rich(8), None)
    assert child.changes() == before


@pytest.mark.parametrize("balance", [-1, INTEGER_MAX + 1, 1 << 64])
def test_tests_of_the_runtime_write_nothing_that_cannot_be_read_back(balance: int) -> None:
    overlay = CheckedOverlay(make_ledger())
    with pytest.raises(AssertionError, match="cannot be read back"):
        overlay.put(ACCOUNTS, ALICE, rich(balance))
    overlay.put(ACCOUNTS, ALICE, rich(INTEGER_MAX))
    assert overlay.get(ACCOUNTS, ALICE) == rich(INTEGER_MAX)


def test_a_prefix_belongs_to_one_table() -> None:
    with pytest.raises(AssertionError):
        Table(ACCOUNTS.prefix[0], Account, 10)
