"""An overlay that refuses what could not be read back.

Structs are checked when they are decoded, not when they are made, and a node keeps what it has written decoded. So a record out of
its bounds would be noticed only after a restart. Tests of the runtime write through this overlay, and fail where it is written.
"""

from __future__ import annotations

from state.errors import Malformed
from state.ledger import Overlay, RecordType, Table


class CheckedOverlay(Overlay):
    """The writes of one block, each of which is encoded, decoded and compared at once."""

    __slots__ = ()

    def put(self, table: Table[RecordType], key: bytes, record: RecordType) -> None:
        """Write a record that comes back from its bytes."""
        try:
            decoded = table.codec.decode(table.codec.encode(record))
        except (Malformed, OverflowError) as error:
            raise AssertionError(f"{record} cannot be read back: {error}") from error
        assert decoded == record
        super().put(table, key, record)
