"""Laws of the store in memory; tests/unit/state/test_leveldb.py holds the same ones against the disk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.store import MemoryStore, key_number, number_key

KEYS = st.binary(min_size=1, max_size=2)
BATCHES = st.lists(
    st.tuples(st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=2)), max_size=5), st.booleans()), max_size=8
)


def contents(store):
    return dict(store.iterate(b"", b"\xff" * 4))


@given(BATCHES)
def test_crash_leaves_exactly_what_was_written_up_to_the_last_synced_batch(batches):
    store = MemoryStore()
    model: dict[bytes, bytes] = {}
    durable: dict[bytes, bytes] = {}
    for batch, sync in batches:
        store.write(batch, sync=sync)
        for key, record in batch:
            if record is None:
                model.pop(key, None)
            else:
                model[key] = record
        durable = dict(model) if sync else durable
        assert contents(store) == model
    store.crash()
    assert contents(store) == durable


def test_close_keeps_unsynced_writes():
    store = MemoryStore()
    store.write([(b"a", b"1")], sync=False)
    store.close()
    store.crash()
    assert store.get(b"a") == b"1"


def test_range_is_half_open_and_ordered_both_ways():
    store = MemoryStore()
    store.write([(key, key) for key in (b"c", b"a", b"d", b"b")])
    assert [key for key, _ in store.iterate(b"a", b"d")] == [b"a", b"b", b"c"]
    assert [key for key, _ in store.iterate(b"b", b"e", reverse=True)] == [b"d", b"c", b"b"]


def test_iteration_and_snapshot_do_not_see_later_writes():
    store = MemoryStore()
    store.write([(b"a", b"1"), (b"b", b"2")])
    iterator, snapshot = store.iterate(b"", b"z"), store.snapshot()
    store.write([(b"a", None), (b"b", b"3"), (b"c", b"4")])
    assert list(iterator) == [(b"a", b"1"), (b"b", b"2")]
    assert list(snapshot.iterate(b"", b"z")) == [(b"a", b"1"), (b"b", b"2")]
    assert snapshot.get(b"c") is None


def test_keys_of_numbers_sort_as_the_numbers_do():
    numbers = [0, 1, 255, 256, 2**40, 2**63 - 1]
    keys = [number_key(b"B", number) for number in numbers]
    assert sorted(keys) == keys
    assert [key_number(key) for key in keys] == numbers
