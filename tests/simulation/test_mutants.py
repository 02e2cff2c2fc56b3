"""No guard is there for nothing: each one, switched off, is caught by its scenario, and the scenario passes with it."""

from __future__ import annotations

import pytest

from tests.simulation.mutant_table import MUTANTS, Change, Mutant
from tests.simulation.mutants import applied, verdict


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_guard_that_is_off_is_noticed(mutant: Mutant):
    assert verdict(mutant, is_guard_on=True) == ""
    assert verdict(mutant, is_guard_on=False).startswith(mutant.kills)


def test_a_mutant_that_fits_the_source_no_longer_is_an_error():
    with pytest.raises(AssertionError, match="has 0 times"), applied(Change("consensus.timeouts:grow", "no such", "")):
        pass
