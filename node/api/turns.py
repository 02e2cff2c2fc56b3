"""Shares of the event loop's turns: however many clients call, what the API does in one turn is bounded, and nobody waits unfairly.

A turn of the loop runs every task that is ready, so a thousand ready calls would run before consensus is heard again. Work of the
API therefore waits once the share of the present turn is spent, and goes on in the order in which it came. Work that finds the
share unspent and nobody before it runs at once: an idle API costs no wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from typing import Final

SHARE_S: Final = 0.005
"""Work in one turn of the loop; a piece that has begun may exceed it."""
WOKEN_MAX: Final = 256
"""Waiting pieces that are woken for one turn; those for which the share does not last wait on, before later ones."""


class Turns:
    """One share for one kind of work."""

    def __init__(self, share_s: float = SHARE_S) -> None:
        """Begin with an unspent share of seconds."""
        self._share_s = share_s
        self._spent_s = 0.0
        self._tickets = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        """Heap by ticket."""
        self._is_renewal_due = False

    @asynccontextmanager
    async def taking(self) -> AsyncIterator[None]:
        """Wait until some of a turn's share is left, and count what runs inside against it. Nothing inside may wait."""
        if self._waiting or self._spent_s >= self._share_s:
            await self._wait()
        began_s = time.monotonic()
        try:
            yield
        finally:
            self._spent_s += time.monotonic() - began_s
            self._renew_later()

    async def _wait(self) -> None:
        self._tickets += 1
        ticket = self._tickets
        while True:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (ticket, woken))
            self._renew_later()
            await woken
            if self._spent_s < self._share_s:
                return

    def _renew_later(self) -> None:
        if not self._is_renewal_due:
            self._is_renewal_due = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        """Give out a new share; called by the loop in the turn after the one in which something was spent or began to wait."""
        self._is_renewal_due = False
        self._spent_s = 0.0
        for _ in range(min(WOKEN_MAX, len(self._waiting))):
            _, woken = heappop(self._waiting)
            if not woken.done():
                woken.set_result(None)
        if self._waiting:
            self._renew_later()
