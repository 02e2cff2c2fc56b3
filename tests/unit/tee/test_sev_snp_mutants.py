"""The cases of SEV-SNP notice every check that is switched off: each mutant of the four modules changes a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import ModuleType

import pytest

from tee import amd_collateral, sev_snp, snp_report, vek
from tee.certificates import Certificate, RevocationList, is_signed_by
from tee.signatures import verify_p384
from tests.support.raising_mutants import Mutant, copy_unchanged, make_mutants
from tests.support.snp_verdicts import bundles, encoded_cases, intakes, take_in, verdict_of, verify, verify_bundle

UNSEEN = {
    ("vek", "32 one more"): "how many certificates are remembered changes no verdict",
    ("snp_report", "64 one more"): "a chip id of 64 bytes fills its field",
}
"""Mutants that no evidence can tell from the original, and why."""

MUTANTS = [
    (origin, mutant)
    for origin in (snp_report, vek, amd_collateral, sev_snp)
    for mutant in make_mutants(origin)
    if mutant.key not in UNSEEN
]

INTAKES, BUNDLES = tuple(intakes()), tuple(bundles())


def observe() -> Iterator[object]:
    """Yield what can be seen of the modules: a verdict on each case, and the product of each CPUID."""
    for _, encoded in encoded_cases():
        yield verdict_of(verify, encoded)
    for intake in INTAKES:
        yield verdict_of(take_in, intake)
    for bundle in BUNDLES:
        yield verdict_of(verify_bundle, bundle)
    yield [sev_snp.find_product(family, model) for family in range(0x17, 0x1C) for model in range(256)]


@cache
def genuine_observations() -> tuple[object, ...]:
    return tuple(observe())


remember_signature = cache(verify_p384)
remembered_links: dict[tuple[bytes, bytes], bool] = {}


def remember_link(document: Certificate | RevocationList, issuer: Certificate) -> bool:
    """Answer like `is_signed_by`, with each pair computed once."""
    key = (document.der, issuer.der)
    if key not in remembered_links:
        remembered_links[key] = is_signed_by(document, issuer)
    return remembered_links[key]


@pytest.mark.parametrize(("origin", "mutant"), MUTANTS, ids=[mutant.name for _, mutant in MUTANTS])
def test_a_check_that_is_off_changes_a_verdict(
    monkeypatch: pytest.MonkeyPatch, origin: ModuleType, mutant: Mutant
) -> None:
    genuine = genuine_observations()
    put_in_place(monkeypatch, origin, mutant.load(origin))
    assert is_noticed(genuine)


@pytest.mark.parametrize("origin", [snp_report, vek, amd_collateral, sev_snp])
def test_a_copy_without_a_change_is_not_noticed(monkeypatch: pytest.MonkeyPatch, origin: ModuleType) -> None:
    genuine = genuine_observations()
    put_in_place(monkeypatch, origin, copy_unchanged(origin).load(origin))
    assert not is_noticed(genuine)


def put_in_place(monkeypatch: pytest.MonkeyPatch, origin: ModuleType, changed: ModuleType) -> None:
    """Let all modules use the changed one, and spare them signatures that were verified before."""
    for module in (sev_snp, amd_collateral, vek):
        for name, thing in vars(changed).items():
            is_imported = getattr(module, name, None) is getattr(origin, name, changed)
            if module is origin or is_imported:
                monkeypatch.setattr(module, name, thing, raising=False)
    for module in (changed, sev_snp, amd_collateral, vek):
        for name, remembering in (("verify_p384", remember_signature), ("is_signed_by", remember_link)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, remembering)


def is_noticed(genuine: tuple[object, ...]) -> bool:
    """Say whether one observation differs, or trips over an error."""
    try:
        return any(seen != usual for seen, usual in zip(observe(), genuine, strict=True))
    except Exception:  # a mutant may fail in any way
        return True
