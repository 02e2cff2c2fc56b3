"""Handlers that read governance: proposals, what they would change, and the votes on one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from node.api.context import Call
from node.api.describe import describe, describe_address, describe_fields, describe_validator
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.lookups import NumberCursor, format_number_cursor, parse_number_cursor
from node.api.registry import Height, Params
from node.api.views_governance import (
    ChangeView,
    PowersView,
    ProposalsView,
    ProposalView,
    ProposalVotesView,
    VoterView,
)
from state import governance_queries
from state.governance_queries import ProposalView as StoredProposal
from state.governance_queries import VoterView as StoredVoter
from state.governance_records import is_under_way, votes_kept_until_ms
from state.runtime.reasons import TransactionReason
from state.runtime.remedies import remedy_of

PROPOSALS_MAX: Final = 20
"""Longest page; one of long proposals is shorter (state/governance_queries.py), for it is built at once."""
VOTERS_MAX: Final = 200


class ProposalsParams(Params, frozen=True):
    """A page of proposals."""

    limit: Annotated[int, Meta(ge=1, le=PROPOSALS_MAX)] = 10
    cursor: NumberCursor | None = None


class ProposalParams(Params, frozen=True):
    """Which proposal, and how many of those who may vote on it."""

    number: Height
    limit: Annotated[int, Meta(ge=1, le=VOTERS_MAX)] = 100
    cursor: NumberCursor | None = None


def read_proposals(call: Call, params: ProposalsParams) -> ProposalsView:
    """Return proposals, newest first."""
    page = governance_queries.proposals(call.node.chain.ledger, params.limit, parse_number_cursor(params.cursor))
    return ProposalsView(
        proposals=[describe_proposal(view) for view in page.proposals],
        cursor=format_number_cursor(page.next_cursor),
    )


def read_proposal(call: Call, params: ProposalParams) -> ProposalVotesView:
    """Return a proposal, with what it would change now, and those who may vote on it and how they do."""
    ledger = call.node.chain.ledger
    view = governance_queries.find_proposal(ledger, params.number)
    if view is None:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_SUCH_PROPOSAL, params.number)
    page = governance_queries.voters(ledger, params.number, params.limit, parse_number_cursor(params.cursor) or 0)
    return ProposalVotesView(
        proposal=describe_proposal(view),
        changes=[
            change
            for name, each in governance_queries.replacements(ledger, view.proposal).items()
            for change in find_changes(name, each.present, each.proposed)
        ],
        voters=None if page is None else [_describe_voter(voter) for voter in page.voters],
        cursor=None if page is None else format_number_cursor(page.next_cursor),
    )


def find_changes(path: str, present: object, proposed: object) -> Iterator[ChangeView]:
    """Yield what differs between two values of a field, each under its path; a list counts as one value."""
    if present == proposed:
        return
    if isinstance(present, Struct) and isinstance(proposed, Struct):
        for name in proposed.__struct_fields__:
            yield from find_changes(f"{path}.{name}", getattr(present, name), getattr(proposed, name))
    else:
        name = path.rpartition(".")[2]
        yield ChangeView(name=path, present=describe(name, present), proposed=describe(name, proposed))


def _describe_voter(voter: StoredVoter) -> VoterView:
    return VoterView(
        validator=describe_validator(voter.validator),
        power=voter.power,
        choice=None if voter.choice is None else voter.choice.name.lower(),
        time_ms=voter.time_ms or None,
    )


def describe_proposal(view: StoredProposal) -> ProposalView:
    """Return a proposal as a result."""
    proposal, decision = view.proposal, view.decision
    payload = describe_fields(proposal.payload)
    return ProposalView(
        number=view.number,
        title=proposal.title,
        proposer=describe_address(proposal.proposer),
        kind=payload["kind"],
        payload=payload,
        deposit=str(proposal.deposit),
        state=proposal.state.name.lower(),
        reason=proposal.reason or None,
        remedy=remedy_of(TransactionReason(proposal.reason)) if proposal.reason else None,
        outlook=None if decision is None else decision.reason or "passes",
        is_stale=view.is_stale,
        power=PowersView(
            total=proposal.power_total,
            yes=proposal.power_yes,
            no=proposal.power_no,
            abstain=proposal.power_abstain,
            veto=proposal.power_veto,
        ),
        created_ms=proposal.created_ms,
        created_height=proposal.created_height,
        vote_until_ms=proposal.vote_until_ms,
        execute_at_ms=proposal.execute_at_ms or None,
        decided_ms=proposal.decided_ms or None,
        votes_kept_until_ms=None if is_under_way(proposal) else votes_kept_until_ms(proposal),
    )
