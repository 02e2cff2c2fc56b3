"""Where recent transactions stand above the store: in notarised blocks, or refused; and who waits to hear of it.

The driver tells of blocks, waiting calls get a plain fact. Nothing here reads the store or the clock.

Invariants:
- A fact at level final is told only after the block is durable; one at level notarized may be undone by another branch.
- A receipt of an envelope whose signers had no right to it settles nothing: anybody can wrap a foreign body, and the envelope
  of its owner may still come.
- What is kept of unfinal blocks ends with their height; refusals and waiters are bounded.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from msgspec import Struct

from node.api.errors import ApiReason, ErrorCode, RpcError
from state.chain_branches import ExecutedBlock
from state.errors import Rejected
from state.receipts import Receipt

REFUSALS_MAX: Final = 4_096
"""Refusals of transactions submitted without waiting that are remembered for those who ask later."""
RECENT_BLOCKS_MAX: Final = 64
"""Final blocks whose receipts are kept decoded, or fewer if they have many transactions."""
RECENT_RECEIPTS_MAX: Final = 50_000


class Level(IntEnum):
    """How settled an inclusion is."""

    NOTARIZED = 1
    FINAL = 2


class Inclusion(Struct, frozen=True):
    """A transaction in a block."""

    level: Level
    height: int
    index: int
    receipt: Receipt
    block_hash: bytes


class TransactionTracker:
    """Recent inclusions by transaction id, and the calls that wait for one."""

    def __init__(self, waiters_max: int = 10_000) -> None:
        """Start empty."""
        self._waiters_max = waiters_max
        self._unfinal: dict[bytes, ExecutedBlock] = {}
        """Notarised and executed blocks above the final one, by hash."""
        self._notarized: dict[bytes, Inclusion] = {}
        self._recent: OrderedDict[int, tuple[bytes, ...]] = OrderedDict()
        """Transaction ids of recent final blocks by height."""
        self._final: dict[bytes, Inclusion] = {}
        self._refused: OrderedDict[bytes, Rejected] = OrderedDict()
        self._waiting: dict[bytes, dict[asyncio.Future[Inclusion | Rejected], Level]] = {}
        self.waiter_count = 0

    def on_notarized(self, block: ExecutedBlock) -> None:
        """Take note of a block that is notarised and executed."""
        if block.block_hash in self._unfinal:
            return
        self._unfinal[block.block_hash] = block
        for inclusion, tx_id in _inclusions(block, Level.NOTARIZED):
            self._notarized[tx_id] = inclusion
            self._wake(tx_id, inclusion)

    def on_final(self, blocks: Iterable[ExecutedBlock]) -> None:
        """Take note of blocks that are final and durable, oldest first, and forget the branches they passed over."""
        height = 0
        for block in blocks:
            height = block.header.height
            for inclusion, tx_id in _inclusions(block, Level.FINAL):
                self._final[tx_id] = inclusion
                self._wake(tx_id, inclusion)
            self._recent[height] = tuple(receipt.tx_id for receipt in block.receipts if receipt.is_settling)
        self._unfinal = {
            block_hash: block for block_hash, block in self._unfinal.items() if block.header.height > height
        }
        self._notarized = {
            tx_id: inclusion
            for block in self._unfinal.values()
            for inclusion, tx_id in _inclusions(block, Level.NOTARIZED)
        }
        while len(self._recent) > RECENT_BLOCKS_MAX or len(self._final) > RECENT_RECEIPTS_MAX:
            oldest, tx_ids = self._recent.popitem(last=False)
            for tx_id in tx_ids:
                if self._final[tx_id].height == oldest:
                    del self._final[tx_id]

    def on_refused(self, tx_id: bytes, rejection: Rejected) -> None:
        """Take note that a submitted transaction is not admitted and was not pending before."""
        self._refused[tx_id] = rejection
        self._refused.move_to_end(tx_id)
        if len(self._refused) > REFUSALS_MAX:
            self._refused.popitem(last=False)
        for future in self._waiting.pop(tx_id, ()):
            if not future.done():
                future.set_result(rejection)

    def on_admitted(self, tx_id: bytes) -> None:
        """Forget an earlier refusal: the transaction is pending now."""
        self._refused.pop(tx_id, None)

    def find(self, tx_id: bytes) -> Inclusion | None:
        """Return the best that is known of a transaction without the store."""
        return self._final.get(tx_id) or self._notarized.get(tx_id)

    def find_unfinal_block(self, tx_id: bytes) -> ExecutedBlock | None:
        """Return the notarised block that contains a transaction."""
        inclusion = self._notarized.get(tx_id)
        if inclusion is None:
            return None
        return self._unfinal[inclusion.block_hash]

    def find_refusal(self, tx_id: bytes) -> Rejected | None:
        """Return why a transaction was not admitted lately."""
        return self._refused.get(tx_id)

    async def wait(self, tx_id: bytes, level: Level, timeout_ms: int) -> Inclusion | Rejected | None:
        """Wait until a transaction has come to a level or is refused; None if time is up.

        Raises:
            RpcError: LIMIT_EXCEEDED, TOO_MANY_WAITERS.
        """
        if self.waiter_count >= self._waiters_max:
            raise RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.TOO_MANY_WAITERS, self.waiter_count, self._waiters_max)
        future: asyncio.Future[Inclusion | Rejected] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tx_id, {})[future] = level
        self.waiter_count += 1
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                return await future
        except TimeoutError:
            return None
        finally:
            self.waiter_count -= 1
            futures = self._waiting.get(tx_id)
            if futures is not None:
                futures.pop(future, None)
                if not futures:
                    del self._waiting[tx_id]

    def _wake(self, tx_id: bytes, inclusion: Inclusion) -> None:
        for future, level in self._waiting.get(tx_id, {}).items():
            if inclusion.level >= level and not future.done():
                future.set_result(inclusion)


def _inclusions(block: ExecutedBlock, level: Level) -> Iterable[tuple[Inclusion, bytes]]:
    height, block_hash = block.header.height, block.block_hash
    return (
        (Inclusion(level, height, index, receipt, block_hash), receipt.tx_id)
        for index, receipt in enumerate(block.receipts)
        if receipt.is_settling
    )
