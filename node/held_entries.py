"""Pending transactions that no block is built with yet, because their evidence is still being verified."""

from __future__ import annotations

from collections.abc import Container

from node.pool_entries import Entry


class HeldEntries:
    """Entries of the mempool by envelope hash. Whoever is held keeps what its sender has after it waiting too."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[bytes, Entry] = {}

    def __contains__(self, envelope_hash: object) -> bool:
        return envelope_hash in self._entries

    def put(self, entry: Entry) -> None:
        """Hold a pending entry."""
        self._entries[entry.transaction.envelope_hash] = entry

    def drop(self, envelope_hash: bytes) -> bool:
        """Hold an entry no more, and tell whether it was held."""
        return self._entries.pop(envelope_hash, None) is not None

    def first_nonces(self, excluded: Container[bytes]) -> dict[bytes, int]:
        """Return the nonces at which senders wait; an entry that a block has already keeps nobody."""
        nonces: dict[bytes, int] = {}
        for envelope_hash, entry in self._entries.items():
            if envelope_hash not in excluded:
                nonces[entry.sender] = min(entry.nonce, nonces.get(entry.sender, entry.nonce))
        return nonces
