"""Byzantine validators with one node: they run the real driver, and what it sends is withheld, spread unevenly, or changed."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Protocol

from p2p.channels import Channel
from tests.simulation.mutation import Mutator
from tests.simulation.profiles import Misconduct

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.world import World

Outgoing = list[tuple[Channel, bytes]]
CONSENSUS_CHANNELS = frozenset({Channel.CONSENSUS, Channel.STATUS, Channel.BODIES})


class Adversary(Protocol):
    """Stands between a Byzantine node and its peers."""

    def change(self, target: str, channel: Channel, payload: bytes) -> Outgoing:
        """Return what one peer gets instead of a message."""


class Silent:
    """Says nothing about consensus for spells of seconds; in some runs for ever."""

    def __init__(self, world: World, chance: Random) -> None:
        """Draw whether it ever speaks."""
        self._world = world
        self._chance = chance
        self._is_silent = True
        self._until_ms = 0
        self._is_for_ever = chance.random() < 0.4

    def change(self, target: str, channel: Channel, payload: bytes) -> Outgoing:
        """Withhold what concerns consensus during silent spells."""
        if not self._is_for_ever and self._world.time_ms >= self._until_ms:
            self._is_silent = not self._is_silent
            self._until_ms = self._world.time_ms + self._chance.randint(50, 2_000)
        return [] if self._is_silent and channel in CONSENSUS_CHANNELS else [(channel, payload)]


class HalfSender:
    """Lets each message reach a part of the network: now a fixed half, now a random one."""

    def __init__(self, world: World, chance: Random) -> None:
        """Start with no favourites."""
        self._world = world
        self._chance = chance
        self._favourites: frozenset[str] = frozenset()
        self._until_ms = 0

    def change(self, target: str, channel: Channel, payload: bytes) -> Outgoing:
        """Send to the favourites of the moment, and to others by chance."""
        if self._world.time_ms >= self._until_ms:
            self._favourites = frozenset(name for name in self._world.hosts if self._chance.random() < 0.5)
            self._until_ms = self._world.time_ms + self._chance.randint(20, 600)
        is_heard = target in self._favourites or self._chance.random() < 0.1
        return [(channel, payload)] if is_heard else []


class Forger:
    """Changes some of the messages, repeats old ones, and sends some on the wrong channel."""

    def __init__(self, world: World, chance: Random, host: Host) -> None:
        """Sign with the host's own keys."""
        self._chance = chance
        self._channels = list(Channel)
        self._mutator = Mutator(world.genesis.chain_id, world.signatures.signer(host.keys.validator), chance)

    def change(self, target: str, channel: Channel, payload: bytes) -> Outgoing:
        """Change a third of what is sent."""
        chance = self._chance
        self._mutator.remember(channel, payload)
        if chance.random() < 0.66:
            return [(channel, payload)]
        if chance.random() < 0.03:
            return [(chance.choice(self._channels), payload)]
        changed = self._mutator.mutate(channel, payload)
        return [(channel, changed), (channel, payload)] if chance.random() < 0.3 else [(channel, changed)]


def make_adversary(misconduct: Misconduct, world: World, host: Host) -> Adversary:
    """Return what stands between this host and the network."""
    chance = Random(f"{world.seed} {host.name}")
    match misconduct:
        case Misconduct.SILENT:
            return Silent(world, chance)
        case Misconduct.HALF:
            return HalfSender(world, chance)
        case Misconduct.MUTATOR:
            return Forger(world, chance, host)
        case Misconduct.TWIN:
            raise AssertionError("a twin is two hosts, and speaks freely")
