"""Safety, epoch safety and accountability hold for any number of validators, any stake and any number of views.

Read `lemmas.py` for the argument and `stake.py` for where its two hypotheses come from.
"""

from __future__ import annotations

import pytest
import z3

from tests.proof.lemmas import LEMMAS, prove
from tests.proof.rules import Rule, Rules
from tests.proof.stake import STAKE_LAWS, Share, Stake, counterexample
from tests.proof.world import unbounded_world

REDUNDANT = {
    Rule.ONE_NOTARIZE: {"L1"},
    Rule.NOTARIZE_BINDS_FINALIZE: set(),
    Rule.ONE_FINALIZE: {"RESULT-IN-VIEW"},
    Rule.FINALIZE_CARRIES_RESULT: {"RESULT"},
}
"""Rules that safety survives, each taken away alone, with the lemmas that are lost."""


@pytest.mark.parametrize("name", LEMMAS)
def test_lemma_holds_in_every_world(name: str) -> None:
    assert prove(Rules(unbounded_world()), name) == z3.unsat


def test_lemma_uses_only_earlier_lemmas() -> None:
    rules = Rules(unbounded_world())
    seen: set[str] = set()
    for name, lemma in LEMMAS.items():
        assert set(lemma(rules).uses) <= seen, name
        seen.add(name)


@pytest.mark.parametrize(
    ("rule", "name"),
    [(rule, name) for rule, lost in REDUNDANT.items() for name in LEMMAS if name not in lost],
)
def test_rule_is_a_second_line_and_safety_holds_without_it_alone(rule: Rule, name: str) -> None:
    rules = Rules(unbounded_world(), frozenset({rule}))
    assert not REDUNDANT[rule].intersection(LEMMAS[name](rules).uses)
    assert prove(rules, name) == z3.unsat


@pytest.mark.parametrize("name", STAKE_LAWS)
def test_stake_law_holds_for_every_validator_set(name: str) -> None:
    assert counterexample(STAKE_LAWS[name](Stake())) is None


@pytest.mark.parametrize(
    "name", ["two_quorums_share_more_than_a_third", "below_a_third_two_quorums_share_an_honest_member"]
)
def test_quorum_of_one_half_loses_the_stake_law(name: str) -> None:
    stake = Stake()
    model = counterexample(STAKE_LAWS[name](stake, Share(1, 2)))
    assert model is not None
    total = model.eval(stake.total).as_long()
    assert all(2 * model.eval(stake.of(**{side: True})).as_long() > total for side in ("in_p", "in_q"))
    assert 3 * model.eval(stake.of(in_p=True, in_q=True, byzantine=False)).as_long() <= total
