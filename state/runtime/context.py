"""What a handler sees: the ledger above the parent, and the block's time and place."""

from __future__ import annotations

from collections.abc import Callable

from state.ledger import Overlay
from state.params import Params
from state.receipts import Event, EventKind
from state.runtime.trust.judgement import Judge
from state.trust_records import Cohort

Concern = Callable[[Cohort], bool]
"""Tells of a cohort whether a change matters to it."""


class Context:
    """One block's execution as its handlers see it. Handlers read and write `ledger` and emit events; all else is read only."""

    __slots__ = (
        "chain_id",
        "concerns",
        "epoch",
        "events",
        "fees_returned",
        "height",
        "judge",
        "ledger",
        "message_index",
        "nonce",
        "params",
        "time_ms",
        "tx_index",
    )

    def __init__(self, ledger: Overlay, params: Params, chain_id: bytes, epoch: int, height: int, time_ms: int) -> None:
        """Prepare the execution of a block at this epoch, height and block time."""
        self.ledger = ledger
        self.params = params
        self.chain_id = chain_id
        self.epoch = epoch
        self.height = height
        self.time_ms = time_ms
        self.events: list[Event] = []
        self.concerns: list[Concern] = []
        """Which cohorts this block's changes have judged again, at its end."""
        self.fees_returned = 0
        """Messages of the present transaction that were news to all; if all were, its fee goes back."""
        self.judge: Judge | None = None
        """What the block judged enclaves by; ask `judge_of` for it (state/runtime/trust/enclaves.py)."""
        self.tx_index: int | None = None
        self.nonce = 0
        """Of the present transaction; with the index of its message it names an order."""
        self.message_index = 0
        """Of the message that is applied."""

    def emit(self, kind: EventKind, /, **attributes: int | bytes) -> None:
        """Record a transition. Rolling back the transaction drops it."""
        self.events.append(Event(kind=kind, tx_index=self.tx_index, attributes=tuple(attributes.items())))
