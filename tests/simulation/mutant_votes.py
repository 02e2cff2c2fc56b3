"""Runs of a few views that need the signing guard, the log, or the retries.

Each goes wrong (a Violation) as soon as its guard is off, and well with it. Four validators lead in the order v3, v2, v1, v0 from
view 1 on; a message takes 10 ms, the first timer is 1 s.
"""

from __future__ import annotations

from consensus.messages import ConsensusMessage, Proposal
from tests.simulation.mutant_steps import (
    connect,
    is_proposal,
    is_vote,
    lose,
    lose_all_power,
    must_live,
    tolerate,
)
from tests.support.consensus_cast import F, N, X
from tests.support.consensus_checks import Violation
from tests.support.consensus_harness import DELAY_MS, World
from tests.support.consensus_node import Node

LOG = "L2 log before wire"


# the signing guard


def both_halves_of_a_block_heard() -> None:
    """The leader of view 1 is a twin, and everybody hears both of its blocks before any vote."""
    world = World(twins=[3])
    world.route = lambda _source, _target, message: 100 if is_vote(message, N, 1) else DELAY_MS
    world.start()
    must_live(world)


def block_notarised_after_the_timeout() -> None:
    """v0 misses the proposal and nullifies view 1; a moment later the votes of the others arrive."""
    world = World()
    lose(world, lambda _source, target, message: target.name == "v0" and is_proposal(message, 1))
    plain = world.route

    def route(source: Node, target: Node, message: ConsensusMessage) -> int | None:
        is_slow = is_vote(message, N, 1) or (target.name == "v0" and is_proposal(message, 1))
        return 995 if is_slow else plain(source, target, message)

    world.route = route
    world.start().run_for(1_100)
    connect(world)
    must_live(world)


def other_half_notarised() -> None:
    """The twin gives one block to v0 and the other to v1 and v2, who notarize it; v0 sees that notarization."""
    world = World(twins=[3])

    def is_lost(source: Node, target: Node, message: ConsensusMessage) -> bool:
        is_other_half = target.is_honest and (target.name == "v0") == source.name.endswith("'")
        return is_vote(message, F, 1) or (is_proposal(message, 1) and is_other_half)

    lose(world, is_lost)
    world.start().run_for(200)
    connect(world)
    must_live(world)


def proposal_after_the_timeout() -> None:
    """The proposal of view 1 reaches v0 after it nullified that view."""
    world = World()
    world.route = lambda _source, target, message: (
        (1_005 if target.name == "v0" else 1_500) if is_proposal(message, 1) else DELAY_MS
    )
    world.start().run_for(3_000)
    must_live(world)


def power_loss_after_the_first_vote() -> None:
    """v0 votes for one half of a twin's block, loses power, and then hears the other half."""
    world = World(twins=[3])
    tolerate(world, LOG)

    def route(source: Node, target: Node, message: ConsensusMessage) -> int | None:
        if is_proposal(message, 1) and target.name == "v0":
            return 50 if source.name.endswith("'") else DELAY_MS
        return None if target.name == "v0" else DELAY_MS

    world.route = route
    world.start().run_for(20)
    world["v0"].crash()
    world.run_for(10)
    world["v0"].start()
    world.submit(b"of the other half", "v0")
    world.run_for(40)
    connect(world)
    must_live(world)


def power_loss_after_finalize() -> None:
    """v0 signs finalize in view 1, loses power, and then hears nothing for longer than the timeout."""
    world = World()
    tolerate(world, LOG)
    lose(world, lambda _source, _target, message: is_vote(message, F, 1))
    world.start().run_for(25)
    world["v0"].crash()
    lose(world, lambda source, target, _message: "v0" in {source.name, target.name})
    world.run_for(20)
    world["v0"].start()
    world.run_for(3_000)
    connect(world)
    must_live(world)


# what the log keeps


def total_power_loss_after_finalize_votes() -> None:
    """Everybody signed finalize for a block with a transaction in it, no such vote arrived, and all lose power."""
    world = World()
    tolerate(world, LOG)
    lose(world, lambda _source, _target, message: is_vote(message, F, 1))
    world.start()
    world.submit(b"transfer")
    world.run_for(35)
    lose_all_power(world)
    must_live(world)


def notarised_with_a_voter_that_is_gone() -> None:
    """v2 missed the block of view 1 and nullified it; v3 and v0 finalize it on the vote of v1, which never comes back."""
    world = World(byzantine=[1])
    tolerate(world, LOG)
    lose(
        world,
        lambda source, target, message: "v2" in {source.name, target.name} or is_vote(message, F, 1),
    )
    world.start().run_for(1_005)
    lose_all_power(world, "v1")
    must_live(world)


def nullification_with_a_voter_that_is_gone() -> None:
    """v0 entered view 2 by a nullification with the vote of v1 in it; all lose power, and v1 never comes back."""
    world = World(byzantine=[1])
    world["v2"].clock_offset_ms = -1_000_000  # so that it proposes nothing, and does not log the nullification with it
    lose(world, lambda _source, target, message: isinstance(message, Proposal) or target.name == "v0")
    world.start("v1", "v2", "v3").run_for(2_000)
    lose(world, lambda _source, _target, message: isinstance(message, Proposal) or is_vote(message, X, 1))
    world.start("v0").run(lambda: world["v0"].running.node.has_signed(2, X), 2_000)
    assert not world["v0"].running.node.has_signed(1, X), "the scenario is another one than intended"
    world["v2"].clock_offset_ms = 0
    lose_all_power(world, "v1")
    must_live(world)


def total_power_loss_in_a_long_failure() -> None:
    """Twenty views passed before genesis, without a proposal; then all lose power."""
    world = _started_before_genesis(views=20)
    lose_all_power(world)
    must_live(world, 1, 300_000)


def fifty_views_without_a_block() -> None:
    """Fifty views passed before genesis, without a proposal."""
    world = _started_before_genesis(views=50)
    must_live(world, 1, 300_000)


def _started_before_genesis(views: int) -> World:
    """Let all clocks stand before genesis until so many views are nullified, then set them right."""
    world = World()
    for node in world.nodes.values():
        node.clock_offset_ms = -1_000_000_000
    world.start()
    if not world.run(lambda: world["v0"].view > views, 1_000_000):
        raise Violation("G9 liveness", f"the votes of view {world['v0'].view} do not count any more")
    for node in world.nodes.values():
        node.clock_offset_ms = 0
    return world


def messages_lost_for_a_while() -> None:
    """Everything is lost for three seconds, in which everybody votes."""
    world = World()
    lose(world, lambda _source, _target, _message: True)
    world.start().run_for(3_000)
    connect(world)
    must_live(world)
