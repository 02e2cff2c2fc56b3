"""The JSON of governance: proposals, and who votes on them."""

from __future__ import annotations

from typing import Any

from node.api.registry import AddressText, AmountText, Height
from node.api.views import JsonObject, View


class PowersView(View, frozen=True):
    """How the power of an electorate stands."""

    total: Height
    yes: Height
    no: Height
    abstain: Height
    veto: Height


class ProposalView(View, frozen=True):
    """A change that validators decide on."""

    number: Height
    title: str
    proposer: AddressText
    kind: str
    """What it changes, as in `change_params`; the payload's kind."""
    payload: JsonObject
    deposit: AmountText
    """Held until it has ended."""
    state: str
    """voting, passed, executed, failed, rejected or vetoed."""
    reason: str | None
    """Why it failed or was rejected."""
    remedy: str | None
    """What its proposer can do about that."""
    outlook: str | None
    """What the votes cast so far come to, while votes count: `passes`, or the reason of a rejection."""
    is_stale: bool
    """Whether it is under way and will fail as things are, with `basis_moved`: what it replaces has changed since it was made."""
    power: PowersView
    created_ms: Height
    created_height: Height
    vote_until_ms: Height
    execute_at_ms: Height | None
    """End of the timelock of what has passed."""
    decided_ms: Height | None
    """When it ended."""
    votes_kept_until_ms: Height | None
    """Until when single votes on what has ended are on record at least."""


class ProposalsView(View, frozen=True):
    """A page of proposals, newest first."""

    proposals: list[ProposalView]
    cursor: str | None


class VoterView(View, frozen=True):
    """A validator that may vote, with the power that it had when the proposal was made."""

    validator: AddressText
    power: Height
    choice: str | None
    """yes, no, abstain or veto; null: it has not voted."""
    time_ms: Height | None


class ChangeView(View, frozen=True):
    """A value that a proposal would change."""

    name: str
    """Path in the payload, as in `fees.base`."""
    present: Any  # any value of a record
    proposed: Any  # as above


class ProposalVotesView(View, frozen=True):
    """A proposal, what it would change of what is in force now, and a page of those who may vote on it."""

    proposal: ProposalView
    changes: list[ChangeView]
    """Each value of parameters and rules that differs, while it is under way."""
    voters: list[VoterView] | None
    """null: single votes are no longer on record; the tallies are in `power`."""
    cursor: str | None
