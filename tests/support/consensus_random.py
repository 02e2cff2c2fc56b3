"""Random runs of a whole network of cores: a hostile time with loss, partitions, crashes and twins, then a calm one.

Everything comes from the seed. After the hostile time all honest nodes must finalize more blocks (G9), and every invariant that
consensus_checks.py knows holds all the time.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from consensus.messages import ConsensusMessage
from consensus.timeouts import TimingParameters
from tests.support.consensus_checks import Violation
from tests.support.consensus_harness import World
from tests.support.consensus_node import Node
from tests.support.consensus_toys import set_power

TIMING = TimingParameters(timeout_min_ms=60, timeout_first_ms=80, timeout_max_ms=400, status_interval_ms=200)
HOSTILE_MS = 3_000
CALM_MS = 30_000
BLOCKS = 8


class Profile(NamedTuple):
    """What may go wrong."""

    name: str
    has_twin: bool = False
    crashes: int = 0
    changes_set: bool = False
    is_twin_silent_later: bool = False


PROFILES = (
    Profile("loss and partitions"),
    Profile("twin", has_twin=True),
    Profile("crashes", crashes=8),
    Profile("twin, crashes", has_twin=True, crashes=8),
    Profile("twin that falls silent, crashes", has_twin=True, crashes=8, is_twin_silent_later=True),
    Profile("set changes", changes_set=True),
    Profile("set changes, twin, crashes", has_twin=True, crashes=8, changes_set=True),
)


class RandomRun:
    """One run, from its seed alone."""

    def __init__(self, seed: int, profile: Profile) -> None:
        """Plan the hostile time."""
        self._random = random = Random(f"{profile.name} {seed}")
        self._profile = profile
        self._side: dict[str, int] = {}
        self._twin = random.randrange(4) if profile.has_twin else None
        twins = () if self._twin is None else (self._twin,)
        self.world = World(followers=2 if profile.changes_set else 0, twins=twins, timing=TIMING)
        self.world.route = self._route
        self._partition()
        for _ in range(profile.crashes):
            self.world.at(random.randint(50, HOSTILE_MS), self._crash_one)
        if profile.crashes:
            self.world.at(random.randint(500, HOSTILE_MS), self._maybe_crash_all)
            self.world.at(200, self._revive_some)
        if profile.changes_set:
            self.world.at(150, self._change_set)

    def run(self) -> World:
        """Run to the end.

        Raises:
            Violation: an invariant does not hold.
        """
        world = self.world.start()
        world.run_for(HOSTILE_MS)
        self._revive_all()
        world.run_for(500)
        self._revive_all()
        height = max(node.height for node in world.up) + BLOCKS
        if not world.run_to_height(height, CALM_MS):
            places = [(node.name, node.view, node.height) for node in world.up]
            raise Violation("G9 liveness", f"not at height {height} after {CALM_MS} ms of calm: {places}")
        world.checks.check_ancestry()
        return world

    @property
    def _is_hostile(self) -> bool:
        return self.world.time_ms < HOSTILE_MS

    def _route(self, source: Node, target: Node, _message: ConsensusMessage) -> int | None:
        random = self._random
        if not self._is_hostile:
            is_silent = self._profile.is_twin_silent_later and not source.is_honest
            return None if is_silent else random.randint(5, 15)
        if self._side.get(source.name, 0) != self._side.get(target.name, 0) or random.random() < 0.2:
            return None
        return random.randint(5, 15) if random.random() < 0.8 else random.randint(0, 400)

    def _partition(self) -> None:
        is_parted = self._random.random() < 0.7
        self._side = {name: self._random.randrange(2) if is_parted else 0 for name in self.world.nodes}
        if self._is_hostile:
            self.world.at(self.world.time_ms + self._random.randint(20, 300), self._partition)

    def _crash_one(self) -> None:
        if not self.world.up:
            return
        node = self._random.choice(self.world.up)
        if self._random.random() < 0.5:
            node.effects_until_power_loss = self._random.randrange(12)
        else:
            node.crash(is_group_kept=self._random.random() < 0.5)

    def _maybe_crash_all(self) -> None:
        if self._random.random() < 0.3:
            self.world.crash_all()

    def _revive_some(self) -> None:
        for node in self.world.nodes.values():
            if not node.is_up and self._random.random() < 0.5:
                node.start()
        if self._is_hostile:
            self.world.at(self.world.time_ms + self._random.randint(50, 400), self._revive_some)

    def _revive_all(self) -> None:
        for node in self.world.nodes.values():
            node.effects_until_power_loss = None
            if not node.is_up:
                node.start()

    def _change_set(self) -> None:
        """Give an honest node another power, as long as four are left and the twin stays below a third."""
        newest = self.world.checks.sets[max(self.world.checks.sets, default=0)]
        powers = {member.address[1]: member.power for member in newest.members}
        index, power = self._random.randrange(6), self._random.choice([0, 1, 1, 2])
        if index != self._twin:
            powers[index] = power
            twin_power = 0 if self._twin is None else powers.get(self._twin, 0)
            is_large = sum(1 for known in powers.values() if known) >= 4
            if is_large and 3 * twin_power < sum(powers.values()):
                self.world.submit(set_power(index, power, salt=str(self._random.random())))
        if self._is_hostile:
            self.world.at(self.world.time_ms + self._random.randint(100, 400), self._change_set)


def random_run(seed: int, profile: Profile) -> World:
    """Run a seed of a profile.

    Raises:
        Violation: an invariant does not hold.
    """
    return RandomRun(seed, profile).run()
