"""The write-ahead log as the driver uses it: append, make durable before a send, drop what the tip has made useless.

Dropping leaves a floor: if the database ever falls back behind it, by a reset, an old copy or damage, this validator signs nothing
at or below the floor again, though the votes themselves are forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from consensus.records import RECORD_CODEC, FloorRecord, LogRecord, record_position, signing_floor
from node.wal import Log

APPENDED_MAX: Final = 512
"""Appended records after which the log is compacted."""


class VoteLog:
    """Records of one validator, in the order in which they must survive."""

    def __init__(self, log: Log, records: Sequence[LogRecord]) -> None:
        """Take over an open log that holds these records."""
        self._log = log
        self._records = list(records)
        self._appended_count = len(self._records)
        self._has_unsynced = False

    def append(self, record: LogRecord) -> None:
        """Add a record; it is durable after the next `sync`."""
        self._records.append(record)
        self._log.append(RECORD_CODEC.encode(record))
        self._appended_count += 1
        self._has_unsynced = True

    def sync(self) -> None:
        """Make everything appended durable (W1)."""
        if self._has_unsynced:
            self._log.sync()
            self._has_unsynced = False

    def compact(self, epoch: int, view: int) -> None:
        """Drop the records below the final view (W4), once enough were appended, and remember the floor."""
        if self._appended_count <= APPENDED_MAX:
            return
        self.sync()
        position = epoch, view
        kept = [record for record in self._records if record_position(record) >= position]
        floor_epoch, floor_view = max(signing_floor(self._records), position)
        kept = [record for record in kept if not isinstance(record, FloorRecord)]
        self._records = [FloorRecord(epoch=floor_epoch, view=floor_view), *kept]
        self._log.rewrite([RECORD_CODEC.encode(record) for record in self._records])
        self._appended_count = len(self._records)
