"""What the store holds besides state records: blocks, receipts, events, epochs, undo records, and the record of the whole.

One batch per finalisation writes all of it (DESIGN section 6), so that every record here speaks of the same newest final block.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, TypeVar

from msgspec import Meta

from state.block import (
    BLOCK_BYTES_MAX,
    BLOCK_TRANSACTIONS_MAX,
    ENVELOPE_BYTES_MAX,
    HEADER_BYTES_MAX,
    BlockResult,
    EpochStart,
    Header,
)
from state.certificates import CERTIFICATE_BYTES_MAX, Certificate
from state.codec import Codec, Hash, Height, TimeMs, UInt, Wire
from state.errors import Malformed, StorageFault
from state.receipts import EVENT_CODEC, RECEIPT_CODEC, Event, Receipt
from state.store import META, Reader
from state.tree_shape import PATH_BYTES

RESET_ADVICE: Final = "`bocc node reset` keeps keys and votes, and the node takes the state from its peers again"

GENESIS_KEY: Final = META + b"genesis"
STATUS_KEY: Final = META + b"status"


class StoredHeader(Wire, frozen=True):
    """A final block without its body."""

    header: Header
    block_result: BlockResult
    certificate: Certificate | None
    """The finalization of this very block; None if a descendant's finalization made it final."""


class StoredBody(Wire, frozen=True):
    """The envelopes of a final block, in the order of execution."""

    envelopes: Annotated[
        tuple[Annotated[bytes, Meta(max_length=ENVELOPE_BYTES_MAX)], ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX)
    ]


class StoredReceipts(Wire, frozen=True):
    """What executing a final block gave: a receipt for each transaction, and where its events stand in the log."""

    receipts: Annotated[tuple[Receipt, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX)]
    first_sequence: UInt
    event_count: UInt


class StoredEvent(Wire, frozen=True):
    """One entry of the event log."""

    height: Height
    time_ms: TimeMs
    """Of the block."""
    event: Event


class StoredPlace(Wire, frozen=True):
    """Where a transaction stands."""

    height: Height
    index: UInt


class EpochEnd(Wire, frozen=True):
    """The block that ended an epoch, and the finalization that proves it."""

    header: Header
    block_result: BlockResult
    certificate: Certificate


class StoredEpoch(Wire, frozen=True):
    """An epoch, kept for ever: these are the steps of a light client from genesis."""

    start: EpochStart
    end: EpochEnd | None
    """None as long as the epoch goes on."""


class StoreStatus(Wire, frozen=True):
    """What the store as a whole holds: the state's height and shape, and the bounds of its logs."""

    height: Height
    splits: UInt
    """k of the tree at this height."""
    key_count: UInt
    """n of the tree at this height."""
    state_root: Hash
    first_block: Height
    """Lowest height whose block is kept; next height if there is none."""
    first_sequence: UInt
    """Lowest sequence number in the event log; next_sequence if it is empty."""
    next_sequence: UInt


HEADER_RECORD: Final = Codec(StoredHeader, HEADER_BYTES_MAX + CERTIFICATE_BYTES_MAX + 256)
BODY_RECORD: Final = Codec(StoredBody, BLOCK_BYTES_MAX + 8 * BLOCK_TRANSACTIONS_MAX)
RECEIPTS_RECORD: Final = Codec(StoredReceipts, 32 + BLOCK_TRANSACTIONS_MAX * RECEIPT_CODEC.bytes_max)
EVENT_RECORD: Final = Codec(StoredEvent, EVENT_CODEC.bytes_max + 32)
PLACE_RECORD: Final = Codec(StoredPlace, 32)
EPOCH_RECORD: Final = Codec(StoredEpoch, 1 << 19)
STATUS_RECORD: Final = Codec(StoreStatus, 128)

_LENGTH: Final = struct.Struct(">I")
RecordType = TypeVar("RecordType")


def decode_record(key: bytes, encoded: bytes, codec: Codec[RecordType]) -> RecordType:
    """Return a record that was read.

    Raises:
        StorageFault: it is not what was written.
    """
    try:
        return codec.decode(encoded)
    except Malformed as error:
        raise StorageFault(f"the database holds a damaged record {key.hex()}: {error}; {RESET_ADVICE}") from error


def find_record(store: Reader, key: bytes, codec: Codec[RecordType]) -> RecordType | None:
    """Return a decoded record, or None if there is none.

    Raises:
        StorageFault: it is not what was written.
    """
    encoded = store.get(key)
    return None if encoded is None else decode_record(key, encoded, codec)


def get_record(store: Reader, key: bytes, codec: Codec[RecordType]) -> RecordType:
    """Return a decoded record that must be there.

    Raises:
        StorageFault: it is not.
    """
    record = find_record(store, key, codec)
    if record is None:
        raise StorageFault(f"the database has lost the record {key.hex()}; {RESET_ADVICE}")
    return record


def encode_undo(entries_before: dict[bytes, bytes | None]) -> bytes:
    """Return the undo record of a block: path, length + 1 (0: absent), entry, for each changed path."""
    parts: list[bytes] = []
    for path, entry in entries_before.items():
        parts += (path, b"\0\0\0\0") if entry is None else (path, _LENGTH.pack(len(entry) + 1), entry)
    return b"".join(parts)


def decode_undo(encoded: bytes) -> dict[bytes, bytes | None]:
    """Return the entry before a block by path, None where there was none.

    Raises:
        StorageFault: the record is not one that was written.
    """
    entries: dict[bytes, bytes | None] = {}
    start = 0
    while start < len(encoded):
        entry_start = start + PATH_BYTES + _LENGTH.size
        if entry_start > len(encoded):
            raise StorageFault(f"an undo record ends in a path, at byte {len(encoded)}; {RESET_ADVICE}")
        path = encoded[start : start + PATH_BYTES]
        length = _LENGTH.unpack_from(encoded, start + PATH_BYTES)[0]
        start = entry_start + max(length - 1, 0)
        entries[path] = encoded[entry_start:start] if length else None
    if start != len(encoded):
        raise StorageFault(f"an undo record ends in an entry, at byte {len(encoded)} of {start}; {RESET_ADVICE}")
    return entries
