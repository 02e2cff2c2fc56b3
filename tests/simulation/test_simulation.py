"""Whole networks from many seeds: as many as fit into the time, all kinds of trouble, and not one broken invariant.

`make sim SEEDS=300 HEIGHTS=100` runs as many as one likes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from math import gcd

import pytest

from tests.simulation.__main__ import repeat_command
from tests.simulation.profiles import PROFILES, profile_of
from tests.simulation.run import simulate
from tests.simulation.tally import Tally

SHARDS = 9
"""Parts for parallel workers; coprime to the number of profiles, so that each part sees all of them."""
SECONDS = float(os.environ.get("SIMULATION_SECONDS", "190"))
"""Processor time in all: with the exploration of schedules about three minutes on one core, half of it on two."""
HEIGHTS = 30
FIRST_SEED = 1
SEEDS_MIN = 3
"""Of each part, however slow the machine is."""


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_networks_keep_every_invariant(shard: int, record_property: Callable[[str, object], None]) -> None:
    assert gcd(SHARDS, len(PROFILES)) == 1
    tally = Tally()
    started = time.monotonic()
    seed = FIRST_SEED + shard
    while tally.seeds < SEEDS_MIN or time.monotonic() - started < SECONDS / SHARDS:
        profile = profile_of(seed)
        try:
            tally.add(simulate(seed, profile, HEIGHTS))
        except Exception as failure:
            raise AssertionError(
                f"{profile.name}: {failure}\nrepeat with: {repeat_command(seed, HEIGHTS)}"
            ) from failure
        seed += SHARDS
    record_property("figures", tally.line(time.monotonic() - started))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_kind_of_trouble_is_survived(profile) -> None:
    report = simulate(5, profile, 12)
    assert report.heights >= 12
