"""The batch that makes blocks final: everything that the store learns from them, and what it may forget.

All of it is one batch, so no crash leaves a block without its state, a receipt without its block or an event told twice
(DESIGN section 6). Forgetting is bounded for each batch: a node that was away for weeks catches up with it little by little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct, structs

from state.block import EpochStart, Tip, hash_header
from state.certificates import Certificate
from state.chain_branches import ExecutedBlock, StateChanges
from state.codec import encode
from state.store import (
    BLOCK,
    BLOCK_HEIGHT,
    BODY,
    EPOCH,
    EVENT,
    RECEIPTS,
    STATE,
    TIP,
    TRANSACTION,
    UNDO,
    Reader,
    number_key,
)
from state.stored import (
    EVENT_RECORD,
    HEADER_RECORD,
    PLACE_RECORD,
    RECEIPTS_RECORD,
    STATUS_KEY,
    EpochEnd,
    StoredBody,
    StoredEpoch,
    StoredEvent,
    StoredHeader,
    StoredPlace,
    StoredReceipts,
    StoreStatus,
    encode_undo,
    get_record,
)

Change = tuple[bytes, bytes | None]

PRUNED_BLOCKS_MAX: Final = 4
PRUNED_EVENTS_MAX: Final = 4_000
"""Old blocks and events forgotten in one batch: more than a batch adds, and a few milliseconds."""


class Retention(Struct, frozen=True):
    """What a node keeps."""

    history_heights: int = 128
    """Final heights below the tip whose state can be read and proved."""
    blocks_ms: int | None = 30 * 86_400_000
    """How long blocks, receipts and their indexes are kept, in block time; None for ever."""
    events_ms: int | None = 30 * 86_400_000
    """How long events are kept, in block time; None for ever."""


PRUNED: Final = Retention()
"""Keep what DESIGN section 11 says."""
ARCHIVE: Final = Retention(blocks_ms=None, events_ms=None)
"""Keep all blocks and events."""


def next_tip(tip: Tip, last: ExecutedBlock, certificate: Certificate | None) -> Tip:
    """Return the tip after the last of the newly final blocks; one that changed the validator set begins the next epoch.

    Without a certificate, a descendant's that the caller verified made the block final.
    """
    if last.is_sealing:
        start = EpochStart(
            epoch=tip.epoch_start.epoch + 1, root=last.reference, validators=last.next_validators.members
        )
        return Tip(epoch_start=start, view=0, block=last.reference, certificate=certificate)
    view = last.header.view if certificate is None else certificate.view
    return Tip(epoch_start=tip.epoch_start, view=view, block=last.reference, certificate=certificate)


def block_records(block: ExecutedBlock, certificate: Certificate | None, first_sequence: int) -> Iterator[Change]:
    """Yield the records of one final block: header, body, receipts, events and indexes.

    A transaction is found by the receipt that settles it; a refused copy with its tx_id is in no index.
    """
    height = block.header.height
    yield (
        number_key(BLOCK, height),
        encode(StoredHeader(header=block.header, block_result=block.block_result, certificate=certificate)),
    )
    yield number_key(BODY, height), encode(StoredBody(envelopes=block.envelopes))
    receipts = StoredReceipts(receipts=block.receipts, first_sequence=first_sequence, event_count=len(block.events))
    yield number_key(RECEIPTS, height), encode(receipts)
    yield BLOCK_HEIGHT + block.block_hash, height.to_bytes(8, "big")
    for index, receipt in enumerate(block.receipts):
        if receipt.is_settling:
            yield TRANSACTION + receipt.tx_id, encode(StoredPlace(height=height, index=index))
    for sequence, event in stored_events(block, first_sequence):
        yield number_key(EVENT, sequence), encode(event)


def stored_events(block: ExecutedBlock, first_sequence: int) -> list[tuple[int, StoredEvent]]:
    """Return the block's entries of the event log with their sequence numbers."""
    header = block.header
    return [
        (first_sequence + offset, StoredEvent(height=header.height, time_ms=header.time_ms, event=event))
        for offset, event in enumerate(block.events)
    ]


def state_records(height: int, changes: StateChanges, history_heights: int) -> Iterator[Change]:
    """Yield the changed state records of one final block and its undo record, and delete the one that is too old."""
    for path, entry in changes.entries_after.items():
        yield STATE + path, entry
    yield number_key(UNDO, height), encode_undo(changes.entries_before)
    if height > history_heights:
        yield number_key(UNDO, height - history_heights), None


def status_records(tip: Tip, status: StoreStatus) -> Iterator[Change]:
    """Yield the two records that say where the store stands."""
    yield TIP, encode(tip)
    yield STATUS_KEY, encode(status)


def epoch_records(ended: EpochStart, last: ExecutedBlock, certificate: Certificate, tip: Tip) -> Iterator[Change]:
    """Yield the records of the epoch that a sealing block ended and of the one that it began."""
    end = EpochEnd(header=last.header, block_result=last.block_result, certificate=certificate)
    yield number_key(EPOCH, ended.epoch), encode(StoredEpoch(start=ended, end=end))
    yield number_key(EPOCH, tip.epoch_start.epoch), encode(StoredEpoch(start=tip.epoch_start, end=None))


def prune(store: Reader, status: StoreStatus, tip: Tip, retention: Retention) -> tuple[list[Change], StoreStatus]:
    """Return the deletions of what is older than the retention, bounded, and the status after them.

    The status is that of what is stored already. The newest blocks stay as far as the history of states goes, however old they are.
    """
    deletions: list[Change] = []
    first_block, first_sequence = status.first_block, status.first_sequence
    if retention.blocks_ms is not None:
        oldest_ms = tip.block.time_ms - retention.blocks_ms
        newest = min(tip.block.height - retention.history_heights, status.height)
        last_height = min(newest, first_block + PRUNED_BLOCKS_MAX - 1)
        while first_block <= last_height and (block := _old_block(store, first_block, oldest_ms)):
            deletions += block
            first_block += 1
    if retention.events_ms is not None:
        oldest_ms = tip.block.time_ms - retention.events_ms
        last_sequence = min(status.next_sequence, first_sequence + PRUNED_EVENTS_MAX) - 1
        while first_sequence <= last_sequence and _is_event_old(store, first_sequence, oldest_ms):
            deletions.append((number_key(EVENT, first_sequence), None))
            first_sequence += 1
    return deletions, structs.replace(status, first_block=first_block, first_sequence=first_sequence)


def _old_block(store: Reader, height: int, oldest_ms: int) -> list[Change] | None:
    """Return the deletions of a block with its receipts and indexes, or None if it is not too old.

    A transaction that could not even pay its fee, for want of an account, may stand again in a later block, to which its index
    then points.
    """
    header = get_record(store, number_key(BLOCK, height), HEADER_RECORD).header
    if header.time_ms >= oldest_ms:
        return None
    receipts = get_record(store, number_key(RECEIPTS, height), RECEIPTS_RECORD).receipts
    keys = [number_key(prefix, height) for prefix in (BLOCK, BODY, RECEIPTS)]
    keys.append(BLOCK_HEIGHT + hash_header(header))
    keys += [
        TRANSACTION + receipt.tx_id
        for receipt in receipts
        if receipt.is_settling and get_record(store, TRANSACTION + receipt.tx_id, PLACE_RECORD).height == height
    ]
    return [(key, None) for key in keys]


def _is_event_old(store: Reader, sequence: int, oldest_ms: int) -> bool:
    return get_record(store, number_key(EVENT, sequence), EVENT_RECORD).time_ms < oldest_ms
