"""Records of governance: proposals, the power that may vote on them, votes, and the upgrade that is due."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Address, Amount, Height, OptionalHash, TimeMs, UInt, Wire
from state.governance_messages import Payload, VoteChoice
from state.ledger import Table
from state.offers import Title
from state.validators import VALIDATORS_MAX

PROPOSALS_VOTING_MAX: Final = 64
"""Proposals under way at a time."""
PROPOSALS_OF_ONE_MAX: Final = 4
"""Proposals under way of one account, so that nobody fills the places with one account's money and name."""
PROPOSALS_OF_OTHERS_MAX: Final = 48
"""Proposals under way with which somebody else than a validator of the set may add another; the rest is the validators' own."""
VOTES_KEPT_MS: Final = 90 * 86_400_000
"""How long electorate and single votes of a proposal that has ended stay on record; the tallies stay for ever."""


class ProposalState(IntEnum):
    """Where a proposal stands."""

    VOTING = 1
    PASSED = 2
    """Waits for the end of its timelock."""
    EXECUTED = 3
    FAILED = 4
    """It passed, but could not be applied; `reason` says why."""
    REJECTED = 5
    VETOED = 6


class Proposal(Wire, frozen=True):
    """A change that validators vote on; id: its number, 8 bytes."""

    proposer: Address
    title: Title
    payload: Payload
    basis: OptionalHash
    """Digest of what the payload replaces as a whole, as that stood when it was proposed; no bytes if it replaces nothing so."""
    deposit: Amount
    """ubocc that are locked; 0 once it is decided."""
    state: ProposalState
    reason: Annotated[str, Meta(max_length=64)]
    """Why it failed or was rejected; empty otherwise."""
    created_ms: TimeMs
    created_height: Height
    vote_until_ms: TimeMs
    execute_at_ms: TimeMs
    """End of the timelock; 0 while it is not passed."""
    decided_ms: TimeMs
    """When it was executed, failed, rejected or vetoed; 0 before."""
    power_total: UInt
    power_yes: UInt
    power_no: UInt
    power_abstain: UInt
    power_veto: UInt


def is_under_way(proposal: Proposal) -> bool:
    """Tell whether a proposal is not decided, or waits for the end of its timelock."""
    return proposal.decided_ms == 0


def votes_kept_until_ms(proposal: Proposal) -> int:
    """Return until when electorate and single votes of a proposal that has ended are on record."""
    return proposal.decided_ms + VOTES_KEPT_MS


class VotingPower(Wire, frozen=True):
    """A validator and its power when a proposal was made."""

    validator: Address
    power: UInt


class Electorate(Wire, frozen=True):
    """Who may vote on a proposal; id: its number. Delegators follow their validator."""

    members: Annotated[tuple[VotingPower, ...], Meta(max_length=VALIDATORS_MAX)]
    """Sorted by address."""


class VoteRecord(Wire, frozen=True):
    """A validator's present vote; id: proposal's number (8 bytes), validator."""

    choice: VoteChoice
    power: UInt
    time_ms: TimeMs


class OwnProposals(Wire, frozen=True):
    """How many proposals of an account are under way, never 0; id: its address."""

    count: UInt


class GovernanceBooks(Wire, frozen=True):
    """Numbers of proposals, and what governance has made of the protocol."""

    next_proposal: UInt
    voting_count: UInt
    """Proposals that are neither decided nor over."""
    protocol: UInt
    """What the chain's blocks need of a node's software; moves on with upgrades."""


class DueUpgrade(Wire, frozen=True):
    """What software nodes need; id: none, one at a time. The last one that passed holds."""

    height: Height
    protocol: UInt
    software: Annotated[str, Meta(max_length=64)]
    verifier_changed: bool
    is_done: bool
    """Whether the chain is at or past its height."""


PROPOSALS: Final = Table(0x68, Proposal, 131_072)
ELECTORATES: Final = Table(0x69, Electorate, VALIDATORS_MAX * 40 + 16)
VOTES: Final = Table(0x6A, VoteRecord, 64)
GOVERNANCE_BOOKS: Final = Table(0x6B, GovernanceBooks, 32)
UPGRADES: Final = Table(0x6C, DueUpgrade, 512)
OWN_PROPOSALS: Final = Table(0x6D, OwnProposals, 16)


NO_PROPOSALS: Final = GovernanceBooks(next_proposal=1, voting_count=0, protocol=1)
"""The books before the first proposal, when there is no record."""


def vote_key(proposal: int, validator: bytes) -> bytes:
    """Return the id of a validator's vote."""
    return proposal.to_bytes(8, "big") + validator
