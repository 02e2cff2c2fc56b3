"""Challenges: recent blocks that evidence and receipts name, to show that they were made just now."""

from __future__ import annotations

from state.errors import TransactionRejected
from state.records import RECENT_BLOCKS, RecentBlock, number_key
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason


def find_challenge(context: Context, height: int) -> RecentBlock:
    """Return the block of a height, which is on record and within the challenge window.

    Raises:
        TransactionRejected: CHALLENGE_UNKNOWN, CHALLENGE_TOO_OLD.
    """
    block = context.ledger.find(RECENT_BLOCKS, number_key(height))
    if block is None:
        raise TransactionRejected(TransactionReason.CHALLENGE_UNKNOWN, height, context.height - 1)
    oldest_ms = context.time_ms - context.params.attestation.challenge_window_ms
    if block.time_ms < oldest_ms:
        raise TransactionRejected(TransactionReason.CHALLENGE_TOO_OLD, block.time_ms, oldest_ms)
    return block
