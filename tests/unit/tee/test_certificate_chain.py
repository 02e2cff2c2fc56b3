"""Each check of the chains that AWS and NVIDIA have in common is needed by a case of one of them."""

from __future__ import annotations

import pytest

from tee import certificate_chain
from tests.support.check_mutants import Mutant, find_mutants, is_noticed
from tests.support.outcomes import Outcome, outcome_of
from tests.unit.tee import test_nitro, test_nvidia

CASES = {**{f"nitro {name}": run for name, run in test_nitro.ALL.items()}, **test_nvidia.ALL}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {name: outcome_of(verify) for name, verify in CASES.items()}


@pytest.mark.parametrize("mutant", find_mutants(certificate_chain), ids=lambda mutant: mutant.name)
def test_verifier_without_a_check_is_noticed(mutant: Mutant, outcomes: dict[str, Outcome]) -> None:
    assert is_noticed(mutant, CASES, outcomes)
