"""Steps of directed scenarios: which messages are lost, and what must hold at the end."""

from __future__ import annotations

from collections.abc import Callable

from consensus.messages import ConsensusMessage, Proposal, VoteMessage
from state.votes import VoteKind
from tests.support.consensus_checks import Violation
from tests.support.consensus_harness import DELAY_MS, World
from tests.support.consensus_node import Node

Loss = Callable[[Node, Node, ConsensusMessage], bool]
"""Whether a message from a node to another is lost."""


def lose(world: World, is_lost: Loss) -> None:
    """Lose some messages from now on, and deliver all others after the usual delay."""
    world.route = lambda source, target, message: None if is_lost(source, target, message) else DELAY_MS


def connect(world: World) -> None:
    """Lose nothing any more."""
    lose(world, lambda _source, _target, _message: False)


def is_vote(message: ConsensusMessage, kind: VoteKind, view: int) -> bool:
    """Tell whether a message is a vote of this kind in this view; a proposal's vote is its own matter."""
    return isinstance(message, VoteMessage) and (message.vote.kind, message.vote.view) == (kind, view)


def is_proposal(message: ConsensusMessage, view: int) -> bool:
    """Tell whether a message is a proposal for this view."""
    return isinstance(message, Proposal) and message.view == view


def must_live(world: World, blocks: int = 4, limit_ms: int = 120_000) -> None:
    """G9: from now on all honest nodes that are up finalize some more blocks."""
    height = max(node.height for node in world.up) + blocks
    if not world.run_to_height(height, limit_ms):
        places = [(node.name, node.view, node.height) for node in world.honest if node.is_up]
        raise Violation("G9 liveness", f"nothing becomes final any more: {places}")
    world.checks.check_ancestry()


def tolerate(world: World, *laws: str) -> None:
    """Show what follows from a fault instead of the fault itself."""
    world.checks.tolerated |= set(laws)


def lose_all_power(world: World, *but: str) -> None:
    """Crash everybody, lose all messages on their way, and start everybody again but those."""
    world.crash_all()
    world.run_for(600)
    connect(world)
    world.start(*[name for name in world.nodes if name not in but])
