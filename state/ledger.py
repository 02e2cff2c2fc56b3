"""The ledger: decoded records of the state, as the runtime reads and writes them.

A table is a kind of record under one prefix byte; a raw state key is that byte followed by the record's id. `BaseLedger` shows the
finalised state in the store and keeps hot records decoded. An `Overlay` holds the writes of one block above its parent, which is
another overlay or the base. Records are frozen, so a record read is never changed in place and layers may share it.

Invariants:
- An overlay never writes to its parent; dropping it undoes its block.
- `changes` is a function of contents alone: a record written back with its old content is no change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from state.codec import Codec, Wire, encode
from state.errors import Malformed, StorageFault, ensure
from state.store import STATE
from state.tree_shape import key_path

RecordType = TypeVar("RecordType", bound=Wire)

CACHED_RECORDS_MAX: Final = 100_000
"""Decoded records that a base ledger keeps, about 300 bytes each."""

_UNKNOWN: Final = object()
"""Marks a key that a layer says nothing about; None there means deleted."""
_tables: dict[int, Table[Any]] = {}  # Any: tables of all record types, by prefix byte


class Table(Generic[RecordType]):
    """A kind of record: its prefix byte and its codec. Each prefix belongs to one table for ever."""

    __slots__ = ("codec", "prefix")

    def __init__(self, prefix: int, record_type: type[RecordType], bytes_max: int) -> None:
        """Claim a prefix byte for records of at most bytes_max encoded bytes."""
        assert prefix not in _tables, f"prefix {prefix} has a table"
        self.prefix = bytes((prefix,))
        self.codec = Codec(record_type, bytes_max)
        _tables[prefix] = self

    def raw_key(self, key: bytes) -> bytes:
        """Return the key of a record in the state tree."""
        return self.prefix + key

    def byte_count(self, key: bytes, record: RecordType) -> int:
        """Return how many bytes a record takes in the state with its key."""
        return len(self.prefix) + len(key) + len(self.codec.encode(record))


class StateReader(Protocol):
    """The part of a store that a base ledger reads."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value of a key, or None."""


class Ledger(Protocol):
    """Read access to decoded records."""

    def find(self, table: Table[RecordType], key: bytes) -> RecordType | None:
        """Return the record with this id, or None."""

    def get(self, table: Table[RecordType], key: bytes) -> RecordType:
        """Return the record with this id, which must exist."""

    def find_raw(self, raw_key: bytes) -> Any:
        """Return the record under a raw state key, or None."""


class BaseLedger:
    """The finalised state: records decoded from the store, the most recent ones kept."""

    __slots__ = ("_cached", "_cached_max", "_store")

    def __init__(self, store: StateReader, cached_max: int = CACHED_RECORDS_MAX) -> None:
        """Read from a store whose state records are those of the newest final block."""
        self._store = store
        self._cached: OrderedDict[bytes, Any] = OrderedDict()  # Any: records of all tables
        self._cached_max = cached_max

    def find(self, table: Table[RecordType], key: bytes) -> RecordType | None:
        """Return the record with this id, or None."""
        record: RecordType | None = self.find_raw(table.prefix + key)
        return record

    def get(self, table: Table[RecordType], key: bytes) -> RecordType:
        """Return the record with this id, which must exist."""
        record = self.find(table, key)
        assert record is not None, f"no record {(table.prefix + key).hex()}"
        return record

    def find_raw(self, raw_key: bytes) -> Any:
        """Return the record under a raw state key, or None.

        Raises:
            StorageFault: the store holds something else there.
        """
        record = self._cached.get(raw_key)
        if record is None:
            stored = self._store.get(STATE + key_path(raw_key))
            if stored is None:
                return None
            record = _decode_stored(raw_key, stored)
            self._cached[raw_key] = record
            self._evict()
        return record

    def absorb(self, overlay: Overlay) -> None:
        """Take over the records of a block that has become final, after its changes are in the store."""
        cached = self._cached
        for raw_key, record in overlay.written():
            cached.pop(raw_key, None)
            if record is not None:
                cached[raw_key] = record
        self._evict()

    def _evict(self) -> None:
        """Drop the records that were decoded or written longest ago."""
        while len(self._cached) > self._cached_max:
            self._cached.popitem(last=False)


