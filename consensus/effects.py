"""Everything the core can ask for. Effects are performed in order; what persists is durable before a later effect is visible."""

from __future__ import annotations

from msgspec import Struct

from consensus.inputs import TimerKind
from consensus.messages import ConsensusMessage
from consensus.records import NotarizationRecord, ProposalRecord, VoteRecord
from state.block import Header
from state.certificates import Certificate
from state.votes import Vote


class Persist(Struct, frozen=True):
    """Append to the write-ahead log."""

    record: VoteRecord | ProposalRecord | NotarizationRecord


class PersistBlock(Struct, frozen=True):
    """Append the whole block, of which the shell has the envelopes, to the write-ahead log."""

    epoch: int
    view: int
    block_hash: bytes


class Broadcast(Struct, frozen=True):
    """Send to every peer."""

    message: ConsensusMessage


class Send(Struct, frozen=True):
    """Send to one peer."""

    peer: str
    message: ConsensusMessage


class SendEpochEnd(Struct, frozen=True):
    """Send to one peer the finalization that ended an epoch long past."""

    peer: str
    epoch: int


class SetTimer(Struct, frozen=True):
    """Fire after a delay; replaces the running timer of this kind."""

    kind: TimerKind
    epoch: int
    view: int
    delay_ms: int


class BuildBlock(Struct, frozen=True):
    """Choose transactions for a block on this parent, which is executed. Answered by BlockBuilt at once.

    If the parent leaves nothing to agree on, WorkChanged says so before the answer, and no empty block follows.
    """

    epoch: int
    view: int
    parent_hash: bytes
    must_be_empty: bool
    """Too many blocks wait for finality: add none of size."""


class FetchBlock(Struct, frozen=True):
    """Get header and envelopes of a block, from the mempool or from peers. Answered by BlockAvailable when complete."""

    block_hash: bytes
    header: Header | None
    """If known."""
    envelope_hashes: tuple[bytes, ...] | None
    """If known."""
    peer: str
    """Who surely has it."""


class FetchCertificates(Struct, frozen=True):
    """Ask some peer what settled these views."""

    epoch: int
    first_view: int
    last_view: int


class CheckBlock(Struct, frozen=True):
    """Check envelopes, signatures and nonces against the parent's state. Answered by BlockChecked."""

    block_hash: bytes


class ExecuteBlock(Struct, frozen=True):
    """Execute a block whose parent is executed. Answered by BlockExecuted."""

    block_hash: bytes


class Notarized(Struct, frozen=True):
    """A block is notarised and executed: users may be told, as of something that can still be passed over."""

    block_hash: bytes


class Finalize(Struct, frozen=True):
    """Commit these executed blocks, oldest first, in one batch with the certificate of the last."""

    block_hashes: tuple[bytes, ...]
    certificate: Certificate


class ReportEquivocation(Struct, frozen=True):
    """Two conflicting votes of one validator: get them into a block."""

    validator: bytes
    first: Vote
    second: Vote


class StartSync(Struct, frozen=True):
    """A peer claims to be far ahead: find out, and catch up by blocks."""

    peer: str
    height: int


class Punish(Struct, frozen=True):
    """A peer sent something that no correct node sends."""

    peer: str
    reason: str


class OwnKeyElsewhere(Struct, frozen=True):
    """A verified vote of the own key that this node did not sign: another process has the key."""

    vote: Vote


class Halt(Struct, frozen=True):
    """Agreement itself is broken, by a third of the power or by a fault of this program: stop and keep everything."""

    reason: str


Effect = (
    Persist
    | PersistBlock
    | Broadcast
    | Send
    | SendEpochEnd
    | SetTimer
    | BuildBlock
    | FetchBlock
    | FetchCertificates
    | CheckBlock
    | ExecuteBlock
    | Notarized
    | Finalize
    | ReportEquivocation
    | StartSync
    | Punish
    | OwnKeyElsewhere
    | Halt
)
