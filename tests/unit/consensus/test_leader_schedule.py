"""Who leads: exact over a cycle, fair at every moment, and no less fair than a schedule that needs state."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from math import gcd
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.validators import ValidatorSet
from tests.support.consensus_toys import toy_set

SETS = [(1,), (1, 1, 1, 1), (1000, 300, 330), (10, 20, 30, 40), (7, 1, 1, 1, 1), (1,) * 100, (999, 1), (5, 4, 3, 2, 1)]
POWERS = st.lists(st.integers(1, 60), min_size=1, max_size=8)


def slots_of(powers: tuple[int, ...]) -> int:
    return sum(powers) // gcd(*powers)


def leaders(validators: ValidatorSet, root_height: int, count: int) -> list[int]:
    return [validators.leader_index(root_height, view) for view in range(1, count + 1)]


@pytest.mark.parametrize("powers", SETS)
@pytest.mark.parametrize("root_height", [0, 1, 12_345])
def test_in_a_cycle_each_leads_exactly_as_often_as_its_power_says(powers: tuple[int, ...], root_height: int):
    slots = slots_of(powers)
    led = Counter(leaders(toy_set(powers), root_height, slots))

    assert [led[index] * gcd(*powers) for index in range(len(powers))] == list(powers)


@given(POWERS, st.integers(0, 10**12), st.integers(1, 10**9))
@settings(max_examples=60)
def test_a_cycle_is_exact_wherever_it_begins(powers: list[int], root_height: int, first_view: int):
    validators, slots = toy_set(powers), slots_of(tuple(powers))
    led = Counter(validators.leader_index(root_height, first_view + step) for step in range(slots))

    assert [led[index] * gcd(*powers) for index in range(len(powers))] == powers


@pytest.mark.parametrize("powers", SETS)
def test_at_every_moment_nobody_is_more_than_two_views_off_its_share(powers: tuple[int, ...]):
    led: Counter[int] = Counter()
    total = sum(powers)
    for number, index in enumerate(leaders(toy_set(powers), 0, 3 * slots_of(powers)), 1):
        led[index] += 1
        assert all(abs(led[i] * total - number * power) <= 2 * total for i, power in enumerate(powers))


def test_of_equal_validators_nobody_leads_twice_in_a_row():
    assert max(len(list(run)) for _, run in groupby(leaders(toy_set((1,) * 7), 0, 100))) == 1


def worst_deviation(sequence: list[str], powers: dict[str, int]) -> float:
    """Return by how many views anybody is off its share at the worst moment."""
    total, led, worst = sum(powers.values()), Counter[str](), 0.0
    for number, name in enumerate(sequence, 1):
        led[name] += 1
        worst = max(worst, *(abs(led[known] - number * power / total) for known, power in powers.items()))
    return worst


def longest_run(sequence: list[str]) -> int:
    return max(len(list(run)) for _, run in groupby(sequence))


def test_no_less_fair_than_weighted_round_robin_by_two_views(shared_dir: Path):
    """CometBFT keeps a priority for each validator; our schedule needs none, and is as good within a view."""
    (case,) = json.loads((shared_dir / "vectors" / "proposer-rotation" / "cometbft.json").read_text())["cases"]
    powers: dict[str, int] = case["powers"]
    theirs: list[str] = case["expected"]
    names = list(powers)
    ours = [names[index] for index in leaders(toy_set(list(powers.values())), 0, len(theirs))]

    assert Counter(ours).keys() == Counter(theirs).keys()
    assert all(abs(Counter(ours)[name] - Counter(theirs)[name]) <= 1 for name in powers)
    assert worst_deviation(ours, powers) <= worst_deviation(theirs, powers) + 1
    assert longest_run(ours) <= longest_run(theirs)
