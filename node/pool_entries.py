"""Entries of the mempool: a pending transaction with its order, and the queue of one sender by nonce."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from msgspec import Struct

from state.transactions import Transaction

RATE_SCALE: Final = 1_000
"""Fee rates are integers in thousandths of a ubocc per byte."""
_ARRIVAL_BITS: Final = 48


class Entry:
    """A pending transaction in its places."""

    __slots__ = ("byte_count", "fee", "nonce", "order", "outgoing", "sender", "transaction")

    def __init__(self, transaction: Transaction, arrival: int, outgoing: int) -> None:
        """Take a transaction that came as the arrival-th; outgoing is what it takes from its sender, fee included."""
        body = transaction.body
        self.transaction = transaction
        self.sender = body.sender
        self.nonce = body.nonce
        self.fee = body.fee
        self.outgoing = outgoing
        self.byte_count = len(transaction.encoded)
        self.order = arrival - (fee_rate(transaction) << _ARRIVAL_BITS)
        """Unique; the lower, the earlier in a block and the later to be dropped."""


class Sender:
    """Pending transactions of one account, by nonce, and the sum of what they take from it."""

    __slots__ = ("entries", "reserved")

    def __init__(self) -> None:
        """Start empty."""
        self.entries: list[Entry] = []
        self.reserved = 0

    def find(self, nonce: int) -> Entry | None:
        """Return the transaction with this nonce."""
        position = bisect_left(self.entries, nonce, key=nonce_of)
        is_there = position < len(self.entries) and self.entries[position].nonce == nonce
        return self.entries[position] if is_there else None

    @property
    def least_needed(self) -> int:
        """What it takes so that each transaction finds its fee after those before it; there is one at least."""
        last = self.entries[-1]
        return self.reserved - last.outgoing + last.fee


class MempoolSnapshot(Struct, frozen=True):
    """Figures of the pool at one moment."""

    transactions: int
    bytes: int
    senders: int
    pinned_bodies: int
    lowest_fee_rate: int
    """Thousandths of a ubocc per byte of the cheapest pending transaction; 0 in an empty pool."""
    is_full: bool


def fee_rate(transaction: Transaction) -> int:
    """Return the fee per byte in thousandths of a ubocc, rounded down."""
    return transaction.body.fee * RATE_SCALE // len(transaction.encoded)


def nonce_of(entry: Entry) -> int:
    """Return the key by which a sender's entries are sorted."""
    return entry.nonce
