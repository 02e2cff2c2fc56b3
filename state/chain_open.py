"""How a store becomes a chain: the first batch at genesis, and the tree of the newest final state after a restart.

The tree is in memory only. A restart takes it from the stored table, a file written now and then, and catches up with the undo
records since; without a usable table it reads every state record. Either way the root must be the stored one (state-tree spec 5.7).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from state import merkle
from state.block import TIP_CODEC, BlockReference, BlockResult, EpochStart, Tip, genesis_block_hash, hash_result
from state.chain_history import HeightChanges, History
from state.codec import encode
from state.durable import storage_fault
from state.errors import StorageFault
from state.genesis import GENESIS_CODEC, Genesis, genesis_state
from state.store import EPOCH, STATE, TIP, UNDO, Reader, Store, number_key
from state.stored import (
    GENESIS_KEY,
    RESET_ADVICE,
    STATUS_KEY,
    STATUS_RECORD,
    StoredEpoch,
    StoreStatus,
    decode_undo,
    get_record,
)
from state.tree import Tree
from state.tree_dump import Dump, decode_dump
from state.tree_errors import DumpRejected, SnapshotRejected
from state.tree_shape import PATH_BYTES, key_path, value_hash
from state.tree_snapshot import decode_entry, encode_entry
from state.validators import ValidatorSet

FIRST_SEQUENCE: Final = 1
"""Of the event log, so that the cursor 0 stands before everything."""
_STATE_STOP: Final = bytes((STATE[0] + 1,))


class TreeSource(StrEnum):
    """Where the tree came from."""

    GENESIS = "genesis"
    TABLE = "table"
    """The stored table, caught up with the undo records since."""
    SCAN = "scan"
    """All state records: there was no usable table."""


class OpenedState(Struct, frozen=True):
    """The newest final state of a store."""

    genesis: Genesis
    tip: Tip
    status: StoreStatus
    tree: Tree
    tree_source: TreeSource
    table_height: int
    """Of the stored table that was used; 0 if none was."""
    history: History


def create_state(store: Store, genesis: Genesis, history_heights: int) -> OpenedState:
    """Write the state of height 0 into an empty store, in one batch. The genesis has passed `check_genesis`.

    Raises:
        StorageFault: the store holds a chain already, or fails.
    """
    if store.get(GENESIS_KEY) is not None:
        raise StorageFault("the database holds a chain already: a genesis is never written over it")
    records, validators = genesis_state(genesis)
    entries = {key_path(raw_key): encode_entry(raw_key, encoded) for raw_key, encoded in records.items()}
    tree = Tree.genesis({key_path(raw_key): value_hash(encoded) for raw_key, encoded in records.items()})
    tip = _genesis_tip(genesis, validators, tree.root)
    status = StoreStatus(
        height=0,
        splits=tree.k,
        key_count=tree.n,
        state_root=tree.root,
        first_block=1,
        first_sequence=FIRST_SEQUENCE,
        next_sequence=FIRST_SEQUENCE,
    )
    epoch = StoredEpoch(start=tip.epoch_start, end=None)
    store.write(
        [
            *((STATE + path, entry) for path, entry in entries.items()),
            (number_key(EPOCH, 0), encode(epoch)),
            (TIP, encode(tip)),
            (STATUS_KEY, encode(status)),
            (GENESIS_KEY, encode(genesis)),
        ]
    )
    history = History(history_heights, 0)
    return OpenedState(genesis, tip, status, tree, TreeSource.GENESIS, 0, history)


def _genesis_tip(genesis: Genesis, validators: ValidatorSet, state_root: bytes) -> Tip:
    block_result = BlockResult(
        state_root=state_root, receipts_root=merkle.EMPTY_ROOT, next_validators_hash=validators.set_hash
    )
    root = BlockReference(
        block_hash=genesis_block_hash(genesis.chain_id),
        height=0,
        time_ms=genesis.time_ms,
        result=hash_result(block_result),
    )
    start = EpochStart(epoch=0, root=root, validators=validators.members)
    return Tip(epoch_start=start, view=0, block=root, certificate=None)


def open_state(store: Store, table_path: Path | None, history_heights: int) -> OpenedState:
    """Read the newest final state of a store.

    Raises:
        StorageFault: it holds no chain, or not the state that its root commits to, or fails.
    """
    if store.get(GENESIS_KEY) is None:
        raise StorageFault(
            "the database holds no chain: its creation was interrupted; remove it and run `bocc node init`"
        )
    genesis = get_record(store, GENESIS_KEY, GENESIS_CODEC)
    status = get_record(store, STATUS_KEY, STATUS_RECORD)
    tip = get_record(store, TIP, TIP_CODEC)
    if tip.block.height != status.height:
        raise StorageFault(
            f"the database has a tip at {tip.block.height} and a state at {status.height}; {RESET_ADVICE}"
        )
    dump = None if table_path is None else _read_table(table_path)
    tree = None
    if dump is not None and dump.height <= status.height:
        tree = _catch_up(store, dump, status)
    source, table_height = TreeSource.TABLE, 0 if dump is None else dump.height
    if tree is None:
        tree, source, table_height = _scan(store, status), TreeSource.SCAN, 0
    history = _read_history(store, status.height, history_heights)
    return OpenedState(genesis, tip, status, tree, source, table_height, history)


def _read_table(path: Path) -> Dump | None:
    """Return the stored table, or None if there is none or it is not one that was written in full."""
    try:
        with path.open("rb") as stream:
            return decode_dump(stream)
    except (FileNotFoundError, DumpRejected):
        return None
    except OSError as error:
        raise storage_fault(f"reading {path}", error) from error


def _catch_up(store: Reader, dump: Dump, status: StoreStatus) -> Tree | None:
    """Return the tree of a stored table at the newest height, or None if it does not lead to the stored root."""
    if dump.k > status.splits:
        return None
    changes: dict[bytes, bytes | None] = {}
    for height in range(dump.height + 1, status.height + 1):
        encoded = store.get(number_key(UNDO, height))
        if encoded is None:
            return None
        changes |= dict.fromkeys(decode_undo(encoded))
    for path in changes:
        entry = store.get(STATE + path)
        changes[path] = None if entry is None else _entry_digest(path, entry)
    tree = Tree.from_dump(dump)
    tree.catch_up(changes, status.splits)
    return tree if tree.root == status.state_root else None


def _scan(store: Reader, status: StoreStatus) -> Tree:
    tree = Tree.build(_read_records(store), status.splits)
    if tree.root != status.state_root:
        raise StorageFault(
            f"the database does not hold the state of height {status.height}: its root is {tree.root.hex()}, and "
            f"{status.state_root.hex()} was final; {RESET_ADVICE}"
        )
    return tree


def _read_records(store: Reader) -> Iterator[tuple[bytes, bytes]]:
    for key, entry in store.iterate(STATE, _STATE_STOP):
        path = key[1:]
        yield path, _entry_digest(path, entry)


def _entry_digest(path: bytes, entry: bytes) -> bytes:
    """Return the value hash of a stored state record."""
    try:
        _, encoded = decode_entry(entry)
    except SnapshotRejected as error:
        raise StorageFault(
            f"the database holds a damaged state record {path.hex()}: {error}; {RESET_ADVICE}"
        ) from error
    if len(path) != PATH_BYTES:
        raise StorageFault(f"the database holds a state record under {path.hex()}; {RESET_ADVICE}")
    return value_hash(encoded)


def _read_history(store: Reader, tip_height: int, history_heights: int) -> History:
    """Return the values of recent heights, as far as there are undo records and room."""
    history = History(history_heights, tip_height)
    for height in range(tip_height, 0, -1):
        encoded = store.get(number_key(UNDO, height))
        if encoded is None or not history.push_older(HeightChanges(decode_undo(encoded), None)):
            break
    return history
