"""Virtual time: what happens when, in the order of times and then of scheduling. Nothing in a simulation reads a real clock."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Action = Callable[..., None]  # Any arguments, which are scheduled with it


class EventQueue:
    """The future of one simulated world."""

    def __init__(self) -> None:
        """Start at time 0 with nothing planned."""
        self.time_ms = 0
        self.happened = 0
        self._serial = 0
        self._events: list[tuple[int, int, Action, tuple[Any, ...]]] = []  # Any: arguments of the action

    def __len__(self) -> int:
        return len(self._events)

    def schedule(self, delay_ms: int, action: Action, *arguments: Any) -> int:
        """Plan an action; return its serial number."""
        self._serial += 1
        heappush(self._events, (self.time_ms + delay_ms, self._serial, action, arguments))
        return self._serial

    def step(self, end_ms: int) -> bool:
        """Let the next event happen if it is due before the end; tell whether it was."""
        if not self._events or self._events[0][0] > end_ms:
            self.time_ms = end_ms
            return False
        self.time_ms, _, action, arguments = heappop(self._events)
        self.happened += 1
        action(*arguments)
        return True
