"""L6: a seed decides everything. The same seed gives the same trace under every order of sets and dicts, run after run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.profiles import PROFILE_BY_NAME
from tests.simulation.run import simulate

TOP = Path(__file__).resolve().parents[2]
HEIGHTS = 12
SCRIPT = """
import sys
from tests.simulation.profiles import PROFILE_BY_NAME
from tests.simulation.run import simulate
for name in sys.argv[1:]:
    print(simulate(11, PROFILE_BY_NAME[name], {heights}).trace_hash)
"""
NAMES = ("network", "crashes", "stake-twins", "mutator", "disks", "idle")


def traces(hash_seed: str) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heights=HEIGHTS), *NAMES],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


def test_a_seed_has_one_trace_under_every_hash_seed() -> None:
    first = traces("0")
    assert len(set(first)) == len(NAMES)
    assert traces("1") == first
    assert traces("random") == first


@pytest.mark.parametrize("name", ["twins-crashes", "power"])
def test_a_seed_has_the_same_trace_when_it_is_run_again(name: str) -> None:
    profile = PROFILE_BY_NAME[name]
    first = simulate(3, profile, HEIGHTS)
    assert simulate(3, profile, HEIGHTS) == first
    assert simulate(4, profile, HEIGHTS).trace_hash != first.trace_hash
