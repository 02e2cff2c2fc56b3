"""Submitted transactions on their way into the mempool: one bounded queue, one consumer, in batches.

Batches make signature verification outside of the loop worth its cost, and the bound makes a flood cost its sender an error instead
of our memory. The fate of a transaction that nobody waits for shows in the tracker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from node.admission import MempoolReason
from node.api.context import NodeContext
from node.api.errors import ApiReason, ErrorCode, RpcError
from state.errors import Rejected
from state.runtime.reasons import TransactionReason
from state.runtime.rules import are_signers_authorised
from state.transactions import Transaction

REASONS_OF_SIZE: Final = frozenset(
    {TransactionReason.ENVELOPE_TOO_LARGE, TransactionReason.FEE_TOO_LOW, MempoolReason.MEMPOOL_FULL}
)
"""Refusals that depend on how many signatures an envelope has, and come before these are verified."""
BATCH_MAX: Final = 256
"""Transactions handed to the node at a time: about 15 ms of signature verification in its thread."""


class SubmissionQueue:
    """The queue between the API and `NodeContext.submit`."""

    def __init__(self, node: NodeContext, waiting_max: int) -> None:
        """Start empty; `run` must be running for anything to happen."""
        self._node = node
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Transaction, asyncio.Future[Rejected | None] | None]] = deque()
        self._is_filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, transaction: Transaction) -> None:
        """Queue a transaction for verification and admission; its fate shows in the tracker.

        Raises:
            RpcError: LIMIT_EXCEEDED, INTAKE_FULL.
        """
        self._put(transaction, None)

    async def admit(self, transaction: Transaction) -> None:
        """Queue a transaction and wait for its admission.

        Raises:
            RpcError: LIMIT_EXCEEDED, INTAKE_FULL.
            Rejected: why it is not admitted.
        """
        future: asyncio.Future[Rejected | None] = asyncio.get_running_loop().create_future()
        self._put(transaction, future)
        rejection = await future
        if rejection is not None:
            raise rejection

    def _put(self, transaction: Transaction, future: asyncio.Future[Rejected | None] | None) -> None:
        if len(self._waiting) >= self._waiting_max:
            raise RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.INTAKE_FULL, len(self._waiting), self._waiting_max)
        self._waiting.append((transaction, future))
        self._is_filled.set()

    async def run(self) -> None:
        """Hand over what is queued, for ever."""
        while True:
            await self._is_filled.wait()
            self._is_filled.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
                outcomes = await self._node.submit([transaction for transaction, _ in batch])
                self._settle(zip(batch, outcomes, strict=True))

    def _settle(
        self,
        settled: Iterable[tuple[tuple[Transaction, asyncio.Future[Rejected | None] | None], Rejected | None]],
    ) -> None:
        tracker = self._node.tracker
        for (transaction, future), rejection in settled:
            if rejection is None:
                tracker.on_admitted(transaction.tx_id)
            elif future is None and self._is_of_its_signers(transaction, rejection):
                tracker.on_refused(transaction.tx_id, rejection)
            if future is not None and not future.done():
                future.set_result(rejection)

    def _is_of_its_signers(self, transaction: Transaction, rejection: Rejected) -> bool:
        """Tell whether a refusal speaks of the transaction that the owner knows by this id, if anything does.

        Anybody can wrap a foreign body in an envelope of his own; what becomes of that is no news of the owner's transaction. He
        can also name more of the owner's keys than the owner used, with false signatures, which makes the envelope longer.
        """
        if len(transaction.signatures) > 1 and rejection.reason in REASONS_OF_SIZE:
            return False
        if rejection.reason is TransactionReason.BAD_SIGNATURE or self._node.mempool.is_known(transaction.tx_id):
            return False
        return are_signers_authorised(self._node.chain.ledger, transaction)
