"""Effects of the core as lines of a script, with the names of blocks instead of their hashes."""

from __future__ import annotations

import re

from consensus.effects import (
    Broadcast,
    BuildBlock,
    CheckBlock,
    Effect,
    ExecuteBlock,
    FetchBlock,
    FetchCertificates,
    Finalize,
    Halt,
    Notarized,
    OwnKeyElsewhere,
    Persist,
    PersistBlock,
    Punish,
    ReportEquivocation,
    Send,
    SendEpochEnd,
    SetTimer,
    StartSync,
)
from consensus.messages import (
    CertificatesMessage,
    CertificatesRequest,
    ConsensusMessage,
    Proposal,
    Status,
    VoteMessage,
)
from consensus.records import NotarizationRecord, ProposalRecord, VoteRecord
from state.block import Header
from state.certificates import Certificate
from state.votes import Vote

LETTERS = "_NXF"
"""By kind of vote."""


class Teller:
    """Tells effects in words."""

    def __init__(self, names: dict[bytes, str]) -> None:
        """Know some blocks by name."""
        self.names = names

    def _name(self, block_hash: bytes, header: Header | None = None) -> str:
        if header is not None:
            self.names.setdefault(block_hash, f"own{header.view}")
        return self.names.get(block_hash, block_hash.hex()[:8])

    def vote(self, vote: Vote) -> str:
        """Tell a vote: N1 A by v0."""
        block = f" {self._name(vote.block_hash)}" if vote.block_hash else ""
        return f"{LETTERS[vote.kind]}{vote.view}{block} by v{vote.validator}"

    def certificate(self, certificate: Certificate) -> str:
        """Tell a certificate: N1:A."""
        block = f":{self._name(certificate.block_hash)}" if certificate.block_hash else ""
        return f"{LETTERS[certificate.kind]}{certificate.view}{block}"

    def proposal(self, proposal: Proposal) -> str:
        """Tell a proposal: view 2: B on view 1, justified by N1:A."""
        name = self._name(proposal.vote.block_hash, proposal.header)
        justified = " ".join(self.certificate(one) for one in proposal.justify)
        reason = f", justified by {justified}" if justified else ""
        return f"proposal of view {proposal.view}: {name} on view {proposal.parent_view}{reason}"

    def message(self, message: ConsensusMessage) -> str:
        """Tell a message."""
        match message:
            case Proposal():
                return self.proposal(message)
            case VoteMessage():
                return f"vote {self.vote(message.vote)}"
            case CertificatesMessage():
                return f"certificates {' '.join(self.certificate(one) for one in message.certificates)}"
            case Status():
                return f"status: epoch {message.epoch}, view {message.view}, final height {message.final_height}"
            case CertificatesRequest():
                return f"request for views {message.first_view} to {message.last_view}"

    def record(self, record: VoteRecord | ProposalRecord | NotarizationRecord) -> str:
        """Tell a log record."""
        match record:
            case VoteRecord():
                return f"vote {self.vote(record.vote)}"
            case ProposalRecord():
                return self.proposal(record.proposal)
            case NotarizationRecord():
                return f"notarization {self.certificate(record.certificate)}"

    def tell(self, effect: Effect) -> str:
        """Tell an effect."""
        match effect:
            case Persist():
                return f"log {self.record(effect.record)}"
            case PersistBlock():
                return f"log block {self._name(effect.block_hash)}"
            case Broadcast():
                return f"broadcast {self.message(effect.message)}"
            case Send():
                return f"send {effect.peer} {self.message(effect.message)}"
            case SendEpochEnd():
                return f"send {effect.peer} the end of epoch {effect.epoch}"
            case SetTimer():
                return f"timer {effect.kind.name.lower()} of view {effect.view} in {effect.delay_ms} ms"
            case BuildBlock():
                empty = ", empty" if effect.must_be_empty else ""
                return f"build for view {effect.view} on {self._name(effect.parent_hash)}{empty}"
            case FetchBlock():
                whence = f" from {effect.peer}" if effect.peer else ""
                return f"fetch {self._name(effect.block_hash, effect.header)}{whence}"
            case FetchCertificates():
                return f"fetch certificates of views {effect.first_view} to {effect.last_view}"
            case CheckBlock():
                return f"check {self._name(effect.block_hash)}"
            case ExecuteBlock():
                return f"execute {self._name(effect.block_hash)}"
            case Notarized():
                return f"notarized {self._name(effect.block_hash)}"
            case Finalize():
                blocks = " ".join(self._name(block_hash) for block_hash in effect.block_hashes)
                return f"finalize {blocks} by {self.certificate(effect.certificate)}"
            case ReportEquivocation():
                return f"report {self.vote(effect.first)} against {self.vote(effect.second)}"
            case StartSync():
                return f"sync with {effect.peer}, which claims height {effect.height}"
            case Punish():
                return f"punish {effect.peer}: {effect.reason}"
            case OwnKeyElsewhere():
                return f"own key elsewhere: {self.vote(effect.vote)}"
            case Halt():
                return f"halt: {self._named(effect.reason)}"

    def _named(self, text: str) -> str:
        """Put names for the hashes in a text, and dots for others."""
        return re.sub("[0-9a-f]{64}", lambda found: self.names.get(bytes.fromhex(found[0]), "..."), text)
