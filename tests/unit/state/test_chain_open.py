"""Laws of restarts: whatever the moment of the crash and the state of the table, the chain is the last final one or none at all."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from state.block import TIP_CODEC
from state.chain import Chain
from state.chain_commit import Retention
from state.chain_open import TreeSource
from state.codec import encode
from state.errors import StorageFault
from state.records import ACCOUNTS
from state.store import BLOCK, BLOCK_HEIGHT, STATE, TIP, UNDO, MemoryStore, number_key
from state.stored import GENESIS_KEY, STATUS_KEY
from tests.support.toy_chain import GENESIS, ToyExecution, address, certify, execute, extend, record, toy_transaction

RETENTION = Retention(history_heights=8)
FIRST_RECORD = b"first record of the state"


class Crash(Exception):
    """The process is gone."""


class CrashingStore(MemoryStore):
    """A store that loses its process at a chosen write: before it, or after it is durable."""

    crash_at = 0
    is_written = False

    def write(self, batch, *, sync=True):
        self.crash_at -= 1
        if self.crash_at == 0:
            if self.is_written:
                super().write(batch, sync=sync)
            self.crash()
            raise Crash
        super().write(batch, sync=sync)


def make_chain(store=None, table_path=None):
    return Chain.create(
        store or MemoryStore(), GENESIS, begin_execution=ToyExecution, retention=RETENTION, table_path=table_path
    )


def reopen(chain_or_store, table_path=None):
    store = getattr(chain_or_store, "_store", chain_or_store)
    return Chain.open(store, begin_execution=ToyExecution, retention=RETENTION, table_path=table_path)


def grow(chain, heights, keys=40):
    for height in range(chain.tip.block.height + 1, chain.tip.block.height + 1 + heights):
        extend(chain, [{(height * 7 + index) % 500: height for index in range(keys)}, {height: None}])


def assert_same(chain, other):
    assert chain.tip == other.tip
    assert chain.views.status() == other.views.status()
    tree, other_tree = chain._branches.tree, other._branches.tree
    assert (tree.root, tree.k, tree.n) == (other_tree.root, other_tree.k, other_tree.n)
    assert tree.copy_buckets() == other_tree.copy_buckets()


def test_restart_stands_where_the_chain_stood_and_goes_on_alike():
    chain, twin = make_chain(), make_chain()
    grow(chain, 20)
    grow(twin, 20)
    reopened = reopen(chain)
    assert reopened.tree_source is TreeSource.SCAN
    assert_same(reopened, twin)
    grow(reopened, 20)
    grow(twin, 20)
    assert_same(reopened, twin)


def test_unfinal_blocks_are_gone_after_a_restart():
    chain = make_chain()
    grow(chain, 3)
    block = execute(chain, chain.tip.block.block_hash, [toy_transaction({1: 1})], view=9)
    chain._store.crash()
    reopened = reopen(chain)
    assert not reopened.is_executed(block.block_hash)
    assert reopened.tip == chain.tip
    again = execute(reopened, reopened.tip.block.block_hash, [toy_transaction({1: 1})], view=9)
    assert again == block


@pytest.mark.parametrize("is_written", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("crash_at", range(1, 8))
def test_crash_at_each_write_leaves_the_chain_before_or_after_that_finalisation(crash_at, is_written):
    store, twin = CrashingStore(), make_chain()
    store.crash_at, store.is_written = crash_at, is_written
    with pytest.raises(Crash):
        grow(make_chain(store), 20)
    durable_writes = crash_at if is_written else crash_at - 1
    if durable_writes == 0:
        with pytest.raises(StorageFault, match="holds no chain"):
            reopen(store)
        return
    grow(twin, durable_writes - 1)
    assert_same(reopen(store), twin)


def test_path_of_several_blocks_becomes_final_as_a_whole_or_not_at_all():
    for is_written in (False, True):
        store = CrashingStore()
        chain = make_chain(store)
        first = execute(chain, chain.tip.block.block_hash, [toy_transaction({1: 1})], view=1)
        second = execute(chain, first.block_hash, [toy_transaction({1: 2})], view=2)
        store.crash_at, store.is_written = 1, is_written
        with pytest.raises(Crash):
            chain.finalize([first.block_hash, second.block_hash], certify(second))
        reopened = reopen(store)
        assert reopened.tip.block.height == (2 if is_written else 0)
        assert reopened.ledger.find(ACCOUNTS, address(1)) == (record(2) if is_written else None)
        assert len(reopened.views.events(0, 10)) == (2 if is_written else 0)


def test_clean_close_writes_a_table_that_the_next_start_uses(tmp_path):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    grow(chain, 20)
    execute(chain, chain.tip.block.block_hash, [toy_transaction({1: 1})], view=99)
    chain.close()
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.TABLE
    twin = make_chain()
    grow(twin, 20)
    assert_same(reopened, twin)
    grow(reopened, 5)
    grow(twin, 5)
    assert_same(reopened, twin)


@pytest.mark.parametrize("behind", [0, 1, 5, 8])
def test_table_of_an_older_height_is_caught_up(tmp_path, behind):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    grow(chain, 20)
    chain.close()
    grow(chain, behind, keys=200)
    twin = make_chain()
    grow(twin, 20)
    grow(twin, behind, keys=200)
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.TABLE
    assert_same(reopened, twin)


def test_table_older_than_the_undo_records_is_not_used(tmp_path):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    chain.close()
    grow(chain, 9)
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.SCAN
    assert_same(reopened, chain)


def test_table_newer_than_the_state_is_not_used(tmp_path):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    grow(chain, 5)
    restored = MemoryStore()
    restored.write(list(chain._store.iterate(b"", b"\xff")))
    grow(chain, 1)
    chain.close()
    reopened = reopen(restored, table_path)
    assert (reopened.tree_source, reopened.tip.block.height) == (TreeSource.SCAN, 5)


def test_table_of_another_chain_is_not_used(tmp_path):
    table_path = tmp_path / "state.table"
    other = make_chain(table_path=table_path)
    grow(other, 5, keys=13)
    other.close()
    chain = make_chain()
    grow(chain, 5)
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.SCAN
    assert_same(reopened, chain)


def test_table_with_more_splits_than_the_state_is_not_used(tmp_path):
    table_path = tmp_path / "state.table"
    other = make_chain(table_path=table_path)
    grow(other, 3, keys=300)
    other.close()
    chain = make_chain()
    grow(chain, 4)
    assert reopen(chain, table_path).tree_source is TreeSource.SCAN


def test_table_is_not_used_if_an_undo_record_since_is_missing(tmp_path):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    grow(chain, 3)
    chain.close()
    grow(chain, 3)
    chain._store.write([(number_key(UNDO, 5), None)])
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.SCAN
    assert reopened.earliest_value_height == 5


def test_table_that_cannot_be_read_is_a_fault(tmp_path):
    chain = make_chain()
    with pytest.raises(StorageFault, match="reading"):
        reopen(chain, tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_table_costs_a_scan_and_nothing_else(tmp_path_factory, data):
    """A table whose height reads lower is as good: what came since is put in once more, and the root must be right."""
    table_path = tmp_path_factory.mktemp("table") / "state.table"
    chain = make_chain(table_path=table_path)
    grow(chain, 4)
    chain.close()
    content = bytearray(table_path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    height, is_lower = bytes(content[:8]), False
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
        is_lower = bytes(content[:8]) < height
    else:
        del content[position:]
    table_path.write_bytes(content)
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.SCAN or is_lower
    assert_same(reopened, chain)


def test_table_is_due_every_half_history_and_one_at_a_time(tmp_path):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    taken = {}
    for height in range(1, 10):
        grow(chain, 1)
        dump = chain.take_dump()
        if dump is not None:
            taken[height] = dump
    assert list(taken) == [4]
    taken[4].run()
    assert chain.take_dump().height == 9
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.TABLE
    assert_same(reopened, chain)


def test_table_that_is_written_while_the_chain_goes_on_is_of_its_height(tmp_path):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    grow(chain, 4, keys=100)
    execute(chain, chain.tip.block.block_hash, [toy_transaction(dict.fromkeys(range(500), 5))], view=99)
    dump = chain.take_dump()
    grow(chain, 3, keys=100)
    dump.run()
    reopened = reopen(chain, table_path)
    assert reopened.tree_source is TreeSource.TABLE
    assert_same(reopened, chain)


def test_crash_while_the_table_is_written_keeps_the_one_before(tmp_path):
    table_path = tmp_path / "state.table"
    chain = make_chain(table_path=table_path)
    grow(chain, 4)
    chain.close()
    before = table_path.read_bytes()
    grow(chain, 4)
    dump = chain.take_dump()
    dump._slices = iter([next(dump._slices)])
    dump._slices = _interrupted(dump._slices)
    with suppress(Crash):
        dump.run()
    assert table_path.read_bytes() == before
    assert reopen(chain, table_path).tree_source is TreeSource.TABLE


def _interrupted(slices):
    yield from slices
    raise Crash


def test_full_disk_while_the_table_is_written_is_a_fault(tmp_path, monkeypatch):
    chain = make_chain(table_path=tmp_path / "state.table")
    grow(chain, 4)

    def fail(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(StorageFault, match="make room"):
        chain.take_dump().run()


def test_store_without_a_chain_is_refused():
    with pytest.raises(StorageFault, match="bocc node init"):
        reopen(MemoryStore())


def lower_tip(encoded_tip):
    tip = TIP_CODEC.decode(encoded_tip)
    return encode(replace(tip, block=replace(tip.block, height=4)))


DAMAGES = {
    "record lost": (FIRST_RECORD, lambda _: None),
    "record changed": (FIRST_RECORD, lambda entry: entry[:-1] + bytes((entry[-1] ^ 1,))),
    "record added": (STATE + b"\x80" * 32, lambda _: b"\0\1a1"),
    "record under a short key": (STATE + b"\x80" * 31, lambda _: b"\0\1a1"),
    "record malformed": (STATE + b"\x80" * 32, lambda _: b"\0\0"),
    "status lost": (STATUS_KEY, lambda _: None),
    "status damaged": (STATUS_KEY, lambda status: status[:-1]),
    "tip lost": (TIP, lambda _: None),
    "tip of another height": (TIP, lower_tip),
    "genesis damaged": (GENESIS_KEY, lambda _: b"\x00"),
    "undo record damaged": (number_key(UNDO, 3), lambda _: b"short"),
    "undo record cut": (number_key(UNDO, 3), lambda undo: undo[:-1]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_store_that_does_not_hold_what_its_root_commits_to_is_refused_in_words(damage):
    chain = make_chain()
    grow(chain, 5)
    key, change = DAMAGES[damage]
    if key is FIRST_RECORD:
        key = next(chain._store.iterate(STATE, b"T"))[0]
    chain._store.write([(key, change(chain._store.get(key)))])
    with pytest.raises(StorageFault, match="bocc node reset"):
        reopen(chain)


def test_lost_block_is_a_fault_when_it_is_read():
    chain = make_chain()
    grow(chain, 5)
    chain._store.write([(number_key(BLOCK, 3), None)])
    with pytest.raises(StorageFault, match="has lost the record"):
        chain.views.block_by_height(3)


def test_index_that_leads_to_another_block_is_a_fault():
    chain = make_chain()
    grow(chain, 2)
    first = chain.views.block_by_height(1).block_hash
    chain._store.write([(BLOCK_HEIGHT + first, (2).to_bytes(8, "big"))])
    with pytest.raises(StorageFault, match="another block than"):
        chain.views.block_by_hash(first)


def test_damaged_event_is_a_fault_and_no_answer():
    chain = make_chain()
    grow(chain, 1)
    key, event = next(chain._store.iterate(b"E", b"F"))
    chain._store.write([(key, encode(1) + event)])
    with pytest.raises(StorageFault, match="damaged record"):
        chain.views.events(0, 10)
