"""Nitro documents and NVIDIA reports: each rule refuses alone, the earlier of two faults speaks, and no check can be left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations

import pytest

from tee.errors import Reason
from tests.support.chained_suite import ChainedSuite
from tests.support.check_mutants import Mutant, is_noticed
from tests.support.outcomes import Outcome, refusal_of
from tests.unit.tee import test_nitro, test_nvidia

SUITES: dict[str, ChainedSuite] = {"nitro": test_nitro.SUITE, "nvidia": test_nvidia.SUITE}


@cache
def outcomes_of(family: str) -> dict[str, Outcome]:
    return SUITES[family].outcomes()


def each(list_parts: Callable[[ChainedSuite], list[tuple[str, tuple[object, ...]]]]) -> list[object]:
    """Return a parameter set for each named part of each suite."""
    return [
        pytest.param(family, *parts, id=f"{family}-{name}")
        for family, suite in SUITES.items()
        for name, parts in list_parts(suite)
    ]


@pytest.mark.parametrize(("family", "name"), each(lambda suite: [(name, (name,)) for name in suite.refused]))
def test_each_rule_refuses_with_its_own_reason(family: str, name: str) -> None:
    run, reason = SUITES[family].refused[name]
    assert refusal_of(run) is reason


@pytest.mark.parametrize(("family", "name"), each(lambda suite: [(name, (name,)) for name in suite.accepted]))
def test_what_breaks_no_rule_is_accepted(family: str, name: str) -> None:
    assert refusal_of(SUITES[family].accepted[name]) is None


@pytest.mark.parametrize(
    ("family", "first", "second"),
    each(lambda suite: [("-".join(pair), pair) for pair in combinations(suite.faults, 2)]),
)
def test_of_two_faults_the_earlier_check_speaks(family: str, first: Reason, second: Reason) -> None:
    suite = SUITES[family]
    assert refusal_of(suite.check(suite.faults[first](suite.faults[second](suite.good)))) is first


@pytest.mark.parametrize(
    ("family", "mutant"), each(lambda suite: [(mutant.name, (mutant,)) for mutant in suite.mutants()])
)
def test_verifier_without_a_check_is_noticed(family: str, mutant: Mutant) -> None:
    assert is_noticed(mutant, SUITES[family].runs, outcomes_of(family))
