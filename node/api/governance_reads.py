"""Handlers that read governance: proposals, and the votes on one."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from node.api.context import Call
from node.api.describe import describe_address, describe_fields, describe_validator
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.lookups import NumberCursor, format_number_cursor, parse_number_cursor
from node.api.registry import Height, Params
from node.api.views_governance import PowersView, ProposalsView, ProposalView, ProposalVotesView, VoterView
from state import governance_queries
from state.governance_queries import ProposalView as StoredProposal
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
    """Return a proposal, with those who may vote on it and how they do."""
    ledger = call.node.chain.ledger
    view = governance_queries.find_proposal(ledger, params.number)
    if view is None:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_SUCH_PROPOSAL, params.number)
    page = governance_queries.voters(ledger, params.number, params.limit, parse_number_cursor(params.cursor) or 0)
    return ProposalVotesView(
        proposal=describe_proposal(view),
        voters=[
            VoterView(
                validator=describe_validator(voter.validator),
                power=voter.power,
                choice=None if voter.choice is None else voter.choice.name.lower(),
                time_ms=voter.time_ms or None,
            )
            for voter in page.voters
        ],
        cursor=format_number_cursor(page.next_cursor),
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
    )
