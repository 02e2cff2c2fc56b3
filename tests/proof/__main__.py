"""Print the proof and, for each rule, a run that goes wrong without it: `python -m tests.proof`."""

from __future__ import annotations

import time

import z3

from tests.proof.lemmas import LEMMAS, prove
from tests.proof.rules import Rules
from tests.proof.small_world import Setting, SmallWorld
from tests.proof.stake import STAKE_LAWS, Stake, counterexample
from tests.proof.test_counterexamples import MUTANTS
from tests.proof.world import unbounded_world

if __name__ == "__main__":
    for name, law in STAKE_LAWS.items():
        print(f"{'proved' if counterexample(law(Stake())) is None else 'FAILED'}  stake: {name.replace('_', ' ')}")
    for name, lemma in LEMMAS.items():
        start = time.perf_counter()
        verdict = "proved" if prove(Rules(unbounded_world()), name) == z3.unsat else "FAILED"
        title = (lemma.__doc__ or "").splitlines()[0]
        print(f"{verdict}  {title} ({time.perf_counter() - start:.2f} s)")
    for dropped, failure in MUTANTS:
        print(f"\nwithout {', '.join(sorted(dropped))}: {failure.__name__.replace('_', ' ')}")
        history = SmallWorld(Setting(), frozenset(dropped)).find(failure)
        print(history.describe() if history else "FAILED: no such run")
