"""Each check of Intel's formats alone: one broken thing has its one reason, and without the check it has not.

The cases are worlds of simulated hardware in which one thing is broken (tests/support/simulated_*faults.py). The mutants come from
the source of the verifier, one for each refusal, part of a condition, call of a check and member of a checked series: a check
that is added without a case fails here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from msgspec.structs import replace

import tee.dcap
import tee.intel_chain
import tee.intel_collateral
import tee.intel_documents
import tee.intel_quote
import tee.pck
import tee.sgx
import tee.tcb
import tee.tdx
from tee.claims import TcbStatus
from tee.errors import EvidenceRejected, Reason
from tests.support.check_mutants import Mutant, find_mutants, is_noticed
from tests.support.outcomes import Outcome, outcome_of
from tests.support.simulated_faults import Change, Fault, having
from tests.support.simulated_judge import judge
from tests.support.simulated_late_faults import ALL_FAULTS, stored
from tests.support.simulated_world import ISSUED_S, SGX_WORLD, TDX_15_WORLD, TDX_WORLD, World
from tests.support.tee_caches import clear_caches

MODULES = (
    tee.intel_quote,
    tee.intel_chain,
    tee.pck,
    tee.intel_collateral,
    tee.intel_documents,
    tee.dcap,
    tee.tcb,
    tee.sgx,
    tee.tdx,
)

FIRST_S = ISSUED_S + 100
LAST_S = ISSUED_S + 200
"""Ends of the windows that are tried to the second."""


@pytest.mark.parametrize("world", [TDX_WORLD, TDX_15_WORLD, SGX_WORLD], ids=["tdx", "tdx-1.5", "sgx"])
def test_world_without_fault_is_authentic_and_up_to_date(world: World) -> None:
    verified = judge(world)

    assert verified.is_simulated
    assert verified.claims.tcb.status is TcbStatus.UP_TO_DATE
    assert verified.claims.flags == ()


@pytest.mark.parametrize("fault", ALL_FAULTS, ids=lambda fault: fault.name)
def test_one_broken_thing_has_one_reason(fault: Fault) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        judge(fault.world())

    assert refused.value.reason is fault.reason


def test_every_reason_of_intel_has_a_case() -> None:
    reasons = list(Reason)
    quote = reasons[reasons.index(Reason.QUOTE_VERSION) : reasons.index(Reason.VERSION)]
    forms = [Reason.LENGTH, Reason.PARSE, Reason.TRAILING_BYTES, Reason.COLLATERAL_MISSING]

    assert {fault.reason for fault in ALL_FAULTS} == {*forms, *quote}


def test_names_of_cases_are_distinct() -> None:
    assert len({fault.name for fault in ALL_FAULTS}) == len(ALL_FAULTS)


class Window(NamedTuple):
    """A window that evidence depends on, cut to FIRST_S .. LAST_S."""

    name: str
    change: Change
    early: Reason
    late: Reason


def _window(name: str, first: str, last: str, early: Reason, late: Reason, end_s: int = LAST_S) -> Window:
    return Window(name, having(**{name: {first: FIRST_S, last: end_s}}), early, late)


_CERTIFICATE = ("not_before_s", "not_after_s")
_JSON = ("issue_s", "next_update_s")
_LIST = ("this_update_s", "next_update_s")
_CHAIN = (Reason.PCK_CERT_NOT_YET_VALID, Reason.PCK_CERT_EXPIRED)
_ROOT_LIST = (Reason.ROOT_CRL_NOT_YET_VALID, Reason.ROOT_CRL_EXPIRED)
_PCK_LIST = (Reason.PCK_CRL_NOT_YET_VALID, Reason.PCK_CRL_EXPIRED)
_TCB_INFO = (Reason.TCB_INFO_NOT_YET_VALID, Reason.TCB_INFO_EXPIRED)
_IDENTITY = (Reason.QE_IDENTITY_NOT_YET_VALID, Reason.QE_IDENTITY_EXPIRED)

INTAKE_WINDOWS = (
    _window("root", *_CERTIFICATE, *_CHAIN),
    _window("platform_ca", *_CERTIFICATE, *_CHAIN),
    _window("certificate", *_CERTIFICATE, *_CHAIN),
    _window("tcb_signer", *_CERTIFICATE, Reason.TCB_INFO_SIGNER, Reason.TCB_INFO_SIGNER),
    _window("root_crl", *_LIST, *_ROOT_LIST, end_s=LAST_S + 1),
    _window("pck_crl", *_LIST, *_PCK_LIST, end_s=LAST_S + 1),
    _window("tcb_info", *_JSON, *_TCB_INFO),
    _window("qe_identity", *_JSON, *_IDENTITY),
)
"""Documents are taken in and evidence is judged in the same second. The second of a list's next update is not in its window."""

