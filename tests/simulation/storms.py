"""Stormy phases: what breaks when, drawn from the seed. After a storm everything that is honest works again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.simulation.host import Host
from tests.simulation.profiles import NEAR_MS

if TYPE_CHECKING:
    from tests.simulation.world import World

OPERATIONS_MAX = 120
"""Within how many operations of a doomed host its power fails: a block takes about thirty."""
AUDIENCE_CHANGE_MS = (20, 400)


class Storms:
    """Breaks things in a world."""

    def __init__(self, world: World, chance: Random) -> None:
        """Start with nice weather."""
        self._world = world
        self._chance = chance
        self._serial = 0
        self._wiped = 0
        """Validators that lost something."""
        self.power_losses = 0
        twins = [host for host in world.hosts.values() if not host.is_honest and host.adversary is None]
        self._twins = sorted(host.name for host in twins)
        if self._twins:
            self._change_audiences()

    def _change_audiences(self) -> None:
        """Twins are heard by changing parts of the network, all the time: also when it is calm."""
        chance, links = self._chance, self._world.links
        names = [name for name in self._world.hosts if name not in self._twins]
        first_half = frozenset(name for name in names if chance.random() < 0.5)
        for twin in self._twins:
            is_other = twin.endswith("'")
            heard = frozenset(name for name in names if (name in first_half) != is_other)
            shared = frozenset(name for name in names if chance.random() < 0.15)
            links.audiences[twin] = heard | shared
        self._world.schedule(chance.randint(*AUDIENCE_CHANGE_MS), self._change_audiences)

    def brew(self) -> int:
        """Plan a storm and begin it; return for how long it lasts."""
        world, profile, chance = self._world, self._world.profile, self._chance
        duration_ms = chance.randint(*profile.storm_ms)
        self._serial += 1
        if not duration_ms:
            return 0
        self._back_up()
        world.links.is_calm = False
        world.restarts_after_ms = (10, 1_500)
        for _ in range(chance.randint(0, profile.partitions)):
            self._plan(duration_ms, self._part)
        for _ in range(chance.randint(0, profile.crashes)):
            self._plan(duration_ms, self._doom_one)
        for _ in range(chance.randint(0, profile.power_losses)):
            self._plan(duration_ms, self._lose_power)
        for _ in range(chance.randint(0, profile.isolations)):
            self._plan(duration_ms // 3, self._isolate)
        for _ in range(chance.randint(0, profile.clock_jumps)):
            self._plan(duration_ms, self._set_clock)
        if profile.wipes and chance.random() < 0.4:
            self._plan(duration_ms, self._wipe)
        return duration_ms

    def _back_up(self) -> None:
        """Copy a database now and then; where disks fail."""
        if self._world.profile.wipes and self._chance.random() < 0.5:
            for host in self._world.up:
                host.back_up()

    def _plan(self, within_ms: int, action: object) -> None:
        self._world.schedule(self._chance.randrange(within_ms), self._strike, self._serial, action)

    def _strike(self, serial: int, action: object) -> None:
        if serial == self._serial and not self._world.links.is_calm:
            action()  # type: ignore[operator]

    def _part(self) -> None:
        """Divide the network, with or without the connections noticing."""
        world, chance = self._world, self._chance
        sides = {name: chance.randrange(2 if chance.random() < 0.8 else 3) for name in world.hosts}
        world.links.groups = sides
        is_noticed = chance.random() < 0.5
        cut = [(one, other) for one in sides for other in sides if one < other and sides[one] != sides[other]]
        if is_noticed:
            for one, other in cut:
                world.disconnect(one, other)
        self._world.schedule(chance.randint(50, 2_500), self._join, self._serial, cut if is_noticed else [])

    def _join(self, serial: int, cut: list[tuple[str, str]]) -> None:
        if serial == self._serial:
            self._world.links.groups = {}
        for one, other in cut:
            self._reconnect(one, other)

    def _reconnect(self, one: str, other: str) -> None:
        world = self._world
        if world.links.session(one, other) is None and {one, other} != set(self._twins):
            world.connect(one, other)

    def _doom_one(self) -> None:
        """Let the power of some honest host fail at one of its next operations."""
        hosts = self._world.up
        if hosts:
            self._doom(hosts[self._chance.randrange(len(hosts))])

    def _doom(self, host: Host) -> None:
        if host.operations_left is None:
            host.operations_left = self._chance.randrange(OPERATIONS_MAX)

    def _lose_power(self) -> None:
        """Let the power of all hosts fail: each at an operation of its own, and what lives on a little later."""
        self.power_losses += 1
        for host in self._world.hosts.values():
            if host.is_up:
                self._doom(host)
        self._world.schedule(self._chance.randint(1, 60), self._cut_power, self._serial)

    def _cut_power(self, serial: int) -> None:
        if serial != self._serial:
            return
        for host in self._world.hosts.values():
            if host.is_up:
                host.crash()

    def _isolate(self) -> None:
        """Cut one host off until the storm is over."""
        hosts = self._world.honest
        self._world.links.isolated = hosts[self._chance.randrange(len(hosts))].name

    def _set_clock(self) -> None:
        """Set a clock that is near the others to another time near them, also backwards."""
        hosts = [host for host in self._world.hosts.values() if abs(host.clock_offset_ms) <= NEAR_MS]
        hosts[self._chance.randrange(len(hosts))].clock_offset_ms = self._chance.randint(-NEAR_MS, NEAR_MS)

    def _wipe(self) -> None:
        """Take a host's disks or its database, or put an old copy of it back: of a follower as often as one likes."""
        world, chance = self._world, self._chance
        followers = [host for host in world.honest if host.address is None]
        validators = [host for host in world.honest if host.address is not None]
        if followers and (world.profile.byzantine or chance.random() < 0.4):
            followers[chance.randrange(len(followers))].wipe()
            return
        self._wiped += 1
        if self._wiped > len(validators) // 3:
            return  # too many validators that may sign nothing for a while
        victim = validators[chance.randrange(len(validators))]
        chance.choice((victim.wipe, victim.reset_store, victim.restore_store))()

    def calm_down(self) -> None:
        """End the storm: heal links, start what is down, save what is doomed."""
        world = self._world
        self._serial += 1
        world.links.is_calm = True
        world.links.groups = {}
        world.links.isolated = None
        world.restarts_after_ms = (10, 200)
        for host in world.hosts.values():
            host.operations_left = None
            if not host.is_up:
                world.start_host(host)
        names = list(world.hosts)
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                self._reconnect(one, other)
