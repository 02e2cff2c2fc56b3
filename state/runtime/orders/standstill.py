"""Standstills of the chain: while no block is made, nobody can prove or do anything, so no silence of that time counts.

What is on record of recent blocks tells of a date whether it fell into one. Each node has the same records.
"""

from __future__ import annotations

from typing import Final

from state.records import CHAIN_STATE, ONLY, RECENT_BLOCKS, ChainState, number_key
from state.runtime.context import Context

STANDSTILL_MS: Final = 300_000
"""Time between two blocks above which the chain stood still. An idle chain makes a block with each heartbeat."""
LATE_MS: Final = 5_000
"""Time after a date within which a chain that was only idle has made the block that the date called for."""


def standstill_end(context: Context, date_ms: int) -> int | None:
    """Return the time of the block that ended the standstill into which a date fell; None if it fell into none on record."""
    chain = context.ledger.get(CHAIN_STATE, ONLY)
    low, high = chain.recent_first, context.height
    while low < high:
        middle = (low + high) // 2
        if _time_of(context, chain, middle) < date_ms:
            low = middle + 1
        else:
            high = middle
    if low <= chain.recent_first:
        return None
    end_ms = _time_of(context, chain, low)
    is_standstill = end_ms - _time_of(context, chain, low - 1) > STANDSTILL_MS and end_ms - date_ms > LATE_MS
    return end_ms if is_standstill else None


def _time_of(context: Context, chain: ChainState, height: int) -> int:
    """Return the time of a block. In a dry run, the last one is not among the recent ones yet."""
    if height == context.height:
        return context.time_ms
    if height == chain.height:
        return chain.time_ms
    return context.ledger.get(RECENT_BLOCKS, number_key(height)).time_ms