def _decode_stored(raw_key: bytes, stored: bytes) -> Any:
    """Return the record in a stored state entry, which must be the key's."""
    value_start = 2 + int.from_bytes(stored[:2], "big")
    if stored[2:value_start] != raw_key:
        raise StorageFault(f"the state entry of {raw_key.hex()} names another key; restore the node from a snapshot")
    try:
        return _tables[raw_key[0]].codec.decode(stored[value_start:])
    except Malformed as malformed:
        message = f"the state entry of {raw_key.hex()} is damaged ({malformed}); restore the node from a snapshot"
        raise StorageFault(message) from malformed


class Overlay:
    """The writes of one block above its parent's state."""

    __slots__ = ("_parent", "_savepoint", "_undo", "_writes")

    def __init__(self, parent: Ledger) -> None:
        """Start without writes above the parent."""
        self._parent = parent
        self._writes: dict[bytes, Any] = {}  # Any: records of all tables, or None for deleted
        self._undo: list[tuple[bytes, Any]] = []  # Any: the write before, or _UNKNOWN
        self._savepoint = 0

    def find(self, table: Table[RecordType], key: bytes) -> RecordType | None:
        """Return the record with this id, or None."""
        raw_key = table.prefix + key
        record = self._writes.get(raw_key, _UNKNOWN)
        if record is _UNKNOWN:
            record = self._parent.find_raw(raw_key)
        found: RecordType | None = record
        return found

    def get(self, table: Table[RecordType], key: bytes) -> RecordType:
        """Return the record with this id, which must exist."""
        record = self.find(table, key)
        assert record is not None, f"no record {(table.prefix + key).hex()}"
        return record

    def find_raw(self, raw_key: bytes) -> Any:
        """Return the record under a raw state key, or None."""
        record = self._writes.get(raw_key, _UNKNOWN)
        return self._parent.find_raw(raw_key) if record is _UNKNOWN else record

    def put(self, table: Table[RecordType], key: bytes, record: RecordType) -> None:
        """Write a record."""
        raw_key = table.prefix + key
        writes = self._writes
        self._undo.append((raw_key, writes.get(raw_key, _UNKNOWN)))
        writes[raw_key] = record

    def delete(self, table: Table[RecordType], key: bytes) -> None:
        """Remove a record, whether it exists or not."""
        raw_key = table.prefix + key
        self._undo.append((raw_key, self._writes.get(raw_key, _UNKNOWN)))
        self._writes[raw_key] = None

    def savepoint(self) -> int:
        """Mark the present content. It ends the savepoint before: they do not nest."""
        self._undo.clear()
        self._savepoint += 1
        return self._savepoint

    def rollback(self, savepoint: int) -> None:
        """Return to the content at the newest savepoint."""
        ensure(savepoint == self._savepoint, "only the newest savepoint can be restored")
        writes = self._writes
        for raw_key, before in reversed(self._undo):
            if before is _UNKNOWN:
                del writes[raw_key]
            else:
                writes[raw_key] = before
        self._undo.clear()

    def written(self) -> Iterator[tuple[bytes, Any]]:
        """Yield raw key and record (None: deleted) of every write, in the order of first writing."""
        return iter(self._writes.items())

    def differences(self) -> Iterator[tuple[bytes, Any, Any]]:
        """Yield raw key, record before and record after (None: absent) wherever they differ."""
        find_before = self._parent.find_raw
        for raw_key, after in self._writes.items():
            before = find_before(raw_key)
            if before is not after and before != after:
                yield raw_key, before, after

    def changes(self) -> dict[bytes, bytes | None]:
        """Return raw state key -> encoded value (None: deleted) wherever it differs from the parent."""
        return {raw_key: None if after is None else encode(after) for raw_key, _before, after in self.differences()}

    def rebase(self, parent: Ledger) -> None:
        """Read through another parent of the same content: the base ledger that absorbed the present one."""
        self._parent = parent
