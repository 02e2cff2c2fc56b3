"""Evidence of admitted transactions on its way through the thread that verifies it, the best fee per byte first.

Until its answer is there a transaction is held: no block of ours is built with it, nor with what its sender has after it. So a
block seldom has to wait for a verification, and the loop never does. Whatever leaves the mempool meanwhile is not verified any
more, for nobody would pay for it. Beyond the bound of the queue evidence is left to its block, whose work is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Final

from node.mempool import Mempool
from node.shell import Shell
from state.chain import Chain
from state.ledger import Ledger
from state.runtime.trust.evidence import Answer
from state.runtime.warming import EvidenceTask, EvidenceTasks, Found, Lack, keep_answer
from state.transactions import Transaction

WAITING_MAX: Final = 1_024
"""Transactions that wait for the thread: half a minute of the most costly ones."""
RUNNING_MAX: Final = 2
"""Handed to the thread: the next one waits there already when one is done."""
TRIES_MAX: Final = 32
"""Verifications of one transaction's evidence: one more for each record that it asks for, which are 10 for an Intel machine."""


class EvidenceQueue:
    """Who waits for the thread, and what comes back."""

    def __init__(self, chain: Chain, mempool: Mempool[Ledger], shell: Shell, on_verified: Callable[[], None]) -> None:
        """Verify on the newest final state of the chain; on_verified hears that a transaction is held no more."""
        self._chain = chain
        self._mempool = mempool
        self._shell = shell
        self._on_verified = on_verified
        self._tasks = EvidenceTasks()
        self._waiting: list[tuple[int, bytes]] = []
        """Heap of orders in the mempool and envelope hashes."""
        self._running_count = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._running_count

    def add(self, transaction: Transaction) -> None:
        """Hold a pending transaction until its evidence is verified, unless too many wait."""
        if len(self._waiting) < WAITING_MAX:
            order = self._mempool.hold(transaction.envelope_hash)
            heappush(self._waiting, (order, transaction.envelope_hash))
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._running_count < RUNNING_MAX:
            _, envelope_hash = heappop(self._waiting)
            self._running_count += 1
            self._verify(envelope_hash, TRIES_MAX)

    def _verify(self, envelope_hash: bytes, tries_left: int) -> None:
        """Hand evidence to the thread, if its transaction is still here and could pass."""
        task = None
        if tries_left and envelope_hash in self._mempool.held:
            transaction = self._mempool.find(envelope_hash)
            assert transaction is not None, "what is held is pending"
            task = self._tasks.find_task(
                self._chain.ledger, self._chain.tip.block.block_hash, transaction, self._shell.now().wall_ms
            )
        if task is None:
            self._finish(envelope_hash)
        else:
            self._shell.verify_evidence(task, partial(self._take, envelope_hash, task, tries_left - 1))

    def _take(self, envelope_hash: bytes, task: EvidenceTask, tries_left: int, found: Found) -> None:
        match found:
            case Lack():
                self._tasks.learn(self._chain.ledger, found)
                self._verify(envelope_hash, tries_left)
                return
            case Answer():
                keep_answer(task.key, found)
            case None:
                pass
        self._finish(envelope_hash)

    def _finish(self, envelope_hash: bytes) -> None:
        self._running_count -= 1
        if self._mempool.held.drop(envelope_hash):
            self._on_verified()
        self._go_on()
