"""Files that survive power loss: whole replacement, directory entries, locks. A marked shell file of this package.

Invariant: a file written here is, after any crash, the earlier one or the new one in full. Its name is durable only once its
directory is synced (reliability rule 3), so every replacement does both. `OSError` passes through; the owner of the file says
what it means.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from state.errors import StorageFault

TEMPORARY_SUFFIX: Final = ".new"
"""Of a replacement that is not complete; a leftover of a crash, overwritten by the next one."""


ADVICE: Final = {
    errno.ENOSPC: "the disk is full: make room, then start again",
    errno.EDQUOT: "the disk quota is used up: make room, then start again",
    errno.EFBIG: "the file may not grow further: raise the limit on file sizes, then start again",
    errno.EIO: "the disk is failing: check it, then start again; if data is lost, `bocc node reset` and sync from peers",
    errno.EROFS: "the file system is read-only: check the disk and how it is mounted",
    errno.EACCES: "the process may not access it: check owner and mode",
    errno.EPERM: "the process may not access it: check owner and mode",
    errno.ENOENT: "it does not exist: check --home; a new home is made by `bocc node init`",
    errno.ELOOP: "it is a symbolic link, which is not followed: put the file itself there",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
}
"""What people can do about an error of the operating system, by its number."""


def storage_fault(action: str, error: OSError) -> StorageFault:
    """Return the fault for a failed call of the operating system: what was attempted, why it failed, what to do."""
    advice = ADVICE.get(error.errno or 0, "the node stops; start it again once the cause is gone")
    return StorageFault(f"{action}: {error}; {advice}")


class LockHeld(Exception):
    """Another process holds the lock."""

    def __init__(self, path: Path, process: str) -> None:
        super().__init__(f"{path} is locked by {process}")
        self.process = process
        """The holder as far as it is known, for people."""


def write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes, in as many calls as it takes."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, parts: Iterable[bytes], *, mode: int = 0o600) -> None:
    """Put a file with these parts in the place of another, or of none, durably and in one step.

    If this fails, the part that was written is removed, so that it takes no room on a full disk.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    temporary.unlink(missing_ok=True)
    try:
        _write_new(temporary, parts, mode)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write_new(path: Path, parts: Iterable[bytes], mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        for part in parts:
            write_all(descriptor, part)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileLock:
    """An exclusive lock that ends with its process. The file stays and names the last holder."""

    def __init__(self, path: Path) -> None:
        """Take the lock, creating its file.

        Raises:
            LockHeld: another process, or another lock object of this one, holds it.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise LockHeld(path, f"process {holder}" if holder.isdecimal() else "another process") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Give the lock up."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
