"""What is known of one view, and of one block that is not final yet."""

from __future__ import annotations

from typing import Final

from consensus.messages import Proposal
from consensus.vote_tally import VoteTally
from state.block import BlockReference, Header
from state.certificates import Certificate
from state.validators import ValidatorSet
from state.votes import VoteKind

NEVER_MS: Final = -(1 << 32)
"""Monotonic time of what has not happened: long before any start."""


class ViewState:
    """Votes, certificates and the proposal of one view. All of it is volatile; what must survive is in the log."""

    __slots__ = (
        "active_since_ms",
        "certificates",
        "has_asked_for_block",
        "is_announced",
        "is_armed",
        "is_refused",
        "proposal",
        "proposal_peer",
        "received_ms",
        "tally",
    )

    def __init__(self, tally: VoteTally) -> None:
        """Start with nothing but an empty tally."""
        self.tally = tally
        self.proposal: Proposal | None = None
        """The first proposal of the view's leader."""
        self.proposal_peer = ""
        self.received_ms = 0
        """Wall clock when the proposal came, by which its time is judged."""
        self.certificates: dict[VoteKind, Certificate] = {}
        """The first of each kind."""
        self.active_since_ms: int | None = None
        """Monotonic time from which the view's duration counts: entered, and work to do."""
        self.is_refused = False
        """The proposal does not list what its header commits to."""
        self.is_announced = False
        """Its notarised and executed block was told of."""
        self.is_armed = False
        """Its timer was set since it was entered."""
        self.has_asked_for_block = False
        """As its leader: BuildBlock is out."""

    @property
    def notarization(self) -> Certificate | None:
        """The certificate that a block was notarised here."""
        return self.certificates.get(VoteKind.NOTARIZE)

    @property
    def nullification(self) -> Certificate | None:
        """The certificate that the view passed without a block."""
        return self.certificates.get(VoteKind.NULLIFY)

    @property
    def finalization(self) -> Certificate | None:
        """The certificate that a block became final here."""
        return self.certificates.get(VoteKind.FINALIZE)

    @property
    def block_certificate(self) -> Certificate | None:
        """A certificate that names a block: a notarization or a finalization."""
        return self.notarization or self.finalization


class BlockState:
    """A known block above the final one, or the final one itself."""

    __slots__ = (
        "asked_ms",
        "header",
        "is_body_here",
        "is_body_logged",
        "is_checking",
        "is_executing",
        "is_list_told",
        "is_valid",
        "next_validators",
        "reference",
    )

    def __init__(self, header: Header | None) -> None:
        """Start with a header, or without one for a block known by a certificate or as an epoch's root only."""
        self.header = header
        self.asked_ms = NEVER_MS
        """Monotonic time at which it was last asked for."""
        self.is_list_told = False
        """The shell knows the names of its envelopes."""
        self.is_body_here = False
        self.is_body_logged = False
        self.is_checking = False
        self.is_valid: bool | None = None
        """The verdict of CheckBlock, once known."""
        self.is_executing = False
        self.reference: BlockReference | None = None
        """With its result, once executed."""
        self.next_validators: ValidatorSet | None = None
        """After it, once executed."""
