"""G10: what a host keeps in memory and asks of others stays bounded, whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.block_fetch import BLOCKS_MAX
from node.vote_log import APPENDED_MAX
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.world import World

BOUNDS = {
    "views": 400,
    "blocks": 120,
    "fetched blocks": BLOCKS_MAX,
    "incomplete blocks": 48,
    "unverified": 2_000,
    "pinned bodies": 4_000,
    "executions": 600,
    "executed blocks": 600,
    "log records": 2 * APPENDED_MAX,
    "answers remembered": 10_000,
    "pending": 5_000,
    "wanted": 5_000,
}
"""Most of each that a small network with its little traffic may need; a node that is behind walks 64 blocks back, no more."""
EVENTS_MAX = 60_000
"""Planned at a time in a world: messages on their way, timers, users."""
MESSAGES_PER_PEER_MAX = 250
"""That a host sends to each peer in a second; a busy network needs about 100."""


class Rate:
    """Messages that one host sent in the present second."""

    def __init__(self, host: Host) -> None:
        """Start with none."""
        self._host = host
        self._second = 0
        self._count = 0

    def add(self, time_ms: int) -> None:
        """Count a message, and compare with the bound."""
        second = time_ms // 1_000
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > MESSAGES_PER_PEER_MAX * len(self._host.world.hosts):
            raise Violation("G10 no message debt", f"{self._host.name} sent {self._count} messages in a second")


def usage(host: Host) -> dict[str, int]:
    """Return how much of everything a host keeps."""
    driver = host.running
    node = driver.consensus.node
    return {
        "views": len(node.state.views),
        "blocks": len(node.state.blocks),
        "fetched blocks": len(driver.fetcher._blocks),
        "incomplete blocks": len(driver.fetcher.incomplete()),
        "unverified": sum(len(block.unverified) for block in driver.fetcher._blocks.values()),
        "pinned bodies": len(driver.mempool.bodies),
        "executions": len(driver.executor._jobs),
        "executed blocks": len(driver.chain._branches._candidates),
        "log records": len(host.log),
        "answers remembered": sum(len(answers) for answers in node.assistance._answers.values()),
        "pending": len(driver.mempool),
        "wanted": driver.intake._gossip.wanted_count,
    }


def check_bounds(host: Host) -> None:
    """Compare a host's memory with the bounds."""
    for name, count in usage(host).items():
        if count > BOUNDS[name]:
            raise Violation("G10 no message debt", f"{host.name} keeps {count} {name}, more than {BOUNDS[name]}")


def check_world(world: World) -> None:
    """Compare what is under way in the network with the bound."""
    if len(world.events) > EVENTS_MAX:
        raise Violation("G10 no message debt", f"{len(world.events)} events are planned, more than {EVENTS_MAX}")
