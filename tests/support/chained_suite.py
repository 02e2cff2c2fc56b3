"""What is expected of a verifier of evidence below a chain of certificates: its cases, its faults in their order, its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar

from msgspec import Struct

from tee.errors import Reason
from tee.roots import Roots
from tests.support.check_mutants import Mutant, find_mutants
from tests.support.outcomes import Outcome, outcome_of
from tests.support.p384_certificates import Vouched

Run = Callable[[], object]
"""Verifies one piece of evidence."""
Evidence = TypeVar("Evidence", bound=Vouched)
Cases = Mapping[str, tuple[Run, Reason]]


class ChainedSuite(Struct, frozen=True, kw_only=True):
    """Cases of one verifier by name."""

    modules: tuple[ModuleType, ...]
    good: Vouched
    check: Callable[..., Run]
    """From evidence, and from time and roots if they are other than usual."""
    refused: Cases
    accepted: Mapping[str, Run]
    faults: Mapping[Reason, Callable[[Any], Vouched]]  # Any: the verifier's own evidence
    """One fault for each stage, in the order of the specification."""

    @property
    def runs(self) -> dict[str, Run]:
        """Every case."""
        return {**self.accepted, **{name: run for name, (run, _reason) in self.refused.items()}}

    def outcomes(self) -> dict[str, Outcome]:
        """Return what becomes of every case."""
        return {name: outcome_of(run) for name, run in self.runs.items()}

    def mutants(self) -> Iterator[Mutant]:
        """Yield the verifier without each of its checks."""
        for module in self.modules:
            yield from find_mutants(module)


def make_link_cases(good: Evidence) -> dict[str, tuple[Evidence, Reason]]:
    """Give each certificate below the root an issuer of another name, and another key's signature."""
    faults = {"of another issuer's name": {"issuer": "other"}, "signed by another key": {"signer": "another key"}}
    return {
        f"{good.chain[position].subject} {fault}": (good.change(position, **changes), Reason.CERT_BAD_ISSUER)
        for fault, changes in faults.items()
        for position in range(1, len(good.chain))
    }


def make_window_cases(
    one_second: Callable[[int], Vouched],
    check: Callable[..., Run],
    make_roots: Callable[[Any], Roots],  # Any: the verifier's own evidence
    *,
    time_s: int,
    early: Reason,
    late: Reason,
) -> dict[str, tuple[Run, Reason]]:
    """Give each certificate a window of one second, and look one second before and behind it."""
    cases: dict[str, tuple[Run, Reason]] = {}
    for position in range(5):
        evidence = one_second(position)
        subject, roots = evidence.chain[position].subject, make_roots(evidence)
        cases[f"{subject} a second early"] = (check(evidence, time_s - 1, roots), early)
        cases[f"{subject} a second late"] = (check(evidence, time_s + 1, roots), late)
    return cases
