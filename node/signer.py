"""The validator's key in use: the only code of a running node that holds it.

What may be signed is decided by the guard in consensus/signing.py, which gets `sign` and nothing else. The key is locked, so that
two nodes of one machine cannot share a key file; copies of it elsewhere are noticed by the votes that they make.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from node.errors import SignerFault
from state.crypto import SigningKey
from state.durable import FileLock, LockHeld, storage_fault
from state.keyfile import KeyFile, KeyFileRejected, KeyKind, load_key


class FileSigner:
    """A validator key from its file, locked until it is closed."""

    def __init__(self, key: SigningKey, lock: FileLock) -> None:
        """Take over a locked key; `open` makes one."""
        self._key = key
        self._lock = lock
        self.public_key = key.public_key

    @classmethod
    def open(cls, path: Path, password: bytes | None) -> Self:
        """Load and lock a key file.

        Raises:
            SignerFault: the file may not be used, holds another kind of key, or is in use.
            StorageFault: the disk fails.
        """
        key_file = _load(path, password)
        if key_file.kind is not KeyKind.VALIDATOR:
            raise SignerFault(f"{path} holds a key of kind {key_file.kind}; votes need one of kind validator")
        try:
            lock = FileLock(path.with_name(path.name + ".lock"))
        except LockHeld as error:
            raise SignerFault(
                f"{path} is in use by {error.process}: a validator that runs twice is punished"
            ) from error
        except OSError as error:
            raise storage_fault(f"locking {path}", error) from error
        return cls(key_file.signing_key(), lock)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message that the guard allowed."""
        return self._key.sign(message)

    def close(self) -> None:
        """Give the key up."""
        self._lock.release()


def _load(path: Path, password: bytes | None) -> KeyFile:
    try:
        return load_key(path, password)
    except KeyFileRejected as rejected:
        raise SignerFault(f"{path} is not usable: {rejected}") from rejected
    except OSError as error:
        raise storage_fault(f"reading {path}", error) from error
