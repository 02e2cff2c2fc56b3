"""Nonces for many transactions at once from one account.

An account accepts any unused nonce up to 2^32 above its highest one, so a client needs no order and no queue: it starts at a random
place a little above the highest used nonce, where no other client of the same account is likely to be, and counts up from there.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

START_SPREAD: Final = 1 << 20
"""Two clients that start at once meet within 1,000 transactions with a chance of 1 to 500; `Client.send` then signs anew."""


class NonceSource:
    """Fresh nonces per account: strictly increasing within one source, distinct between sources with high probability."""

    def __init__(self, find_next: Callable[[str], Awaitable[int]], random: Random) -> None:
        """Ask find_next for the number above the highest used nonce of an account when it is first needed."""
        self._find_next = find_next
        self._random = random
        self._next_by_address: dict[str, int] = {}
        self._turn_by_address: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def take(self, address: str) -> int:
        """Return a nonce that this source has not returned for the account before."""
        async with self._turn_by_address[address]:
            nonce = self._next_by_address.get(address)
            if nonce is None:
                nonce = await self._find_next(address) + self._random.randrange(START_SPREAD)
            self._next_by_address[address] = nonce + 1
            return nonce

    def forget(self, address: str) -> None:
        """Start anew above the highest used nonce, after the chain called one of ours used."""
        self._next_by_address.pop(address, None)
