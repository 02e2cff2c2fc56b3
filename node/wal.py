"""The write-ahead log of a node's own votes and what they rest on (consensus spec 4.7, W1 to W7).

A record is bytes; what it means is its owner's. The records between two syncs form one group, which a crash keeps or loses as a
whole, so a vote is never there without the body that was appended with it. The first record of a file says whose log it is.

Invariants:
- `sync` returns only when everything appended before is durable. After any failure the log refuses everything.
- The file is created and rewritten as a whole and moved into place.
- Opening moves a fresh copy into place, because the page cache may show bytes that a failed sync never brought to the disk.
- The torn end of the last group is dropped at opening; any other damage makes the log refuse to open. Nothing is skipped.
- One process has the log: a lock file beside it is held from opening to closing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from node.wal_frames import FrameWriter, Scan, scan_log
from state.durable import FileLock, LockHeld, replace_file, storage_fault, sync_directory, write_all
from state.errors import StorageFault

RECORD_BYTES_MAX: Final = 16 << 20
"""Longest record: four times the largest block."""


class LogMismatch(StorageFault):
    """The log belongs to another chain or another key."""


class Log(Protocol):
    """Records that must be durable before something visible follows from them."""

    def append(self, record: bytes) -> None:
        """Add a record to the current group; it is not durable yet."""

    def sync(self) -> None:
        """Make the current group durable; does nothing if it is empty."""

    def records(self) -> tuple[bytes, ...]:
        """Return the records that were there when the log was opened, oldest first, without the header."""

    def rewrite(self, keep: Sequence[bytes]) -> None:
        """Replace all durable records by these; the current group follows them. All of it is durable afterwards."""

    def close(self) -> None:
        """Give the log up; what was not synced is dropped."""


class MemoryLog:
    """A log for simulations, with the same crash semantics."""

    def __init__(self) -> None:
        self._durable: list[bytes] = []
        self._group: list[bytes] = []

    def append(self, record: bytes) -> None:
        """Add a record to the current group."""
        self._group.append(record)

    def sync(self) -> None:
        """Make the current group durable."""
        self._durable += self._group
        self._group = []

    def records(self) -> tuple[bytes, ...]:
        """Return the durable records."""
        return tuple(self._durable)

    def rewrite(self, keep: Sequence[bytes]) -> None:
        """Replace all durable records by these and the current group."""
        self._durable = [*keep, *self._group]
        self._group = []

    def close(self) -> None:
        """Drop what was not synced; the same object is the log after a restart."""
        self._group = []

    def crash(self, *, was_group_written: bool = False) -> None:
        """Lose the process in the middle of a sync: the current group is kept or lost as a whole."""
        if was_group_written:
            self.sync()
        self._group = []


class FileLog:
    """The log of a running node."""

    def __init__(self, path: Path, header: bytes, lock: FileLock, records: tuple[bytes, ...]) -> None:
        """Take over a locked log; `create` and `open` make one."""
        self._path = path
        self._header = header
        self._lock = lock
        self._records = records
        self._group: list[bytes] = []
        self._is_usable = True
        self._descriptor = -1
        with self._failing("opening the log"):
            self._replace(records)

    @classmethod
    def create(cls, path: Path, header: bytes) -> FileLog:
        """Make a new log whose first record is the header. It lies in the directory `data` of the node's home.

        Raises:
            StorageFault: there is one already, or the disk fails.
        """
        with _taking_lock(path) as lock:
            if path.exists():
                raise StorageFault(f"{path} exists already: a log of votes is never overwritten")
            return cls(path, header, lock, ())

    @classmethod
    def open(cls, path: Path, header: bytes) -> FileLog:
        """Take the log, check that its first record is the header, and drop a torn end.

        Raises:
            LogMismatch: the log was made for another chain or key.
            StorageFault: it is missing, damaged, or in use by another process, or the disk fails.
        """
        with _taking_lock(path) as lock:
            found = scan_log(_read_log(path))
            _check_whole(path, found)
            _check_header(path, found, header)
            return cls(path, header, lock, found.records[1:])

    def append(self, record: bytes) -> None:
        """Add a record to the current group; it is not durable yet."""
        assert len(record) <= RECORD_BYTES_MAX, "every kind of record is bounded"
        self._require_usable()
        self._group.append(record)

    def sync(self) -> None:
        """Make the current group durable; does nothing if it is empty.

        Raises:
            StorageFault: the disk fails; nothing may follow from the group.
        """
        self._require_usable()
        if not self._group:
            return
        with self._failing("writing the log"):
            for frame in self._frames.frames(self._group):
                write_all(self._descriptor, frame)
            os.fdatasync(self._descriptor)
        self._group = []

    def records(self) -> tuple[bytes, ...]:
        """Return the records that were there at opening, oldest first, until the first rewrite."""
        return self._records

    def rewrite(self, keep: Sequence[bytes]) -> None:
        """Replace all durable records by these; the current group follows them. All of it is durable afterwards.

        Raises:
            StorageFault: the disk fails.
        """
        self._require_usable()
        with self._failing("rewriting the log"):
            self._replace((*keep, *self._group))
        self._group = []
        self._records = ()

    def close(self) -> None:
        """Give the log up; what was not synced is dropped."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._lock.release()
        self._is_usable = False

    def _replace(self, records: Sequence[bytes]) -> None:
        """Move a new file with header and records into place and append to that one from now on."""
        self._frames = FrameWriter()
        replace_file(self._path, (self._frames.frame((self._header,)), *self._frames.frames(records)))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _require_usable(self) -> None:
        if not self._is_usable:
            raise StorageFault(f"{self._path} is closed, or a write to it failed; restart the node")

    @contextmanager
    def _failing(self, action: str) -> Iterator[None]:
        """Refuse everything for good if the operating system refuses once."""
        try:
            yield
        except OSError as error:
            self._is_usable = False
            raise storage_fault(f"{action} {self._path}", error) from error


