"""Records of the state as a node tells them, decoded: what a provider decides by is what receipts are judged by.

A provider trusts its own node and asks for no proofs. Calls of one round may fall on both sides of a block; what is decided by a
record that has moved since is refused by the chain and decided anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bocc.client import Client
from state.ledger import RecordType, Table
from state.lists import LIST_LENGTHS, LIST_MEMBERS

CALL_MAX: Final = 50
"""Records that a node tells in one call."""


class Records:
    """Reads records through one node."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, table: Table[RecordType], ids: Sequence[bytes]) -> list[RecordType | None]:
        """Return the records with these ids, None for each that there is not.

        Raises:
            RpcRejected: the node refuses the call.
            NodeUnreachable: no answer after all attempts.
        """
        found: list[RecordType | None] = []
        for start in range(0, len(ids), CALL_MAX):
            keys = [table.raw_key(key).hex() for key in ids[start : start + CALL_MAX]]
            told = await self._client.records(keys)
            found += [None if encoded is None else table.codec.decode(encoded) for encoded in told]
        return found

    async def find_one(self, table: Table[RecordType], key: bytes) -> RecordType | None:
        """Return the record with this id, or None."""
        (record,) = await self.find(table, (key,))
        return record

    async def count_members(self, name: bytes) -> int:
        """Return how many members a dense list has (state/lists.py)."""
        length = await self.find_one(LIST_LENGTHS, name)
        return 0 if length is None else length.count

    async def members(self, name: bytes, numbers: Sequence[int]) -> list[bytes]:
        """Return the members of a dense list under these numbers, where there are any."""
        found = await self.find(LIST_MEMBERS, [name + number.to_bytes(8, "big") for number in numbers])
        return [one.member for one in found if one is not None]
