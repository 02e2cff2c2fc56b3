"""The store on disk: LevelDB, opened so that it never hides damage. A marked shell file of this package.

LevelDB forgives by default: it drops damaged records of its log, makes an empty database where a file is missing, and goes on after
a failed write with a hole. Here it is never created by accident, never repaired, checks everything it reads, and the first failure
of any kind makes the object refuse everything (reliability rules 1 to 3).

Names of files are durable only once their directory is synced, which LevelDB does for its manifest alone. So the directory and its
parent are synced at opening, and the directory again whenever a synced write finds that its names changed.

A database lies in the directory `data` of a node's home; messages name the home.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import plyvel

from state.durable import ADVICE, FileLock, LockHeld, storage_fault, sync_directory
from state.errors import StorageFault
from state.store import Batch

WRITE_BUFFER_BYTES: Final = 64 << 20
"""Records in memory before a table is written: large, because each table costs compaction later; an opening replays as much."""
CACHE_BYTES: Final = 32 << 20
OPEN_FILES_MAX: Final = 1000
_BLOOM_FILTER_BITS: Final = 10
_TIMESTAMP_STEP_NS: Final = 50_000_000
"""Two changes of a directory closer than this may have one time stamp; file systems stamp in steps of some milliseconds."""


class LevelDBReader:
    """Records of a database or of a snapshot of it, with verified checksums."""

    def __init__(self, source: Any, path: Path) -> None:  # plyvel has no types
        self._source = source
        self._path = path
        self._failure: StorageFault | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the record, or None if there is none.

        Raises:
            StorageFault: the disk or the database failed, now or earlier.
        """
        self._require_usable()
        try:
            record: bytes | None = self._source.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise self._fail("reading", error) from error
        return record

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records of the range as they are at the first step.

        Raises:
            StorageFault: the disk or the database failed, now or earlier.
        """
        self._require_usable()
        try:
            # plyvel loses a single record at the start of a range that it reads backwards, so that end is found here.
            first = None if reverse else start
            with self._source.iterator(start=first, stop=stop, reverse=reverse, verify_checksums=True) as records:
                for key, record in records:
                    if key < start:
                        return
                    yield key, record
        except (plyvel.Error, RuntimeError) as error:
            raise self._fail("reading", error) from error

    def _require_usable(self) -> None:
        if self._failure is not None:
            raise StorageFault(
                f"the database {self._path} failed before ({self._failure}): restart the node, which replays what is missing"
            )

    def _fail(self, action: str, error: Exception) -> StorageFault:
        """Refuse everything from now on, and return the fault that says why."""
        self._failure = database_fault(action, self._path, error)
        return self._failure


class LevelDBStore(LevelDBReader):
    """The records of a running node."""

    def __init__(self, path: Path, lock: FileLock, *, is_new: bool) -> None:
        """Open the locked database; `create` and `open` do that."""
        database = plyvel.DB(
            str(path),
            create_if_missing=is_new,
            error_if_exists=is_new,
            paranoid_checks=True,
            write_buffer_size=WRITE_BUFFER_BYTES,
            lru_cache_size=CACHE_BYTES,
            max_open_files=OPEN_FILES_MAX,
            bloom_filter_bits=_BLOOM_FILTER_BITS,
            compression=None,
        )
        super().__init__(database, path)
        self._lock = lock
        self._names_synced_ns = 0
        sync_directory(path)
        sync_directory(path.parent)

    @classmethod
    def create(cls, path: Path) -> LevelDBStore:
        """Make an empty database in a directory that does not exist yet, or is empty.

        Raises:
            StorageFault: there is something already, or the disk fails.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise StorageFault(f"{path} exists already: a database is never overwritten; choose another --home")
        return cls._locked(path, is_new=True)

    @classmethod
    def open(cls, path: Path) -> LevelDBStore:
        """Open the database of an existing node.

        Raises:
            StorageFault: it is missing, damaged, or in use by another process, or the disk fails.
        """
        if not path.is_dir():
            raise StorageFault(f"there is no database at {path}: check --home; a new home is made by `bocc node init`")
        if not (path / "CURRENT").is_file():
            raise StorageFault(f"the database {path} has lost its file CURRENT; {_reset_advice(path)}")
        return cls._locked(path, is_new=False)

    @classmethod
    def _locked(cls, path: Path, *, is_new: bool) -> LevelDBStore:
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_name(path.name + ".lock"))
        except LockHeld as error:
            raise _in_use(path, error.process) from error
        except OSError as error:
            raise storage_fault(f"locking the database {path}", error) from error
        try:
            return cls(path, lock, is_new=is_new)
        except (plyvel.Error, OSError) as error:
            lock.release()
            raise database_fault("opening", path, error) from error

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        """Apply all changes or none; with sync they are on the disk when this returns.

        Raises:
            StorageFault: the disk or the database failed; nothing is ever written after that.
        """
        self._require_usable()
        try:
            with self._source.write_batch(sync=sync) as changes:
                put, delete = changes.put, changes.delete
                for key, record in batch:
                    if record is None:
                        delete(key)
                    else:
                        put(key, record)
            if sync:
                self._sync_names()
        except (plyvel.Error, RuntimeError, OSError) as error:
            raise self._fail("writing", error) from error

    def snapshot(self) -> LevelDBReader:
        """Return the present records, unmoved by later writes; dropping it releases it."""
        self._require_usable()
        try:
            return LevelDBReader(self._source.snapshot(), self._path)
        except (plyvel.Error, RuntimeError) as error:
            raise self._fail("reading", error) from error

    def close(self) -> None:
        """Close the files and give the lock up. Closing again does nothing."""
        if not self._source.closed:
            self._source.close()
            self._lock.release()

    def _sync_names(self) -> None:
        changed_ns = self._path.stat().st_mtime_ns
        if changed_ns == self._names_synced_ns:
            return
        sync_directory(self._path)
        is_settled = time.time_ns() - changed_ns > _TIMESTAMP_STEP_NS
        self._names_synced_ns = changed_ns if is_settled else 0


def database_fault(action: str, path: Path, error: Exception) -> StorageFault:
    """Return the fault for an error of the database: what was attempted, why it failed, what to do."""
    text = error.args[0] if error.args else b""
    cause = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(error)
    if "already held by process" in cause or "Resource temporarily unavailable" in cause:
        return _in_use(path, "another process, or by this one")
    if isinstance(error, RuntimeError):
        advice = "it is closed; restart the node"
    elif isinstance(error, plyvel.CorruptionError):
        advice = _reset_advice(path)
    else:
        advice = next((text for code, text in ADVICE.items() if os.strerror(code) in cause), _reset_advice(path))
    return StorageFault(f"{action} the database {path}: {cause}; {advice}")


def _in_use(path: Path, process: str) -> StorageFault:
    return StorageFault(f"the database {path} is in use by {process}: one home serves one node at a time")


def _reset_advice(path: Path) -> str:
    return (
        f"it is damaged and must not be repaired in place: `bocc node reset --home {path.parents[1]}` keeps keys and the log of "
        f"votes, and the node takes the state from its peers again"
    )
