"""What a simulated network is put through: who takes part, who lies, what breaks. A seed chooses everything else.

A profile names the kind of trouble; times, victims and amounts are drawn from the seed. The number of a seed decides its profile
unless one is named, so a run over consecutive seeds covers all of them.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct


class Misconduct(Enum):
    """How a Byzantine validator misbehaves."""

    TWIN = "twin"
    """Two full nodes under one key, each heard by a changing part of the network."""
    SILENT = "silent"
    """Says nothing of consensus, in spells or for good."""
    HALF = "half"
    """Each message reaches a part of the network only."""
    MUTATOR = "mutator"
    """Changes bytes and fields of what it sends, and signs some of it anew."""


class Clocks(Enum):
    """How wall clocks differ."""

    NEAR = "near"
    """By less than the precision that the chain demands."""
    FEW_FAR = "few far"
    """As many validators as may be faulty are 10 s ahead or behind."""
    ONE_AHEAD = "one ahead"
    """One validator is 10 s ahead."""


class Work(Enum):
    """What clients do."""

    BUSY = "busy"
    """Transactions arrive all the time."""
    IDLE = "idle"
    """Nothing for seconds, then one transaction, told to one node."""
    STAKE = "stake"
    """Besides transfers, validators bond and leave."""


class Profile(Struct, frozen=True, kw_only=True):
    """A kind of trouble."""

    name: str
    powers: tuple[int, ...] = (1, 1, 1, 1)
    """Stake of the first validators, as multiples of the least."""
    candidates: int = 0
    """Further nodes with validator keys, which may bond later."""
    followers: int = 0
    """Nodes without keys."""
    byzantine: tuple[Misconduct, ...] = ()
    """Of the first validators; together below a third of the stake."""
    loss_permille: int = 0
    """Before the network is calm."""
    duplicates_permille: int = 0
    delay_ms_max: int = 20
    """Before the network is calm; afterwards it is CALM_DELAY_MS_MAX."""
    partitions: int = 0
    """In each stormy phase."""
    crashes: int = 0
    """Of single nodes, at any operation, in each stormy phase."""
    power_losses: int = 0
    """Of the whole cluster, each node at an operation of its own, in each stormy phase."""
    isolations: int = 0
    """Long partitions of one node, so that it has to catch up by blocks."""
    wipes: int = 0
    """A follower, or a few validators in a run where none lies, lose disks or database, or get an old copy back."""
    clock_jumps: int = 0
    """Times in each stormy phase that a wall clock is set, within what is allowed between correct nodes."""
    clocks: Clocks = Clocks.NEAR
    work: Work = Work.BUSY
    storm_ms: tuple[int, int] = (800, 4_000)
    """Shortest and longest stormy phase."""
    heartbeat_ms: int = 0
    downtime_window: int = 1_000
    """Views led within which half may not be missed."""
    is_real: bool = False
    """Ed25519 signatures of votes in every seed, because transactions prove them; otherwise in one seed of five."""


CALM_DELAY_MS_MAX: Final = 10
NEAR_MS: Final = 150
"""Clocks of correct hosts differ by at most twice this, well within the precision of the chain."""

PROFILES: Final = (
    Profile(name="calm"),
    Profile(name="network", partitions=3, loss_permille=200, duplicates_permille=100, delay_ms_max=400, followers=1),
    Profile(name="crashes", crashes=6, loss_permille=30, delay_ms_max=60),
    Profile(name="power", power_losses=2, crashes=2, delay_ms_max=60),
    Profile(
        name="twins",
        byzantine=(Misconduct.TWIN,),
        partitions=2,
        loss_permille=150,
        duplicates_permille=50,
        delay_ms_max=200,
        is_real=True,
    ),
    Profile(
        name="twins-crashes", byzantine=(Misconduct.TWIN,), partitions=1, crashes=4, loss_permille=100, delay_ms_max=150
    ),
    Profile(name="silent", byzantine=(Misconduct.SILENT,), crashes=3, loss_permille=50, delay_ms_max=100),
    Profile(name="half", byzantine=(Misconduct.HALF,), partitions=1, loss_permille=50, delay_ms_max=100),
    Profile(
        name="mutator",
        byzantine=(Misconduct.MUTATOR,),
        followers=1,
        wipes=1,
        isolations=1,
        crashes=1,
        loss_permille=30,
        delay_ms_max=80,
    ),
    Profile(
        name="many",
        powers=(1,) * 10,
        byzantine=(Misconduct.TWIN, Misconduct.MUTATOR, Misconduct.SILENT),
        partitions=1,
        crashes=1,
        loss_permille=30,
        delay_ms_max=60,
    ),
    Profile(
        name="unequal",
        powers=(5, 7, 9, 11, 13, 2, 1),
        byzantine=(Misconduct.TWIN, Misconduct.HALF),
        partitions=1,
        crashes=2,
        loss_permille=80,
        delay_ms_max=120,
    ),
    Profile(name="clocks-far", powers=(1,) * 7, clocks=Clocks.FEW_FAR, clock_jumps=3, crashes=1, loss_permille=20),
    Profile(name="clock-ahead", clocks=Clocks.ONE_AHEAD, clock_jumps=3, loss_permille=20),
    Profile(name="idle", work=Work.IDLE, storm_ms=(0, 0), followers=1),
    Profile(name="lag", isolations=1, wipes=1, followers=2, crashes=1, storm_ms=(2_000, 8_000)),
    Profile(name="disks", powers=(1,) * 7, wipes=2, followers=1, crashes=2, loss_permille=30, delay_ms_max=50),
    Profile(
        name="stake",
        candidates=3,
        work=Work.STAKE,
        followers=1,
        crashes=2,
        partitions=1,
        isolations=1,
        loss_permille=50,
        delay_ms_max=60,
    ),
    Profile(
        name="stake-twins",
        powers=(2, 3, 3, 3, 3),
        candidates=2,
        work=Work.STAKE,
        byzantine=(Misconduct.TWIN,),
        crashes=2,
        partitions=1,
        loss_permille=80,
        delay_ms_max=80,
        is_real=True,
    ),
    Profile(
        name="jail",
        powers=(1,) * 7,
        work=Work.STAKE,
        byzantine=(Misconduct.SILENT,),
        crashes=2,
        isolations=1,
        downtime_window=16,
        delay_ms_max=60,
    ),
    Profile(name="heartbeat", heartbeat_ms=3_000, crashes=1, partitions=1, loss_permille=50),
)
PROFILE_BY_NAME: Final = {profile.name: profile for profile in PROFILES}


def profile_of(seed: int) -> Profile:
    """Return the profile that a seed stands for."""
    return PROFILES[seed % len(PROFILES)]
