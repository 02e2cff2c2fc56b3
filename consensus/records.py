"""Records of the write-ahead log: what a validator must still know after a crash (guards W1, W2, W5).

With its own notarize vote goes the proposal and the block, with its own finalize vote the notarization that it rests on. Without
either, some crash schedule stalls for ever: votes are out that nobody can complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from consensus.messages import MESSAGE_BYTES_MAX, Proposal
from state.block import BLOCK_CODEC, Block
from state.certificates import Certificate
from state.codec import Codec, UInt, Wire
from state.votes import Vote


class VoteRecord(Wire, frozen=True, tag=1):
    """An own vote."""

    vote: Vote


class ProposalRecord(Wire, frozen=True, tag=2):
    """The proposal that an own notarize vote is for."""

    proposal: Proposal


class BlockRecord(Wire, frozen=True, tag=3):
    """The whole block that an own notarize vote is for."""

    epoch: UInt
    view: UInt
    """Of the vote."""
    block: Block


class NotarizationRecord(Wire, frozen=True, tag=4):
    """The notarization that an own finalize vote rests on."""

    certificate: Certificate


class FloorRecord(Wire, frozen=True, tag=5):
    """Votes at or below this position were made and forgotten: nothing new is ever signed there."""

    epoch: UInt
    view: UInt


LogRecord = VoteRecord | ProposalRecord | BlockRecord | NotarizationRecord | FloorRecord

RECORD_CODEC: Final[Codec[LogRecord]] = Codec(  # a union is no type[...]
    LogRecord,  # type: ignore[arg-type]
    MESSAGE_BYTES_MAX + BLOCK_CODEC.bytes_max,
)


def signing_floor(records: Iterable[LogRecord]) -> tuple[int, int]:
    """Return the highest floor in a log, or (0, 0)."""
    return max(((record.epoch, record.view) for record in records if isinstance(record, FloorRecord)), default=(0, 0))


def record_position(record: LogRecord) -> tuple[int, int]:
    """Return the (epoch, view) for which the record is needed; below the tip's it may be dropped."""
    match record:
        case VoteRecord():
            return record.vote.epoch, record.vote.view
        case ProposalRecord():
            return record.proposal.epoch, record.proposal.view
        case BlockRecord() | FloorRecord():
            return record.epoch, record.view
        case NotarizationRecord():
            return record.certificate.epoch, record.certificate.view
