"""Executions of blocks one after another, in slices, so that no block stalls the loop however large it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from state.block import Header
from state.chain import Chain
from state.chain_branches import ExecutedBlock
from state.chain_execution import PendingExecution
from state.runtime.work import WORK
from state.transactions import Transaction

SLICE_TRANSACTIONS: Final = 128
"""Transactions executed at a time, about 3 ms. Costly messages, such as evidence that is verified only now, count as many."""
SHORT_TRANSACTIONS_MAX: Final = 64
"""A block up to this size is executed at once; a larger one in slices, so that votes do not wait for it."""
LIGHT_BYTES_MAX: Final = 2_048
"""A transaction up to this size counts as one: evidence and vendors' documents are larger."""
ORDINARY_WORK: Final = 25
"""Work units that count as one transaction."""
OnExecuted = Callable[[ExecutedBlock], None]


class _Job(Struct, frozen=True):
    block_hash: bytes
    header: Header
    transactions: Sequence[Transaction]
    on_executed: OnExecuted


class Executor:
    """The executions that wait, and the one under way. A block's parent is executed or waits before it."""

    def __init__(self, chain: Chain) -> None:
        """Start idle."""
        self._chain = chain
        self._jobs: deque[_Job] = deque()
        self._pending: PendingExecution | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits."""
        return not self._jobs

    def submit(
        self, block_hash: bytes, header: Header, transactions: Sequence[Transaction], on_executed: OnExecuted
    ) -> None:
        """Execute a block after those that wait; on_executed gets what came of it."""
        self._jobs.append(_Job(block_hash, header, transactions, on_executed))

    def run_short(self) -> bool:
        """Execute a short block at once if no other one waits; return whether nothing is left to do."""
        if len(self._jobs) == 1 and _is_short(self._jobs[0].transactions):
            while self.run_slice():
                pass
        return self.is_idle

    def run_slice(self) -> bool:
        """Execute some transactions of the first block; return whether anything is left to do."""
        if not self._jobs:
            return False
        job = self._jobs[0]
        if self._is_superseded(job):
            self._finish_job()
            return bool(self._jobs)
        if self._chain.is_executed(job.block_hash):
            self._finish_job()
            job.on_executed(self._chain.executed(job.block_hash))
            return bool(self._jobs)
        if self._pending is None:
            self._pending = self._chain.begin(job.block_hash, job.header, job.transactions)
        if self._pending.run(_count_slice(job.transactions, self._pending.next_index)):
            executed = self._chain.finish(self._pending)
            self._finish_job()
            job.on_executed(executed)
        return bool(self._jobs)

    def _is_superseded(self, job: _Job) -> bool:
        """Tell whether the block became final otherwise, or its parent was passed over, while it waited."""
        parent_hash = job.header.parent_hash
        tip = self._chain.tip.block
        has_parent = parent_hash == tip.block_hash or self._chain.is_executed(parent_hash)
        return job.header.height <= tip.height or not has_parent

    def _finish_job(self) -> None:
        self._jobs.popleft()
        self._pending = None


def _weigh(transaction: Transaction) -> int:
    """Return how many ordinary transactions a transaction counts as."""
    if len(transaction.encoded) <= LIGHT_BYTES_MAX:
        return 1
    units = 0
    for message in transaction.body.messages:
        work = WORK[type(message)]
        count_extra = work.extra
        units += work.units + (0 if count_extra is None else count_extra(message))
    return 1 + units // ORDINARY_WORK


def _count_slice(transactions: Sequence[Transaction], start: int) -> int:
    """Return how many transactions from start on are one slice: one at least, of whatever weight."""
    weight = count = 0
    for transaction in transactions[start : start + SLICE_TRANSACTIONS]:
        weight += _weigh(transaction)
        if count and weight > SLICE_TRANSACTIONS:
            break
        count += 1
    return count


def _is_short(transactions: Sequence[Transaction]) -> bool:
    """Tell whether a block may be executed at once."""
    is_small = len(transactions) <= SHORT_TRANSACTIONS_MAX
    return is_small and sum(map(_weigh, transactions)) <= SHORT_TRANSACTIONS_MAX
