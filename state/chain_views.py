"""Reading what is final: blocks, receipts, transactions, events, epochs, and what proves them.

Everything is read from the store, so the answers of one call belong together, and a snapshot of the store can be read likewise.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from state.block import BlockResult, Header, hash_header
from state.certificates import Certificate
from state.chain_history import HistoryReason, HistoryRejected
from state.errors import StorageFault
from state.receipts import Receipt
from state.store import BLOCK, BLOCK_HEIGHT, BODY, EPOCH, EVENT, RECEIPTS, TRANSACTION, Reader, key_number, number_key
from state.stored import (
    BODY_RECORD,
    EPOCH_RECORD,
    EVENT_RECORD,
    HEADER_RECORD,
    PLACE_RECORD,
    RECEIPTS_RECORD,
    RESET_ADVICE,
    STATUS_KEY,
    STATUS_RECORD,
    StoredEpoch,
    StoredEvent,
    StoredHeader,
    StoredPlace,
    StoredReceipts,
    StoreStatus,
    decode_record,
    find_record,
    get_record,
)

EVENTS_MAX: Final = 1_000
"""Events in one answer."""


class StoredBlock(Struct, frozen=True):
    """A final block with everything that is kept of it."""

    block_hash: bytes
    header: Header
    envelopes: tuple[bytes, ...]
    block_result: BlockResult
    certificate: Certificate | None
    """Its own finalization, if it has one; `finality_of` leads to that of a descendant."""
    receipts: tuple[Receipt, ...]
    first_sequence: int
    """Of its events in the log."""
    event_count: int


class FinalityProof(Struct, frozen=True):
    """What shows a light client that a block is final, and with which result.

    The certificate names the last header and its result; each header names its parent and the parent's result.
    """

    block_result: BlockResult
    """Of the first header."""
    headers: tuple[Header, ...]
    """From the block to the first descendant with its own finalization."""
    certificate: Certificate


class ChainViews:
    """Answers about final blocks."""

    def __init__(self, store: Reader) -> None:
        self._store = store

    def status(self) -> StoreStatus:
        """Return up to where the store goes and what it still has."""
        return get_record(self._store, STATUS_KEY, STATUS_RECORD)

    def header_at(self, height: int) -> StoredHeader:
        """Return a final block without its body.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        status = self.status()
        if height > status.height:
            raise HistoryRejected(HistoryReason.FUTURE, height, status.height)
        if height < status.first_block:
            raise HistoryRejected(HistoryReason.PRUNED, height, status.first_block)
        return get_record(self._store, number_key(BLOCK, height), HEADER_RECORD)

    def block_by_height(self, height: int) -> StoredBlock:
        """Return a final block.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        stored = self.header_at(height)
        receipts = self._receipts(height)
        return StoredBlock(
            block_hash=hash_header(stored.header),
            header=stored.header,
            envelopes=get_record(self._store, number_key(BODY, height), BODY_RECORD).envelopes,
            block_result=stored.block_result,
            certificate=stored.certificate,
            receipts=receipts.receipts,
            first_sequence=receipts.first_sequence,
            event_count=receipts.event_count,
        )

    def body_bytes_at(self, height: int) -> int:
        """Return how many bytes the body of a final block that is kept takes as stored: a little more than its envelopes.

        Raises:
            StorageFault: there is no such body.
        """
        body = self._store.get(number_key(BODY, height))
        if body is None:
            raise StorageFault(f"the database has lost the body of block {height}; {RESET_ADVICE}")
        return len(body)

    def find_height(self, block_hash: bytes) -> int | None:
        """Return the height of a final block that is kept."""
        encoded = self._store.get(BLOCK_HEIGHT + block_hash)
        return None if encoded is None else int.from_bytes(encoded, "big")

    def block_by_hash(self, block_hash: bytes) -> StoredBlock | None:
        """Return a final block, or None if none with this hash is kept."""
        height = self.find_height(block_hash)
        if height is None:
            return None
        block = self.block_by_height(height)
        if block.block_hash != block_hash:
            raise StorageFault(f"the database has another block than {block_hash.hex()} at {height}; {RESET_ADVICE}")
        return block

    def find_transaction(self, tx_id: bytes) -> StoredPlace | None:
        """Return where a transaction stands, or None if no final block that is kept has it."""
        return find_record(self._store, TRANSACTION + tx_id, PLACE_RECORD)

    def find_receipt(self, tx_id: bytes) -> tuple[StoredPlace, Receipt] | None:
        """Return where a transaction stands and how it ended."""
        place = self.find_transaction(tx_id)
        return None if place is None else (place, self._receipts(place.height).receipts[place.index])

    def events(self, after_sequence: int, limit: int) -> list[tuple[int, StoredEvent]]:
        """Return events with their sequence numbers, which are above after_sequence (0: from the start), oldest first.

        Raises:
            HistoryRejected: PRUNED if some of them are forgotten, FUTURE if after_sequence was never given.
        """
        status = self.status()
        if after_sequence >= status.next_sequence:
            raise HistoryRejected(HistoryReason.FUTURE, after_sequence, status.next_sequence - 1)
        if after_sequence + 1 < status.first_sequence:
            raise HistoryRejected(HistoryReason.PRUNED, after_sequence, status.first_sequence - 1)
        stop = min(after_sequence + 1 + min(limit, EVENTS_MAX), status.next_sequence)
        keys = number_key(EVENT, after_sequence + 1), number_key(EVENT, stop)
        return [
            (key_number(key), decode_record(key, encoded, EVENT_RECORD)) for key, encoded in self._store.iterate(*keys)
        ]

    def find_epoch(self, epoch: int) -> StoredEpoch | None:
        """Return how an epoch began and what proves its end, or None if it has not begun. Epochs are kept for ever."""
        return find_record(self._store, number_key(EPOCH, epoch), EPOCH_RECORD)

    def finality_of(self, height: int) -> FinalityProof | None:
        """Return what proves that a block is final, or None if it was synchronised and no descendant is certified yet.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        first = stored = self.header_at(height)
        headers = [stored.header]
        newest = self.status().height
        while stored.certificate is None:
            height += 1
            if height > newest:
                return None
            stored = get_record(self._store, number_key(BLOCK, height), HEADER_RECORD)
            headers.append(stored.header)
        return FinalityProof(first.block_result, tuple(headers), stored.certificate)

    def _receipts(self, height: int) -> StoredReceipts:
        return get_record(self._store, number_key(RECEIPTS, height), RECEIPTS_RECORD)
