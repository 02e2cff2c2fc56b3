"""What users do besides sending transfers: in an idle network one transaction at a time, in others bonding and leaving."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Protocol

from tests.simulation.profiles import Work
from tests.simulation.stake_script import StakeScript
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

IDLE_LATENCY_MS_MAX = 3_000
"""Until a transaction told to one node of an idle, calm network is final: four delays, or one timeout of 1 s and a new leader."""


class Script(Protocol):
    """What users do beside transfers."""

    def stir(self) -> None:
        """Act as a storm begins."""

    def play(self) -> None:
        """Act once after each storm."""

    def check(self) -> None:
        """Check what came of it."""


class Nothing:
    """Transfers alone."""

    def stir(self) -> None:
        """Do nothing."""

    def play(self) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Expect nothing."""


class IdleScript:
    """An idle network gets one transaction, which one node is told."""

    def __init__(self, world: World) -> None:
        """Draw from the seed."""
        self._world = world
        self._chance = Random(f"{world.seed} script")
        self.latencies_ms: list[int] = []

    def stir(self) -> None:
        """Do nothing."""

    def play(self) -> None:
        """Wait, then send a transaction and see it final on all hosts, in one block."""
        world = self._world
        world.run(self._chance.randint(0, 20_000))
        before = world.checks.height
        hosts = world.honest
        start_ms = world.time_ms
        world.workload.send_transfer(hosts[self._chance.randrange(len(hosts))])
        if not world.run(IDLE_LATENCY_MS_MAX, lambda: all(host.height > before for host in hosts)):
            raise Violation("idle", f"a transaction is not final {IDLE_LATENCY_MS_MAX} ms after it was sent")
        self.latencies_ms.append(world.time_ms - start_ms)
        world.run(1_000)
        if world.checks.height != before + 1:
            raise Violation("idle", f"one transaction made {world.checks.height - before} blocks")

    def check(self) -> None:
        """Most transactions take four delays, without any timeout."""
        median = sorted(self.latencies_ms)[len(self.latencies_ms) // 2]
        if median > 60:
            raise Violation("idle", f"the median transaction took {median} ms")


def make_script(world: World) -> Script:
    """Return the script of a world's profile."""
    if world.profile.work is Work.IDLE:
        return IdleScript(world)
    if world.profile.work is Work.STAKE:
        return StakeScript(world)
    return Nothing()
