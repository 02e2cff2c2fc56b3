"""The store on disk holds the laws of the store in memory, and refuses in words where it must."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import state.leveldb
from state.errors import StorageFault
from state.leveldb import LevelDBStore
from state.store import MemoryStore

ROOT = Path(__file__).resolve().parents[3]
KEYS = st.binary(min_size=1, max_size=2)
BATCHES = st.lists(st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=2)), max_size=5), max_size=5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


@pytest.fixture
def store(path):
    opened = LevelDBStore.create(path)
    yield opened
    opened.close()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(BATCHES, KEYS, KEYS, st.booleans())
def test_reads_what_the_store_in_memory_reads_also_after_reopening(tmp_path, batches, start, stop, reverse):
    shutil.rmtree(tmp_path / "db", ignore_errors=True)
    model = MemoryStore()
    with closing(LevelDBStore.create(tmp_path / "db")) as store:
        for batch in batches:
            store.write(batch)
            model.write(batch)
        expected = list(model.iterate(start, stop, reverse=reverse))
        assert list(store.iterate(start, stop, reverse=reverse)) == expected
    with closing(LevelDBStore.open(tmp_path / "db")) as store:
        assert list(store.iterate(start, stop, reverse=reverse)) == expected
        assert store.get(start) == model.get(start)


def test_single_record_at_the_start_of_a_range_is_read_backwards_too(store):
    store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    assert list(store.iterate(b"b", b"c", reverse=True)) == [(b"b", b"2")]
    assert list(store.iterate(b"a", b"c", reverse=True)) == [(b"b", b"2"), (b"a", b"1")]


def test_snapshot_does_not_see_later_writes(store):
    store.write([(b"a", b"1"), (b"b", b"2")])
    snapshot = store.snapshot()
    store.write([(b"a", None), (b"b", b"3"), (b"c", b"4")])
    assert list(snapshot.iterate(b"", b"z")) == [(b"a", b"1"), (b"b", b"2")]
    assert snapshot.get(b"a") == b"1"


def test_iteration_that_is_dropped_early_leaves_the_store_usable(store):
    store.write([(b"%d" % number, b"") for number in range(9)])
    iterator = store.iterate(b"", b"z")
    assert next(iterator) == (b"0", b"")
    iterator.close()
    store.write([(b"a", b"1")])
    assert store.get(b"a") == b"1"


def test_opening_what_is_not_there_is_refused_and_creates_nothing(path):
    with pytest.raises(StorageFault, match=r"no database at .*bocc node init"):
        LevelDBStore.open(path)
    assert not path.exists()


def test_directory_that_cannot_be_made_is_a_fault(path):
    path.write_bytes(b"a file")
    with pytest.raises(StorageFault, match="exists already"):
        LevelDBStore.create(path)
    with pytest.raises(StorageFault, match="locking the database"):
        LevelDBStore.create(path / "db")


def test_create_never_touches_an_existing_database(path, store):
    store.write([(b"a", b"1")])
    store.close()
    (path / "CURRENT").unlink()
    with pytest.raises(StorageFault, match="never overwritten"):
        LevelDBStore.create(path)
    with pytest.raises(StorageFault, match=f"lost its file CURRENT.*bocc node reset --home {path.parents[1]}"):
        LevelDBStore.open(path)


def test_damaged_log_is_refused_instead_of_dropping_its_records(path, store):
    for number in range(200):
        store.write([(b"%d" % number, bytes(500))])
    store.close()
    log = max(path.glob("*.log"), key=lambda file: file.stat().st_size)
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    with pytest.raises(StorageFault, match=r"checksum mismatch.*bocc node reset"):
        LevelDBStore.open(path)


def test_second_opening_is_refused_with_the_pid_of_the_first(path, store):
    with pytest.raises(StorageFault, match=f"in use by process {os.getpid()}"):
        LevelDBStore.open(path)
    program = (
        "import pathlib\nfrom state.leveldb import LevelDBStore\nfrom state.errors import StorageFault\n"
        f"try:\n    LevelDBStore.open(pathlib.Path({str(path)!r}))\n"
        "except StorageFault as fault:\n    print(fault)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"in use by process {os.getpid()}" in answer.stdout
    store.write([(b"a", b"1")])


def test_database_that_lost_its_lock_file_is_still_protected(path, store):
    path.with_name("db.lock").unlink()
    with pytest.raises(StorageFault, match="in use by another process, or by this one"):
        LevelDBStore.open(path)


class FailingDatabase:
    """A database of which one call fails with an error of LevelDB."""

    def __init__(self, database, failing, error):
        self._database, self._failing, self._error = database, failing, error

    @property
    def closed(self):
        return self._database.closed

    def __getattr__(self, name):
        if name == self._failing:
            raise self._error
        return getattr(self._database, name)


@pytest.mark.parametrize("failing", ["write_batch", "get", "iterator", "snapshot"])
@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (state.leveldb.plyvel.IOError(b"IO error: db/000003.log: No space left on device"), "make room"),
        (state.leveldb.plyvel.IOError(b"IO error: db/000003.log: Input/output error"), "disk is failing"),
        (state.leveldb.plyvel.CorruptionError(b"Corruption: block checksum mismatch"), "bocc node reset"),
    ],
    ids=["full", "failing", "corrupt"],
)
def test_first_failure_of_any_kind_makes_the_store_refuse_everything(store, failing, error, advice):
    store.write([(b"a", b"1")])
    uses = {
        "write_batch": lambda: store.write([(b"b", b"2")]),
        "get": lambda: store.get(b"a"),
        "iterator": lambda: list(store.iterate(b"", b"z")),
        "snapshot": store.snapshot,
    }
    healthy = store._source
    store._source = FailingDatabase(healthy, failing, error)
    with pytest.raises(StorageFault, match=advice):
        uses[failing]()
    store._source = healthy
    for use in uses.values():
        with pytest.raises(StorageFault, match=r"failed before .*: restart"):
            use()


def test_closed_store_refuses_and_closes_again_quietly(path, store):
    store.close()
    store.close()
    with pytest.raises(StorageFault, match="closed"):
        store.get(b"a")
    LevelDBStore.open(path).close()


def test_names_are_synced_at_opening_and_when_they_change(path, monkeypatch):
    synced = []
    monkeypatch.setattr(state.leveldb, "sync_directory", synced.append)
    store = LevelDBStore.create(path)
    assert synced == [path, path.parent]
    os.utime(path, ns=(1, 1))
    store.write([(b"a", b"1")])
    store.write([(b"b", b"1")], sync=False)
    store.write([(b"c", b"1")])
    assert synced == [path, path.parent, path]
    os.utime(path, ns=(2, 2))
    store.write([(b"d", b"1")])
    assert synced == [path, path.parent, path, path]
    store.close()


def test_names_that_changed_just_now_are_synced_again_at_the_next_write(path, monkeypatch):
    synced = []
    monkeypatch.setattr(state.leveldb, "sync_directory", synced.append)
    store = LevelDBStore.create(path)
    now_ns = path.stat().st_mtime_ns
    monkeypatch.setattr(state.leveldb.time, "time_ns", lambda: now_ns + 1)
    for _ in range(2):
        store.write([(b"a", b"1")])
    assert synced == [path, path.parent, path, path]
    store.close()
