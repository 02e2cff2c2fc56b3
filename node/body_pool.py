"""Bodies of blocks that are not final yet: every envelope of such a block stays here, whatever happens to the mempool.

A node that voted for a block must be able to serve, execute and finalise it, so no limit, eviction or expiry of the mempool touches
these bodies (DESIGN section 5, "Bodies"). They belong to blocks: pinned with the block, released with it. How many blocks are
pinned at once is bounded by consensus.
"""

from __future__ import annotations

from collections.abc import Sequence

from state.transactions import Transaction


class BodyPool:
    """Transactions of unfinal blocks by envelope hash.

    Invariant: a body is held exactly as long as at least one pinned block contains it.
    """

    def __init__(self) -> None:
        self._bodies: dict[bytes, Transaction] = {}
        self._pin_counts: dict[bytes, int] = {}
        self._hashes_by_block: dict[bytes, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._bodies)

    def pin(self, block_hash: bytes, transactions: Sequence[Transaction]) -> None:
        """Hold the transactions of a block until the block is released; pinning a block again changes nothing."""
        if block_hash in self._hashes_by_block:
            return
        hashes = tuple(transaction.envelope_hash for transaction in transactions)
        self._hashes_by_block[block_hash] = hashes
        for envelope_hash, transaction in zip(hashes, transactions, strict=True):
            self._bodies.setdefault(envelope_hash, transaction)
            self._pin_counts[envelope_hash] = self._pin_counts.get(envelope_hash, 0) + 1

    def unpin(self, block_hash: bytes) -> None:
        """Release a block's transactions; an unknown block changes nothing."""
        for envelope_hash in self._hashes_by_block.pop(block_hash, ()):
            count = self._pin_counts[envelope_hash] - 1
            if count:
                self._pin_counts[envelope_hash] = count
            else:
                del self._pin_counts[envelope_hash]
                del self._bodies[envelope_hash]

    def find(self, envelope_hash: bytes) -> Transaction | None:
        """Return the pinned transaction with this envelope hash."""
        return self._bodies.get(envelope_hash)

    def find_block(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """Return the envelope hashes of a pinned block, in its order."""
        return self._hashes_by_block.get(block_hash)

    def blocks(self) -> tuple[bytes, ...]:
        """Return the hashes of all pinned blocks, oldest first."""
        return tuple(self._hashes_by_block)
