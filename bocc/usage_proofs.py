"""The ledger of a resource's use, checked offline from the genesis alone: that rows are on the chain, and that none is missing.

The proof is what stands under `proof` in a node's answer to `usage`. Rows are numbered without gaps, and the record of
the resource's use says how many there are, so a page that begins at 0 and comes to the end is the whole ledger.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bocc.light import describe_record, extract_bundle
from state.genesis import Genesis
from state.order_records import USAGE, UsageRow, usage_key
from state.proof_bundle import (
    FORMAT,
    BundleReason,
    BundleRejected,
    RecordProof,
    StateBundle,
    VerifiedState,
    verify_records,
)
from state.resource_records import RESOURCE_USES

ROWS_MAX = 10_000


class UsageProof(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a ledger of use with its proofs, all after one block."""

    use: StateBundle
    """Of the record of the resource's use, which is there also for one that was never used."""
    rows: Annotated[list[RecordProof], Meta(max_length=ROWS_MAX)]
    absent: RecordProof | None


class VerifiedUsage(Struct, frozen=True):
    """What the chain says about a resource's use after a block."""

    block_hash: bytes
    height: int
    time_ms: int
    resource: bytes
    count: int
    """Rows there are, numbered from 0."""
    rows: tuple[tuple[int, UsageRow], ...]

    @property
    def is_whole(self) -> bool:
        """Whether these are all rows there are."""
        return len(self.rows) == self.count


def find_usage(content: bytes) -> UsageProof | None:
    """Return the proof of a ledger of use in a file, or None if the file has another proof, or none.

    Raises:
        BundleRejected: BAD_FILE.
    """
    text = extract_bundle(content)
    if "rows" not in msgspec.json.decode(text, type=dict[str, msgspec.Raw]):
        return None
    try:
        return msgspec.json.decode(text, type=UsageProof)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleRejected(BundleReason.BAD_FILE, str(error)) from error


def verify_usage(shown: UsageProof, genesis: Genesis) -> VerifiedUsage:
    """Return the rows that a proof shows, after checking every link from this genesis.

    Raises:
        Rejected: as for a bundle; BAD_FILE also for records that are not rows of this ledger, one after the other.
    """
    if shown.use.format != FORMAT:
        raise BundleRejected(BundleReason.BAD_FILE, shown.use.format, FORMAT)
    others = shown.rows if shown.absent is None else [*shown.rows, shown.absent]
    fact, *facts = verify_records(shown.use, others, genesis)
    address = fact.key[1:]
    if fact.value is None or fact.key != RESOURCE_USES.raw_key(address):
        raise BundleRejected(BundleReason.BAD_FILE, fact.key.hex(), "the record of a resource's use")
    count = RESOURCE_USES.codec.decode(fact.value).count
    if shown.absent is not None:
        last = facts.pop()
        if (last.key, last.value) != (USAGE.raw_key(usage_key(address, count)), None):
            raise BundleRejected(BundleReason.BAD_FILE, last.key.hex(), f"the absence of row {count}")
    return VerifiedUsage(fact.block_hash, fact.height, fact.time_ms, address, count, _read_rows(address, facts))


def _read_rows(address: bytes, facts: list[VerifiedState]) -> tuple[tuple[int, UsageRow], ...]:
    """Return rows by number, which must follow each other."""
    first = int.from_bytes(facts[0].key[-8:], "big") if facts else 0
    rows = []
    for number, fact in enumerate(facts, first):
        if fact.value is None or fact.key != USAGE.raw_key(usage_key(address, number)):
            raise BundleRejected(BundleReason.BAD_FILE, fact.key.hex(), f"row {number} of this ledger")
        rows.append((number, USAGE.codec.decode(fact.value)))
    return tuple(rows)


def describe_usage(usage: VerifiedUsage) -> dict[str, Any]:
    """Return a verified part of a ledger as JSON."""
    return {
        "kind": "usage",
        "block_hash": usage.block_hash.hex(),
        "height": usage.height,
        "time_ms": usage.time_ms,
        "resource": describe_record(usage.resource),
        "usage_count": usage.count,
        "is_whole": usage.is_whole,
        "rows": [{"number": number, **describe_record(row)} for number, row in usage.rows],
    }