USE_WINDOWS = tuple(
    Window(field, stored(field, valid_from_s=FIRST_S, valid_until_s=LAST_S), early, late)
    for field, early, late in (
        ("root_list", *_ROOT_LIST),
        ("pck_list", *_PCK_LIST),
        ("info", *_TCB_INFO),
        ("identity", *_IDENTITY),
    )
)
"""Documents were taken in long ago."""


@pytest.mark.parametrize("window", INTAKE_WINDOWS, ids=lambda window: window.name)
def test_window_counts_to_the_second_at_intake(window: Window) -> None:
    def at(time_s: int) -> World:
        return window.change(TDX_WORLD).having(time_s=time_s, loaded_s=time_s, root_loaded_s=time_s)

    _check_window(window, at(FIRST_S - 1), at(FIRST_S), at(LAST_S), at(LAST_S + 1))


@pytest.mark.parametrize("window", USE_WINDOWS, ids=lambda window: window.name)
def test_window_counts_to_the_second_at_use(window: Window) -> None:
    def at(time_s: int) -> World:
        return window.change(TDX_WORLD).having(time_s=time_s)

    _check_window(window, at(FIRST_S - 1), at(FIRST_S), at(LAST_S), at(LAST_S + 1))


def _check_window(window: Window, before: World, first: World, last: World, behind: World) -> None:
    for world in (first, last):
        verified = judge(world)
        assert (verified.valid_from_s, verified.valid_until_s) == (FIRST_S, LAST_S)
    for world, reason in ((before, window.early), (behind, window.late)):
        with pytest.raises(EvidenceRejected) as refused:
            judge(world)
        assert refused.value.reason is reason


def test_documents_are_not_used_before_the_window_of_their_signer() -> None:
    world = TDX_WORLD.having(tcb_signer={"not_after_s": LAST_S})

    assert judge(world.having(time_s=LAST_S)).valid_until_s == LAST_S
    with pytest.raises(EvidenceRejected) as refused:
        judge(world.having(time_s=LAST_S + 1))
    assert refused.value.reason is Reason.TCB_INFO_EXPIRED


@pytest.mark.parametrize("world", [TDX_15_WORLD, SGX_WORLD], ids=["tdx", "sgx"])
def test_order_of_levels_in_documents_changes_no_verdict(world: World) -> None:
    modules = tuple(replace(module, levels=module.levels[::-1]) for module in world.tcb_info.modules)
    turned = world.having(
        tcb_info={"levels": world.tcb_info.levels[::-1], "modules": modules},
        qe_identity={"levels": world.qe_identity.levels[::-1]},
    )

    assert turned.files() != world.files()
    assert judge(turned).claims.tcb == judge(world).claims.tcb


def judging(world: World) -> Callable[[], object]:
    """Return the verification of a world, which is made once."""
    return lambda: judge(world)


CASES = {fault.name: judging(fault.world()) for fault in ALL_FAULTS}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Return what becomes of each fault under the verifier as it is."""
    found: dict[str, Outcome] = {}
    for name, verify in CASES.items():
        clear_caches()
        found[name] = outcome_of(verify)
    return found


@pytest.fixture
def _fresh_caches() -> Iterator[None]:
    yield
    clear_caches()


@pytest.mark.usefixtures("_fresh_caches")
@pytest.mark.parametrize(
    "mutant", [mutant for module in MODULES for mutant in find_mutants(module)], ids=lambda mutant: mutant.name
)
def test_verifier_without_a_check_is_noticed(mutant: Mutant, outcomes: dict[str, Outcome]) -> None:
    assert is_noticed(mutant, CASES, outcomes)


def test_what_is_remembered_changes_no_outcome(outcomes: dict[str, Outcome]) -> None:
    warm = {name: outcome_of(verify).text for name, verify in CASES.items()}

    assert warm == {name: outcome.text for name, outcome in outcomes.items()}
