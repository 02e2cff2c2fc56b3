"""One simulation from its seed to its verdict: storms and calm phases in turn until the chain is high enough, then the last checks.

In each calm phase every honest host must make progress within a bound (G9); at the end every transaction that anybody sent must be
final, and the idle chain silent.
"""

from __future__ import annotations

from random import Random

from msgspec import Struct

from state.deadlines import find_next_deadline_ms
from state.records import CHAIN_STATE, ONLY
from tests.simulation.bounds import check_world
from tests.simulation.light_client import LightClient
from tests.simulation.profiles import Profile, Work
from tests.simulation.scripts import make_script
from tests.simulation.storms import Storms
from tests.simulation.violation import Violation
from tests.simulation.world import World

RECOVERY_MS_MAX = 90_000
"""From the end of a storm until every honest host has new blocks: a few of the longest timeouts (8 s), and a sync that fails once
(5 s without progress, then 10 s pause of that peer)."""
RECOVERY_HEIGHTS = 3
CALM_HEIGHTS_MIN = 6
DRAIN_MS_MAX = 120_000
QUIET_MS_MAX = 60_000
"""Until the last deadline is over, after everything sent is final: longer than any delay of the simulated chains."""
LAST_BLOCK_MS = 10_000
"""A host that just now saw the last block as not final, or a leader without transactions, may still cause an empty one."""
ATTEMPTS_MAX = 4
SILENCE_MS = 12_000
BLOCKS_PER_BEAT_MAX = 3
"""A leader whose clock is behind is nullified by some before its beat, and such a block becomes final by later ones."""
PHASES_MAX = 400


class Report(Struct, frozen=True):
    """What a simulation did."""

    seed: int
    profile: str
    heights: int
    epochs: int
    views: int
    messages: int
    transactions: int
    crashes: int
    restarts: int
    storms: int
    virtual_ms: int
    recovery_ms: int
    """Longest from the end of a storm until all hosts had new blocks."""
    convicted: int
    is_real: bool
    trace_hash: str


def simulate(seed: int, profile: Profile, heights: int) -> Report:
    """Run a seed until this height is final on every honest host.

    Raises:
        Violation: an invariant does not hold.
    """
    return Simulation(seed, profile, heights).run()


class Simulation:
    """A world and its fate."""

    def __init__(self, seed: int, profile: Profile, heights: int) -> None:
        """Make the world; nothing happens yet."""
        self.world = World(seed, profile)
        self._heights = heights
        self._storms = Storms(self.world, Random(f"{seed} storms"))
        self._script = make_script(self.world)
        self._recovery_ms = 0
        self._phases = 0

    def run(self) -> Report:
        """Let everything happen."""
        world = self.world
        world.start()
        while min((host.height for host in world.up), default=0) < self._heights:
            self._phases += 1
            if self._phases > PHASES_MAX:
                raise Violation("G9 bounded liveness", f"{PHASES_MAX} phases, and still below {self._heights}")
            duration_ms = self._storms.brew()
            if duration_ms:
                self._script.stir()
                world.run(duration_ms)
            self._storms.calm_down()
            self._recover()
            self._script.play()
            check_world(world)
        self._drain()
        self._check_everything()
        return self._report()

    def _recover(self) -> None:
        """G9: after a storm everybody makes progress, within a bound."""
        world = self.world
        if world.profile.work is Work.IDLE:
            return
        start_ms, goal = world.time_ms, world.checks.height + RECOVERY_HEIGHTS
        if not world.run(RECOVERY_MS_MAX, lambda: self._has_everybody(goal)):
            raise Violation("G9 bounded liveness", f"{self._places()}, not {goal} in {RECOVERY_MS_MAX} ms of calm")
        self._recovery_ms = max(self._recovery_ms, world.time_ms - start_ms)
        goal += CALM_HEIGHTS_MIN - RECOVERY_HEIGHTS
        if not world.run(RECOVERY_MS_MAX, lambda: self._has_everybody(goal)):
            raise Violation("G9 bounded liveness", f"{self._places()}, not {goal} in {RECOVERY_MS_MAX} ms of calm")

    def _has_everybody(self, goal: int) -> bool:
        world = self.world
        return len(world.up) == len(world.honest) and all(host.height >= goal for host in world.honest)

    def _places(self) -> str:
        places = []
        for host in self.world.hosts.values():
            if host.is_up:
                node = host.running.consensus.node
                places.append(f"{host.name} at {host.height} in view {node.state.number}:{node.view}")
            else:
                places.append(f"{host.name} down")
        return ", ".join(places)

    def _drain(self) -> None:
        """G6, G9: what was sent becomes final everywhere; then nothing happens any more."""
        world = self.world
        world.workload.is_sending = False
        if not world.run(DRAIN_MS_MAX, self._is_drained):
            left = len(world.workload.pending)
            raise Violation("G9 bounded liveness", f"{left} transactions are not final: {self._places()}")
        self._wait_for_quiet()
        height = world.checks.height
        world.run(SILENCE_MS)
        beats = SILENCE_MS // world.profile.heartbeat_ms if world.profile.heartbeat_ms else 0
        if not beats - 1 <= world.checks.height - height <= beats * BLOCKS_PER_BEAT_MAX:
            raise Violation("idle", f"an idle chain went from {height} to {world.checks.height}, not by {beats}")

    def _wait_for_quiet(self) -> None:
        """Wait until nothing is left to do, and for a while nobody found anything more, like a report of late evidence."""
        world = self.world
        for _ in range(ATTEMPTS_MAX):
            if world.run(QUIET_MS_MAX, self._is_quiet):
                height = world.checks.height
                world.run(LAST_BLOCK_MS)
                if self._is_quiet() and (world.profile.heartbeat_ms or world.checks.height == height):
                    return
        raise Violation("idle", f"there is always something left to do: {self._places()}")

    def _is_quiet(self) -> bool:
        """Tell whether nothing is left to do: no deadline, set change or pending transaction, and everybody at one height."""
        world = self.world
        for host in world.honest:
            ledger = host.running.chain.ledger
            if find_next_deadline_ms(ledger) is not None or ledger.get(CHAIN_STATE, ONLY).is_set_stale:
                return False
            if len(host.running.mempool) or host.height != world.checks.height:
                return False
        return True

    def _is_drained(self) -> bool:
        return not self.world.workload.pending and self._has_everybody(self.world.checks.height)

    def _check_everything(self) -> None:
        """L7 on one host after the other, and what a script expects."""
        world = self.world
        for index, host in enumerate(world.honest):
            if index == world.seed % len(world.honest):
                LightClient(host).check_all(host.height)
        self._script.check()

    def _report(self) -> Report:
        world = self.world
        checks = world.checks
        return Report(
            seed=world.seed,
            profile=world.profile.name,
            heights=checks.height,
            epochs=len(checks.wire.sets),
            views=len(checks.wire.quorums),
            messages=world.messages,
            transactions=len(checks.places),
            crashes=sum(host.crashes for host in world.hosts.values()),
            restarts=checks.restarts,
            storms=self._phases,
            virtual_ms=world.time_ms,
            recovery_ms=self._recovery_ms,
            convicted=len(checks.convicted),
            is_real=world.signatures.is_real,
            trace_hash=world.trace_hash,
        )
