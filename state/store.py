"""Ordered key-value storage as the chain sees it, and the one in memory for simulations.

Invariants:
- A batch is atomic: after a crash all of it is there or nothing. Batches survive in the order in which they were written, so a
  synced one makes all before it durable.
- Any failure raises `StorageFault` and the store refuses everything afterwards: what a failed write left behind is only known
  after a restart (reliability rule 1).
- Keys are one prefix byte, below, and the rest; integers in keys are 8 bytes big-endian, so that order of keys is order of numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

Batch = Sequence[tuple[bytes, bytes | None]]
"""Changes in their order: a value is put, None deletes."""

BLOCK: Final = b"B"
"""Final block by height: header, result, certificate. Its other parts lie apart, because most readers need this one alone."""
BODY: Final = b"D"
"""Envelopes of a final block by height."""
EPOCH: Final = b"C"
"""Epoch by number: its start, and the certificate of its last block."""
EVENT: Final = b"E"
"""Event log by sequence number."""
BLOCK_HEIGHT: Final = b"H"
"""Height by block hash."""
META: Final = b"M"
"""Records of the store as a whole: the genesis, and what is stored up to which height."""
RECEIPTS: Final = b"R"
"""Receipts of a final block by height, and where its events are."""
STATE: Final = b"S"
"""State record by path, 32 bytes: length of the key (2 bytes), key, value."""
TIP: Final = b"T"
"""One record: the newest final block with its epoch."""
UNDO: Final = b"U"
"""What the state records that a block changed were before it, by height."""
TRANSACTION: Final = b"X"
"""Place of a transaction, height and index, by tx_id."""


def number_key(prefix: bytes, number: int) -> bytes:
    """Return the key of a record that is named by a number."""
    return prefix + number.to_bytes(8, "big")


def key_number(key: bytes) -> int:
    """Return the number in a key that `number_key` made."""
    return int.from_bytes(key[1:], "big")


class Reader(Protocol):
    """Something to read records from: a store, or a snapshot of it."""

    def get(self, key: bytes) -> bytes | None:
        """Return the record, or None if there is none."""

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records with start <= key < stop in the order of keys; close the iterator if it is not used up."""


class Store(Reader, Protocol):
    """Durable records."""

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        """Apply all changes or none; with sync they are on the disk when this returns."""

    def snapshot(self) -> Reader:
        """Return the present records, unmoved by later writes."""

    def close(self) -> None:
        """Release the store; nothing that was written is lost."""


class MemoryReader:
    """Records of a dictionary, with its keys sorted when an iteration needs it."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        self._records = records
        self._sorted_keys: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the record, or None if there is none."""
        return self._records.get(key)

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records of the range as they are at the call."""
        if self._sorted_keys is None:
            self._sorted_keys = sorted(self._records)
        keys = self._sorted_keys[bisect_left(self._sorted_keys, start) : bisect_left(self._sorted_keys, stop)]
        return iter([(key, self._records[key]) for key in (reversed(keys) if reverse else keys)])


class MemoryStore(MemoryReader):
    """A store without a disk, for simulations: what is not synced is lost in a crash."""

    def __init__(self) -> None:
        super().__init__({})
        self._unsynced: list[tuple[bytes, bytes | None]] = []
        """What was before each unsynced change, oldest first."""

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        """Apply all changes; with sync a crash keeps them and all before."""
        if sync:
            self._unsynced.clear()
        else:
            written: set[bytes] = set()
            for key, _ in batch:
                if key not in written:
                    written.add(key)
                    self._unsynced.append((key, self._records.get(key)))
        self._apply(batch)

    def _apply(self, batch: Batch) -> None:
        records = self._records
        count = len(records)
        has_removed = False
        for key, record in batch:
            if record is None:
                has_removed = records.pop(key, None) is not None or has_removed
            else:
                records[key] = record
        if has_removed or len(records) != count:
            self._sorted_keys = None

    def snapshot(self) -> MemoryReader:
        """Return a copy of the present records."""
        return MemoryReader(dict(self._records))

    def crash(self) -> None:
        """Forget what was not synced, as power loss does. The same object is the store after the restart."""
        self._apply(self._unsynced[::-1])
        self._unsynced.clear()

    def close(self) -> None:
        """Make everything durable; the same object is the store after a restart."""
        self._unsynced.clear()
