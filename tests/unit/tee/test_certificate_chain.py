"""Each check of the chains that AWS and NVIDIA have in common is needed by a case of one of them."""

from __future__ import annotations

import pytest

from tee import certificate_chain
from tee.errors import EvidenceRejected, Reason
from tee.nitro import verify_nitro
from tests.support import nitro_pki
from tests.support.check_mutants import Mutant, find_mutants, is_noticed
from tests.support.outcomes import Outcome, outcome_of
from tests.support.tee_caches import clear_caches, find_caches
from tests.unit.tee import test_nitro, test_nvidia

CASES = {**{f"nitro {name}": run for name, run in test_nitro.SUITE.runs.items()}, **test_nvidia.SUITE.runs}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {name: outcome_of(verify) for name, verify in CASES.items()}


@pytest.mark.parametrize("mutant", find_mutants(certificate_chain), ids=lambda mutant: mutant.name)
def test_verifier_without_a_check_is_noticed(mutant: Mutant, outcomes: dict[str, Outcome]) -> None:
    assert is_noticed(mutant, CASES, outcomes)


def remembered() -> dict[str, int]:
    caches = find_caches()
    return {name: cache.cache_info().currsize for name, cache in caches.items() if "certificate_chain" in name}


def test_nothing_is_parsed_below_a_root_that_is_not_trusted() -> None:
    """The root comes first, so the bytes behind it cost a comparison and no more."""
    world = nitro_pki.World()
    with pytest.raises(EvidenceRejected) as refused:
        verify_nitro(
            world.put(cabundle=[b"no certificate"] * 8).encode(), nitro_pki.make_roots(world), nitro_pki.TIME_S
        )
    assert refused.value.reason is Reason.ROOT_UNTRUSTED


@pytest.mark.parametrize("changes", [{"issuer": "other"}, {"signer": "nitro x"}], ids=["name", "signature"])
def test_only_certificates_whose_links_hold_are_remembered(changes: dict[str, str]) -> None:
    world = nitro_pki.World()
    roots = nitro_pki.make_roots(world)
    clear_caches()
    for serial in range(1, 4):
        forged = world.change(nitro_pki.REGIONAL, serial=serial, **changes)
        with pytest.raises(EvidenceRejected) as refused:
            verify_nitro(forged.encode(), roots, nitro_pki.TIME_S)
        assert refused.value.reason is Reason.CERT_BAD_ISSUER
    assert sorted(remembered().values()) == [0, 1], "the trusted root alone"
    verify_nitro(world.encode(), roots, nitro_pki.TIME_S)
    assert sorted(remembered().values()) == [1, 2], "and two authorities"
