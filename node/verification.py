"""Signatures of transactions, verified in batches by a thread: libsodium releases the interpreter lock, so the loop goes on.

A handful is verified on the spot, which is faster than waking a thread. Evidence has a thread of its own, so that signatures do
not wait for it; most of its work needs the interpreter, which threads leave to each other every fraction of a millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final

from node.shell import EvidenceVerified, SignaturesVerified
from state.runtime.warming import EvidenceTask, Found
from state.transactions import Transaction

INLINE_MAX: Final = 2
"""Verified at once: about 60 microseconds each."""
BATCH_MAX: Final = 64
"""Verified by the thread in one go, so that others get their turn."""
WAITING_MAX: Final = 16_384
"""Signatures in the queue above which peers are read no further."""


class SignaturePool:
    """Three threads that verify for the loop: signatures of blocks, which wait for nothing else, all other signatures, evidence."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start each thread with its first work."""
        self._loop = loop
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="signatures")
        self._block_threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="block-signatures")
        self._evidence_threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evidence")
        self._is_closed = False
        self.waiting_count = 0
        self.verified_count = 0

    @property
    def is_congested(self) -> bool:
        """Tell whether the queue is so long that nothing more should be read."""
        return self.waiting_count > WAITING_MAX

    def verify(self, transactions: Sequence[Transaction], done: SignaturesVerified, *, is_block: bool = False) -> None:
        """Verify all signatures of the transactions, then call done on the loop with the envelope hashes of the wrong ones."""
        self.verified_count += _count(transactions)
        if _count(transactions) <= INLINE_MAX:
            done(find_wrong(transactions))
            return
        threads = self._block_threads if is_block else self._threads
        self.waiting_count += _count(transactions)
        parts = [transactions[start : start + BATCH_MAX] for start in range(0, len(transactions), BATCH_MAX)]
        gathering = _Gathering(len(parts), done)
        for part in parts:
            future = threads.submit(find_wrong, part)
            future.add_done_callback(partial(self._hand_over, _count(part), gathering))

    def verify_evidence(self, task: EvidenceTask, done: EvidenceVerified) -> None:
        """Verify evidence, then call done on the loop with what was found."""
        future = self._evidence_threads.submit(task.verify)
        future.add_done_callback(partial(self._hand_over_evidence, done))

    def _hand_over(self, count: int, gathering: _Gathering, future: Future[frozenset[bytes]]) -> None:
        if not self._loop.is_closed() and not future.cancelled():
            self._loop.call_soon_threadsafe(self._finish, count, gathering, future)

    def _hand_over_evidence(self, done: EvidenceVerified, future: Future[Found]) -> None:
        if not self._loop.is_closed() and not future.cancelled():
            self._loop.call_soon_threadsafe(self._finish_evidence, done, future)

    def _finish_evidence(self, done: EvidenceVerified, future: Future[Found]) -> None:
        if not self._is_closed:
            done(future.result())

    def _finish(self, count: int, gathering: _Gathering, future: Future[frozenset[bytes]]) -> None:
        if not self._is_closed:
            self.waiting_count -= count
            gathering.add(future.result())

    def close(self) -> None:
        """Drop what waits and end the threads; nobody is told anything any more."""
        self._is_closed = True
        for threads in (self._threads, self._block_threads, self._evidence_threads):
            threads.shutdown(wait=True, cancel_futures=True)


class _Gathering:
    """Results of the parts of one call."""

    def __init__(self, part_count: int, done: SignaturesVerified) -> None:
        self._missing = part_count
        self._done = done
        self._wrong: frozenset[bytes] = frozenset()

    def add(self, wrong: frozenset[bytes]) -> None:
        self._wrong |= wrong
        self._missing -= 1
        if self._missing == 0:
            self._done(self._wrong)


def _count(transactions: Sequence[Transaction]) -> int:
    return sum(len(one.signatures) for one in transactions)


def find_wrong(transactions: Sequence[Transaction]) -> frozenset[bytes]:
    """Return the envelope hashes of those with a wrong signature."""
    return frozenset(one.envelope_hash for one in transactions if not one.has_valid_signatures())
