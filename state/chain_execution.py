"""A block in execution: what the chain asks of the runtime, and the slices in which it runs.

The chain knows the runtime by this protocol alone, so the laws of storage are tested with a runtime of a few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from state.block import EpochStart, Header
from state.ledger import Overlay
from state.receipts import Event, Receipt
from state.transactions import Transaction
from state.validators import ValidatorSet


class Outcome(Protocol):
    """What executing a block gave, besides its writes."""

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """One for each transaction, in order."""

    @property
    def events(self) -> tuple[Event, ...]:
        """Of the whole block, in order."""

    @property
    def next_validators(self) -> ValidatorSet:
        """The set after the block."""


class Execution(Protocol):
    """A block in execution on an overlay."""

    def apply(self, transaction: Transaction) -> None:
        """Execute the next transaction."""

    def finish(self) -> Outcome:
        """Do the work at the end of the block."""


BeginExecution = Callable[[Overlay, Header, EpochStart, ValidatorSet], Execution]
"""Starts the execution of a block on an overlay of its parent's state, in an epoch with these validators."""


class PendingExecution:
    """A block that is being executed, in slices so that votes are not kept waiting."""

    def __init__(
        self,
        block_hash: bytes,
        header: Header,
        transactions: Sequence[Transaction],
        overlay: Overlay,
        execution: Execution,
    ) -> None:
        """Start before the first transaction."""
        self.block_hash = block_hash
        self.header = header
        self.transactions = transactions
        self.overlay = overlay
        self.execution = execution
        self.is_obsolete = False
        """Another branch became final: the state below is gone, and the block is never finished."""
        self.next_index = 0
        """Of the first transaction that is not executed yet."""

    def run(self, transactions_max: int) -> bool:
        """Execute some more transactions, and tell whether none is left to do."""
        if self.is_obsolete:
            return True
        stop = min(self.next_index + transactions_max, len(self.transactions))
        for index in range(self.next_index, stop):
            self.execution.apply(self.transactions[index])
        self.next_index = stop
        return stop == len(self.transactions)
