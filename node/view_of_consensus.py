"""The progress of agreement, as the API shows it: an immutable picture taken between two steps."""

from __future__ import annotations

from typing import Final

from consensus.core import Consensus
from consensus.view_state import ViewState
from node.api.context import ConsensusSnapshot, ViewSeen, VotesSeen
from state.votes import VoteKind

VIEWS_MAX: Final = 16


def take_snapshot(consensus: Consensus, timeout_ms: int) -> ConsensusSnapshot:
    """Return where consensus is; the cost is that of the few views above the final one."""
    node = consensus.node
    state = node.state
    views = [view for view in sorted(state.views) if view > state.final_view][-VIEWS_MAX:]
    members = state.validators.members
    return ConsensusSnapshot(
        epoch=state.number,
        view=node.view,
        leader=members[state.leader_index(node.view)].address,
        failed_views=node.failed_views,
        timeout_ms=timeout_ms,
        is_halted=node.is_halted,
        total_power=state.validators.total_power,
        views=tuple(_see_view(view, members[state.leader_index(view)].address, state.views[view]) for view in views),
    )


def _see_view(view: int, leader: bytes, known: ViewState) -> ViewSeen:
    votes = tuple(
        VotesSeen(kind=kind.name.lower(), block_hash=choice[1], power=known.tally.power_of(choice))
        for kind in VoteKind
        for choice in known.tally.choices(kind)
    )
    return ViewSeen(
        view=view,
        leader=leader,
        proposal=None if known.proposal is None else known.proposal.vote.block_hash,
        certificates=tuple(kind.name.lower() for kind in sorted(known.certificates)),
        votes=votes,
    )
