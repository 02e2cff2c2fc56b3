"""Every rule is needed: without it four validators fork, and the run that shows it is recomputed without the prover.

Also the other way round: with all rules the same search finds no fork, and finds every kind of healthy run, so the rules
neither contradict themselves nor forbid progress.
"""

from __future__ import annotations

import functools

import pytest
import z3

from tests.proof import small_world
from tests.proof.history import History
from tests.proof.rules import Rule, Rules
from tests.proof.small_world import STAKES, Pattern, Setting, SmallWorld
from tests.proof.stake import Share
from tests.proof.world import Formula

BELOW_A_THIRD = frozenset({"anna"})
AT_LEAST_A_THIRD = frozenset({"anna", "dora"})
BELOW_TWO_THIRDS = frozenset({"anna", "boris"})
ABOVE_TWO_THIRDS = frozenset({"anna", "boris", "dora"})
TOTAL = sum(STAKES.values())

HEALTHY = [
    small_world.two_final_blocks,
    small_world.nullified_view_between_final_ones,
    small_world.view_notarized_and_nullified,
    small_world.notarized_block_is_abandoned,
    small_world.sealing_block_finalized_twice,
    small_world.chain_of_three_final_at_both_ends,
]
FAILURES = [
    small_world.fork,
    small_world.epoch_overrun,
    small_world.two_results,
    small_world.two_notarized_blocks_in_a_view,
    small_world.final_view_is_nullified,
    small_world.two_results_in_one_view,
]
MUTANTS: list[tuple[set[Rule], Pattern]] = [
    ({Rule.NULLIFY_EXCLUDES_FINALIZE}, small_world.fork),
    ({Rule.NULLIFY_EXCLUDES_FINALIZE}, small_world.final_view_is_nullified),
    ({Rule.PARENT_CERTIFIED}, small_world.fork),
    ({Rule.GAP_NULLIFIED}, small_world.fork),
    ({Rule.FINALIZE_NEEDS_NOTARIZATION}, small_world.fork),
    ({Rule.SEALING_HAS_NO_CHILD}, small_world.epoch_overrun),
    ({Rule.ONE_NOTARIZE}, small_world.two_notarized_blocks_in_a_view),
    ({Rule.ONE_NOTARIZE, Rule.NOTARIZE_BINDS_FINALIZE}, small_world.fork),
    ({Rule.FINALIZE_CARRIES_RESULT}, small_world.two_results),
    ({Rule.FINALIZE_CARRIES_RESULT, Rule.ONE_FINALIZE}, small_world.two_results_in_one_view),
]
"""Rules taken away together, and what goes wrong. The pairs are rules that cover for each other: alone each can be spared
(`test_safety_proof.py`), together they cannot."""


@functools.cache
def world(setting: Setting, dropped: frozenset[Rule] = frozenset()) -> SmallWorld:
    return SmallWorld(setting, dropped)


def shows(history: History, failure: Pattern) -> bool:
    """Recompute a failure from the votes alone."""
    final = {(view, block) for view, block, _ in history.finalized()}
    notarized = sorted(view for view, _ in history.notarized())
    recomputed = {
        small_world.fork: lambda: bool(history.forks()),
        small_world.epoch_overrun: lambda: bool(history.epochs_overrun()),
        small_world.two_results: lambda: bool(history.result_conflicts()),
        small_world.two_notarized_blocks_in_a_view: lambda: len(notarized) > len(set(notarized)),
        small_world.final_view_is_nullified: lambda: not history.nullified().isdisjoint(view for view, _ in final),
        small_world.two_results_in_one_view: lambda: len(final) < len(history.finalized()),
    }
    return recomputed[failure]()


@pytest.mark.parametrize("failure", FAILURES, ids=lambda pattern: pattern.__name__)
def test_nothing_goes_wrong_below_a_third(failure: Pattern) -> None:
    assert world(Setting(BELOW_A_THIRD)).find(failure) is None


@pytest.mark.parametrize("healthy", HEALTHY, ids=lambda pattern: pattern.__name__)
def test_rules_allow_a_healthy_run(healthy: Pattern) -> None:
    history = world(Setting(BELOW_A_THIRD)).find(healthy)
    assert history is not None
    assert history.broken_rules() == set(), history.describe()
    assert history.finalized(), history.describe()


@pytest.mark.parametrize(
    ("dropped", "failure"),
    MUTANTS,
    ids=lambda case: case.__name__ if callable(case) else "+".join(r.name for r in sorted(case)),
)
def test_without_the_rule_a_concrete_run_fails(dropped: set[Rule], failure: Pattern) -> None:
    history = world(Setting(BELOW_A_THIRD), frozenset(dropped)).find(failure)
    assert history is not None
    assert shows(history, failure), history.describe()
    assert history.broken_rules() == dropped, history.describe()


def test_every_rule_is_in_some_mutant() -> None:
    assert set().union(*(dropped for dropped, _ in MUTANTS)) == set(Rule)


def test_quorum_of_one_half_forks_although_every_honest_validator_keeps_the_rules() -> None:
    history = world(Setting(BELOW_A_THIRD, quorum=Share(1, 2))).find(small_world.fork)
    assert history is not None
    assert history.forks(), history.describe()
    assert history.broken_rules() == set(), history.describe()


@pytest.mark.parametrize("byzantine", [AT_LEAST_A_THIRD, BELOW_TWO_THIRDS], ids=["three of seven", "four of seven"])
def test_fork_below_two_thirds_convicts_more_than_a_third_and_nobody_honest(byzantine: frozenset[str]) -> None:
    small = world(Setting(byzantine))
    history = small.find(small_world.fork)
    assert history is not None
    assert history.forks(), history.describe()
    assert history.broken_rules() == set(), history.describe()
    assert 3 * history.guilty_stake() > TOTAL, history.describe()
    assert {node for node in STAKES if history.conflicts(node)} <= byzantine, history.describe()
    assert small.find(fork_with_at_most_a_third_guilty(small)) is None


def test_accountability_ends_at_two_thirds() -> None:
    """Two thirds need no conflicting pair: they certify a block that has no right to exist. So the bound is sharp."""
    small = world(Setting(ABOVE_TWO_THIRDS))
    history = small.find(fork_with_at_most_a_third_guilty(small))
    assert history is not None
    assert history.forks(), history.describe()
    assert 3 * history.guilty_stake() <= TOTAL, history.describe()


def fork_with_at_most_a_third_guilty(small: SmallWorld) -> Pattern:
    def pattern(rules: Rules) -> Formula:
        return z3.And(small_world.fork(rules), 3 * small.guilty_stake() <= TOTAL)

    return pattern
