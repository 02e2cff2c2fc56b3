"""Records that a node shows with proofs, verified from the genesis: for decisions in which a lie of the node would cost a secret.

All of them are those after one block, so nothing moved between them. A proof says that a record was final, not that it is the
newest. So the block must not be older than the newest one of an idle chain may be; what changed since is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from bocc.client import Client
from bocc.errors import InputReason, InputRejected
from state.errors import Rejected
from state.genesis import Genesis
from state.ledger import RecordType, Table
from state.proof_bundle import RecordProof, StateBundle, verify_records
from state.records import ONLY, PARAMS

AGE_FACTOR: Final = 2
"""An idle chain makes a block each heartbeat; the newest is older than two only if the chain stands or the node is behind."""
AGE_MS_MAX: Final = 600_000
"""The same for chains that make no blocks while they are idle."""


class _Shown(Struct, frozen=True):
    """What this needs of an answer to `state_proof`."""

    height: int
    proof: StateBundle


class ProvenRecords:
    """Records after one final block."""

    def __init__(self, height: int, time_ms: int, records: dict[bytes, bytes | None]) -> None:
        """Hold the canonical bytes of records by raw key, None for those that there are not."""
        self.height = height
        self.time_ms = time_ms
        self._records = records

    def find(self, table: Table[RecordType], key: bytes) -> RecordType | None:
        """Return the record with this id, or None if there was none; it must have been asked for."""
        encoded = self._records[table.raw_key(key)]
        return None if encoded is None else table.codec.decode(encoded)

    def get(self, table: Table[RecordType], key: bytes) -> RecordType:
        """Return the record with this id.

        Raises:
            InputRejected: UNPROVEN: there is none.
        """
        record = self.find(table, key)
        if record is None:
            raise InputRejected(InputReason.UNPROVEN, f"no record {table.raw_key(key).hex()}", "as the node says")
        return record


async def read_proven(client: Client, genesis: Genesis, raw_keys: Sequence[bytes], now_ms: int) -> ProvenRecords:
    """Return the newest records under these raw keys, after checking every link from the genesis.

    Raises:
        InputRejected: UNPROVEN: a proof does not hold, is about another record, or about a state that is too old.
        RpcRejected: the node refuses; it cannot prove its newest block yet.
        NodeUnreachable: no answer after all attempts.
    """
    wanted = [PARAMS.raw_key(ONLY), *raw_keys]
    try:
        first = msgspec.convert(await client.state_proof(wanted[0].hex()), _Shown)
        others = [
            msgspec.convert(await client.state_proof(key.hex(), first.height), _Shown).proof for key in wanted[1:]
        ]
        proofs = [RecordProof(each.key, each.value, each.proof) for each in others]
        facts = verify_records(first.proof, proofs, genesis)
    except (Rejected, msgspec.ValidationError) as error:
        raise InputRejected(InputReason.UNPROVEN, _words(error), "a proof that leads to the genesis") from error
    if [fact.key for fact in facts] != wanted:
        raise InputRejected(InputReason.UNPROVEN, "proofs of other records", "those that were asked for")
    proven = ProvenRecords(facts[0].height, facts[0].time_ms, {fact.key: fact.value for fact in facts})
    heartbeat_ms = proven.get(PARAMS, ONLY).consensus.heartbeat_ms
    bound_ms = AGE_FACTOR * heartbeat_ms or AGE_MS_MAX
    if now_ms - proven.time_ms > bound_ms:
        seen = f"a state of {(now_ms - proven.time_ms) // 1_000} seconds ago"
        raise InputRejected(InputReason.UNPROVEN, seen, f"{bound_ms // 1_000} seconds")
    return proven


def _words(error: Any) -> str:  # Rejected, whose reason is of many kinds, or an error of msgspec
    return f"{error.reason.value}: {error.seen}" if isinstance(error, Rejected) else str(error)
