"""Nonces without a queue: an account remembers its highest nonce and the ranges that were skipped below it.

A nonce above the highest is accepted within a window and its skipped range remembered; a nonce inside a remembered range is
accepted once. In-order use stores nothing. When ranges become too many, the lowest is forgotten and counts as used: so if the
transactions of one sender ascend in nonce, one that was usable before the first of them stays usable (a range forgotten lies
below the nonce just used).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from state.codec import INTEGER_MAX
from state.records import UNUSED_RANGES_MAX, Account, NonceRange
from state.runtime.reasons import TransactionReason

NONCE_WINDOW: Final = 1 << 32
"""How far above the highest used nonce the next one may lie."""


def find_nonce_problem(account: Account, nonce: int) -> TransactionReason | None:
    """Return why the account cannot use this nonce, or None if it can: NONCE_USED, NONCE_TOO_HIGH."""
    if nonce >= account.next_nonce:
        is_within_window = nonce < account.next_nonce + NONCE_WINDOW and nonce < INTEGER_MAX
        return None if is_within_window else TransactionReason.NONCE_TOO_HIGH
    position = _find_range(account.unused_nonces, nonce)
    return TransactionReason.NONCE_USED if position is None else None


def use_nonce(account: Account, nonce: int) -> tuple[int, tuple[NonceRange, ...]]:
    """Return next_nonce and unused_nonces of the account after using a nonce that has no problem."""
    following, ranges = account.next_nonce, account.unused_nonces
    if nonce == following:
        return nonce + 1, ranges
    if nonce > following:
        return nonce + 1, (*ranges, (following, nonce - 1))[-UNUSED_RANGES_MAX:]
    position = _find_range(ranges, nonce)
    assert position is not None, "a usable nonce below the highest lies in a range"
    first, last = ranges[position]
    parts = ((first, nonce - 1), (nonce + 1, last))
    kept = tuple(part for part in parts if part[0] <= part[1])
    return following, (ranges[:position] + kept + ranges[position + 1 :])[-UNUSED_RANGES_MAX:]


def _find_range(ranges: tuple[NonceRange, ...], nonce: int) -> int | None:
    """Return the position of the ascending range that holds the nonce, or None."""
    position = bisect_right(ranges, (nonce, INTEGER_MAX)) - 1
    return position if position >= 0 and nonce <= ranges[position][1] else None
