"""Stories of whole networks that random storms tell too rarely, or only by accident."""

from __future__ import annotations

from msgspec.structs import replace

from p2p.channels import Channel
from tests.simulation.bounds import usage
from tests.simulation.host import Host
from tests.simulation.profiles import PROFILE_BY_NAME, Profile, Work
from tests.simulation.world import World

CALM = PROFILE_BY_NAME["calm"]
QUIET = Profile(name="quiet", work=Work.IDLE)
"""Nothing happens but what the story says."""


def grow(world: World, height: int, hosts: list[Host] | None = None) -> None:
    """Let a world run until these hosts, or all honest ones, have a height final."""
    waited = hosts or world.honest
    assert world.run(120_000, lambda: all(host.is_up and host.height >= height for host in waited))


def test_a_node_far_behind_fetches_runs_of_blocks_and_does_not_walk_back_block_by_block() -> None:
    """Given a chain of 300 blocks, when an empty follower joins and gets no answers to its questions for runs of blocks,
    then it keeps few blocks at a time; and once it gets answers, it is soon in step."""
    world = World(1, replace(CALM, followers=1))
    late = world.hosts["f0"]
    world.restarts_after_ms = None
    world.start()
    late.crash()
    grow(world, 300, [host for host in world.honest if host is not late])
    late.wipe()
    world.links.lost_channels = frozenset({Channel.SYNC})
    world.start_host(late)
    world.run(4_000)
    kept = usage(late)
    assert kept["blocks"] < 80, kept
    assert kept["fetched blocks"] < 80, kept
    world.links.lost_channels = frozenset()
    assert world.run(30_000, lambda: late.height >= 300), late.height
