"""Pure readers of governance: proposals, newest first, and the votes on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from state.codec import encode
from state.governance_messages import VoteChoice
from state.governance_records import (
    ELECTORATES,
    PROPOSALS,
    VOTES,
    Proposal,
    ProposalState,
    is_under_way,
    vote_key,
    votes_kept_until_ms,
)
from state.ledger import Ledger
from state.lists import ListKind, count_members, list_name, member_at
from state.records import CHAIN_STATE, ONLY, PARAMS, number_key
from state.runtime.governance.ballots import Decision, final_decision
from state.runtime.governance.basis import Replacement, find_basis, find_replacements

PAGE_BYTES_MAX: Final = 32_768
"""Payloads of one page, unless the first is longer: a node needs some five milliseconds to show so much."""


class ProposalView(Struct, frozen=True):
    """A proposal under its number."""

    number: int
    proposal: Proposal
    decision: Decision | None
    """What the votes cast so far come to, while votes count; None afterwards."""
    is_stale: bool
    """Whether it is under way, but what it replaces has changed since it was proposed: so it would fail."""


class ProposalsPage(Struct, frozen=True):
    """Proposals, newest first."""

    proposals: tuple[ProposalView, ...]
    next_cursor: int | None
    """Where the next page begins; None at the end."""


class VoterView(Struct, frozen=True):
    """Who may vote on a proposal, and how it does at present."""

    validator: bytes
    power: int
    choice: VoteChoice | None
    time_ms: int
    """Of the vote; 0 without one."""


class VotersPage(Struct, frozen=True):
    """The electorate of a proposal, sorted by address."""

    voters: tuple[VoterView, ...]
    next_cursor: int | None
    """Where the next page begins; None at the end."""


def find_proposal(ledger: Ledger, number: int) -> ProposalView | None:
    """Return the proposal of a number, or None."""
    proposal = ledger.find(PROPOSALS, number_key(number))
    return None if proposal is None else _view(ledger, number, proposal)


def replacements(ledger: Ledger, proposal: Proposal) -> Mapping[str, Replacement]:
    """Return what a proposal that is under way would replace as a whole, by name; nothing of one that has ended."""
    return find_replacements(ledger, proposal.payload) if is_under_way(proposal) else {}


def proposals(ledger: Ledger, limit: int, cursor: int | None = None) -> ProposalsPage:
    """Return up to limit proposals, newest first, from where a page before ended; fewer if they are long."""
    name = list_name(ListKind.PROPOSALS)
    count = count_members(ledger, name)
    stop = count if cursor is None else min(cursor, count)
    views: list[ProposalView] = []
    byte_count = 0
    for index in range(stop - 1, max(0, stop - limit) - 1, -1):
        key = member_at(ledger, name, index)
        proposal = ledger.get(PROPOSALS, key)
        byte_count += len(encode(proposal.payload))
        if views and byte_count > PAGE_BYTES_MAX:
            break
        views.append(_view(ledger, int.from_bytes(key, "big"), proposal))
    return ProposalsPage(proposals=tuple(views), next_cursor=(stop - len(views)) or None)


def voters(ledger: Ledger, number: int, limit: int, cursor: int = 0) -> VotersPage | None:
    """Return up to limit validators that may vote on a proposal that exists; None if single votes are no longer on record."""
    proposal = ledger.get(PROPOSALS, number_key(number))
    if not is_under_way(proposal) and votes_kept_until_ms(proposal) <= ledger.get(CHAIN_STATE, ONLY).time_ms:
        return None
    members = ledger.get(ELECTORATES, number_key(number)).members
    stop = cursor + limit
    views = []
    for member in members[cursor:stop]:
        record = ledger.find(VOTES, vote_key(number, member.validator))
        choice, time_ms = (None, 0) if record is None else (record.choice, record.time_ms)
        views.append(VoterView(member.validator, member.power, choice, time_ms))
    return VotersPage(voters=tuple(views), next_cursor=stop if stop < len(members) else None)


def _view(ledger: Ledger, number: int, proposal: Proposal) -> ProposalView:
    decision = None
    if proposal.state is ProposalState.VOTING:
        decision = final_decision(proposal, ledger.get(PARAMS, ONLY).governance)
    is_stale = is_under_way(proposal) and proposal.basis != find_basis(ledger, proposal.payload)
    return ProposalView(number, proposal, decision, is_stale)
