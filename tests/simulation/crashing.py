"""Disks of simulated nodes: the log and the store in memory, where the power may fail at any operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.wal import MemoryLog
from state.store import Batch, MemoryStore


class CrashPoint(Exception):
    """The power failed in the middle of an operation."""


Spend = Callable[[], None]
"""Called before and after each operation; raises CrashPoint if the power fails there."""


class SimulatedLog(MemoryLog):
    """A log whose durable records can be asked for."""

    def __init__(self, spend: Spend) -> None:
        """Start empty."""
        super().__init__()
        self._spend = spend
        self._durable_records: set[bytes] = set()
        self.is_syncing = False
        """The power failed while the group was being written, if it fails now."""
        self.syncs = 0

    def append(self, record: bytes) -> None:
        """Add a record to the current group."""
        self._spend()
        super().append(record)

    def sync(self) -> None:
        """Make the current group durable."""
        self.is_syncing = True
        self._spend()
        self.is_syncing = False
        self._durable_records.update(self._group)
        super().sync()
        self.syncs += 1
        self._spend()

    def rewrite(self, keep: Sequence[bytes]) -> None:
        """Replace all durable records by these and the current group, in one step."""
        self._spend()
        super().rewrite(keep)
        self._durable_records = set(self._durable)
        self._spend()

    def crash(self, *, was_group_written: bool = False) -> None:
        """Lose what was not synced; a group that was being written is there as a whole or not at all."""
        group = self._group if was_group_written else []
        self._durable += group
        self._durable_records.update(group)
        self._group = []
        self.is_syncing = False

    def has_durable(self, record: bytes) -> bool:
        """Tell whether a record would survive a crash now."""
        return record in self._durable_records

    def copy(self) -> MemoryLog:
        """Return another log with the same durable records."""
        other = MemoryLog()
        other.rewrite(self._durable)
        return other

    def __len__(self) -> int:
        return len(self._durable)


class SimulatedStore(MemoryStore):
    """A store that may lose power before and after each batch."""

    def __init__(self, spend: Spend) -> None:
        """Start empty."""
        super().__init__()
        self._spend = spend

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        """Apply a batch."""
        self._spend()
        super().write(batch, sync=sync)
        self._spend()

    def copy(self) -> MemoryStore:
        """Return another store with the same records."""
        other = MemoryStore()
        other.write(self.items())
        return other

    def items(self) -> list[tuple[bytes, bytes]]:
        """Return all records."""
        return list(self._records.items())
