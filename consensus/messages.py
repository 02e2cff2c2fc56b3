"""What nodes say to each other about consensus. Each message is one canonical byte string with its own tag.

Votes are broadcast, so everyone builds its own certificates; certificates travel in the justification of a proposal and in answers.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from state.block import BLOCK_TRANSACTIONS_MAX, Header
from state.certificates import CERTIFICATE_BYTES_MAX, Certificate
from state.codec import Codec, Hash, Height, UInt, Wire
from state.votes import Vote

NULLIFICATIONS_IN_PROPOSAL_MAX: Final = 8
"""A longer gap is fetched, so that one proposal stays small however long the network was down."""
CERTIFICATES_IN_ANSWER_MAX: Final = 12
"""Of the largest validator set these still fit one frame of 1 MiB."""
VIEWS_IN_REQUEST_MAX: Final = 64


class Proposal(Wire, frozen=True, tag=1):
    """The leader's block for a view, by the names of its envelopes, with the proof that it may build there."""

    epoch: UInt
    view: UInt
    header: Header
    """Of this view; or of an earlier one when a sealing block is proposed again."""
    envelope_hashes: Annotated[tuple[Hash, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX)]
    """In order; empty when a sealing block is proposed again, for everybody who may vote has it."""
    parent_view: UInt
    justify: Annotated[tuple[Certificate, ...], Meta(max_length=NULLIFICATIONS_IN_PROPOSAL_MAX + 1)]
    """The parent's notarization or finalization (none for an epoch's root), then nullifications of the newest views between."""
    vote: Vote
    """The leader's notarize vote, which is its signature on the proposal."""


class VoteMessage(Wire, frozen=True, tag=2):
    """One vote."""

    vote: Vote


class CertificatesMessage(Wire, frozen=True, tag=3):
    """Certificates that settle views for a node that is behind, oldest first."""

    certificates: Annotated[tuple[Certificate, ...], Meta(min_length=1, max_length=CERTIFICATES_IN_ANSWER_MAX)]


class Status(Wire, frozen=True, tag=4):
    """Where a node is. A claim: nothing follows from it but questions and help."""

    epoch: UInt
    view: UInt
    final_height: Height
    final_hash: Hash


class CertificatesRequest(Wire, frozen=True, tag=5):
    """Please send what settles these views of the epoch, both ends included."""

    epoch: UInt
    first_view: UInt
    last_view: UInt


ConsensusMessage = Proposal | VoteMessage | CertificatesMessage | Status | CertificatesRequest

MESSAGE_BYTES_MAX: Final = (1 << 20) - 1024
"""One frame of the network, less its framing."""
MESSAGE_CODEC: Final[Codec[ConsensusMessage]] = Codec(ConsensusMessage, MESSAGE_BYTES_MAX)  # type: ignore[arg-type]  # a union is no type[...]
assert CERTIFICATE_BYTES_MAX * CERTIFICATES_IN_ANSWER_MAX < MESSAGE_BYTES_MAX
