"""Equivocation on its way into a block: each convicted validator is reported until the report is admitted, and once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.effects import ReportEquivocation
from state.votes import Vote

RETRY_TICKS: Final = 50
"""About five seconds between two attempts."""
Report = Callable[[bytes, Vote, Vote], bool]
"""Takes a convicted validator and its votes, gets a report into the mempool, and tells whether that worked."""


class Convictions:
    """What is still to be reported. Bounded by the validators there ever were."""

    def __init__(self, report: Report) -> None:
        """Start without any."""
        self._report = report
        self._waiting: dict[bytes, tuple[Vote, Vote]] = {}
        self._reported: set[bytes] = set()
        self._ticks = 0

    def add(self, found: ReportEquivocation) -> None:
        """Report a validator, unless that was done."""
        if found.validator not in self._reported and found.validator not in self._waiting:
            self._waiting[found.validator] = (found.first, found.second)
            self._try(found.validator)

    def tick(self) -> None:
        """Try again what could not be reported, for want of money or place."""
        self._ticks += 1
        if self._ticks % RETRY_TICKS == 0:
            for validator in sorted(self._waiting):
                self._try(validator)

    def _try(self, validator: bytes) -> None:
        if self._report(validator, *self._waiting[validator]):
            self._reported.add(validator)
            del self._waiting[validator]