class RepairReport(Struct, frozen=True):
    """What a repair found and did."""

    kept_records: int
    dropped_bytes: int
    damaged_copy: Path | None
    """Where the file as it was is kept; None if it was whole."""


def repair_log(path: Path, header: bytes) -> RepairReport:
    """Keep the valid frames before the first bad one, and the damaged file beside the log.

    Votes may be lost: after a repair with a damaged copy the validator must start with resume_after set, so that it
    never signs where it may have signed before.

    Raises:
        LogMismatch: the log was made for another chain or key.
        StorageFault: it is missing or in use by another process, or the disk fails.
    """
    with _taking_lock(path) as lock:
        found = scan_log(_read_log(path))
        _check_header(path, found, header)
        kept = found.records[1:]
        damaged_copy = _set_aside(path) if found.is_damaged or found.valid_bytes < found.file_bytes else None
        FileLog(path, header, lock, kept).close()
    return RepairReport(len(kept), found.file_bytes - found.valid_bytes, damaged_copy)


def _set_aside(path: Path) -> Path:
    """Give the file a second name that no file has yet, durably."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        aside.hardlink_to(path)
        sync_directory(path.parent)
    except OSError as error:
        raise storage_fault(f"setting {path} aside as {aside.name}", error) from error
    return aside


def _check_whole(path: Path, found: Scan) -> None:
    if found.is_damaged:
        raise StorageFault(
            f"{path} is damaged at byte {found.valid_bytes} of {found.file_bytes}, before its end, and votes may be lost; "
            f"run `bocc node repair-log --home {path.parents[1]}`"
        )


def _check_header(path: Path, found: Scan, header: bytes) -> None:
    """Refuse a log whose readable header is another one; an unreadable one is for the repair."""
    if found.records and found.records[0] != header:
        raise LogMismatch(
            f"{path} is the log of another chain or another validator key; its votes say nothing about this one. "
            f"Check --home, the genesis and the key file"
        )


def _read_log(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise storage_fault(f"reading the log {path}", error) from error


@contextmanager
def _taking_lock(path: Path) -> Iterator[FileLock]:
    """Lock the log for whom the block returns, or not at all if it fails."""
    try:
        lock = FileLock(path.with_name(path.name + ".lock"))
    except LockHeld as error:
        raise StorageFault(f"{path} is in use by {error.process}: one home serves one node at a time") from error
    except OSError as error:
        raise storage_fault(f"locking the log {path}", error) from error
    try:
        yield lock
    except StorageFault:
        lock.release()
        raise
