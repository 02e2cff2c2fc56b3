"""Whatever keeps a machine from starting, or its order from going on: who pays for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from state.offers import NO_CAPACITY, PlanUnit, ResourceKind, ServiceLevel
from state.order_messages import Fail
from state.order_records import PROVIDERS, OrderState
from state.order_terms import LINES_MAX, LineRole
from state.policies import AnyOf, BetweenHeights, CustomerIn, PolicyNode
from state.records import HOLDINGS
from state.runtime.orders.table import TRANSITIONS, Trigger
from tests.support.amending import amend
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, publish
from tests.support.chain_builders import account
from tests.support.order_ends import free_bond
from tests.support.order_laws import check_order_laws
from tests.support.ordering import BOND, DATA_PLAN, MACHINE_PLAN, OWNER, SECOND_MS, STRANGER, Market

End = Callable[[Market, bytes], None]

NOBODY: tuple[PolicyNode, ...] = (CustomerIn(accounts=(account(9),)),)
PRICE = 20_000


def granted(market: Market, **changes: object) -> bytes:
    """Return an accepted order with all its keys."""
    order = market.accepted(**changes)
    assert market.reason(OWNER, market.grant_message(order)) == ""
    return order


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.mark.parametrize(("attempts", "expected"), [(2, ("open", "")), (1, ("closed", "policy_revoked"))])
def test_a_start_that_others_forbid_frees_its_machine_and_nobody_pays(
    market: Market, attempts: int, expected: tuple[str, str]
) -> None:
    order = granted(market, attempts=attempts)
    assert market.reason(OWNER, amend(market.data, policy=NOBODY)) == ""
    assert market.report(market.start(order)) == ""
    assert market.standing(order) == expected
    assert market.order(order).state in TRANSITIONS[OrderState.ACCEPTED][Trigger.START_DENIED]
    assert free_bond(market) == BOND
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == 0
    check_order_laws(market)


def test_a_customers_own_condition_that_passes_before_the_start_makes_nobody_pay(market: Market) -> None:
    """The condition holds when the order is accepted, not at its start, and again when the start is due."""
    windows = (
        AnyOf(count=2),
        BetweenHeights(first=0, last=market.height + 3),
        BetweenHeights(first=market.height + 6, last=10**9),
    )
    order = granted(market, constraints=windows, attempts=1)
    market.pass_time(1)
    assert market.report(market.start(order)) == ""
    assert market.standing(order) == ("closed", "policy_revoked")
    assert free_bond(market) == BOND


def test_a_provider_cannot_excuse_itself_by_the_policy_of_its_own_machine(market: Market) -> None:
    order = granted(market)
    assert market.reason(PROVIDER, amend(market.hardware, policy=NOBODY)) == ""
    assert market.report(market.start(order)) == "policy_denied"
    market.pass_time(120)
    assert market.standing(order) == ("open", "")
    assert free_bond(market) < BOND
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == 1


def test_a_new_proof_takes_no_excuse_from_a_provider_whom_others_deny(market: Market) -> None:
    order = granted(market)
    assert market.reason(OWNER, amend(market.data, policy=NOBODY)) == ""
    market.attest()
    assert market.report(market.start(order)) == ""
    assert market.standing(order) == ("open", "")
    assert free_bond(market) == BOND


def test_a_standstill_gives_no_time_to_start_beyond_the_end(market: Market) -> None:
    end_by_ms = market.time_ms + 700 * SECOND_MS
    order = granted(market, start_by_ms=market.time_ms + 120 * SECOND_MS, end_by_ms=end_by_ms)
    market.apply(interval_ms=end_by_ms - 5 * SECOND_MS - market.time_ms)
    assert market.order(order).start_by_ms == end_by_ms
    market.pass_time(6)
    assert market.standing(order) == ("closed", "start_timeout")
    assert free_bond(market) == BOND


def test_an_order_whose_time_a_standstill_of_the_chain_has_eaten_is_over_for_nothing(market: Market) -> None:
    end_by_ms = market.time_ms + 130 * SECOND_MS
    order = granted(market, start_by_ms=end_by_ms, end_by_ms=end_by_ms)
    market.pass_time(1_000)
    assert market.report(market.start(order)) == "wrong_state"
    assert market.standing(order) == ("closed", "start_timeout")
    assert free_bond(market) == BOND
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == 0


def test_receipts_of_one_order_ascend_in_a_message(market: Market) -> None:
    order = market.running()
    market.pass_time(2)
    beat = market.beat(order)
    assert market.report(beat, beat) == "receipt_number"
    assert market.report(beat, replace(beat, number=beat.number + 2)) == "receipt_number"
    assert market.report(beat, replace(beat, number=beat.number + 1)) == ""


def test_who_does_not_try_to_start_pays_whatever_policies_say_by_then(market: Market) -> None:
    order = granted(market)
    assert market.reason(OWNER, amend(market.data, policy=NOBODY)) == ""
    market.pass_time(120)
    assert market.standing(order) == ("open", "")
    assert free_bond(market) < BOND


def test_money_that_others_add_ahead_of_an_acceptance_does_not_raise_its_penalty(market: Market) -> None:
    order = market.place()
    accept = replace(market.accept_message(order), penalty_max=19_999)
    assert market.reason(PROVIDER, accept) == "penalty_too_high"
    accept = replace(accept, penalty_max=20_000)
    assert market.reason(STRANGER, market.fund(order, 10**9)) == ""
    assert market.reason(PROVIDER, accept) == "penalty_too_high"
    assert free_bond(market) == BOND


def test_a_key_that_does_not_come_keeps_no_machine_longer_than_it_may_be_silent(market: Market) -> None:
    order = market.accepted(start_by_ms=market.time_ms + 900 * SECOND_MS)
    market.pass_time(29)
    early = market.order(order)
    market.pass_time(1)
    assert market.reason(PROVIDER, market.close(order)) == ""
    assert market.standing(order) == ("open", "")
    assert (early.penalty_locked > 0, free_bond(market)) == (True, BOND)
    assert market.ledger.get(PROVIDERS, account(0)).provider_faults == 0


def test_who_leaves_before_it_has_waited_for_the_key_pays(market: Market) -> None:
    order = market.accepted()
    market.pass_time(28)
    assert market.reason(PROVIDER, market.close(order)) == ""
    assert market.standing(order) == ("open", "")
    assert free_bond(market) < BOND


@pytest.mark.parametrize("is_late_key", [False, True])
def test_every_machine_has_time_to_start(is_late_key: bool) -> None:
    """Accepted at the last moment, or with the last key at the last moment, under a plan without beats."""
    silent = ServiceLevel(beat_every_ms=0, grace_ms=0, penalty_bp=1_000)
    market = Market(unit=PlanUnit.ONCE, price=PRICE, min_term_ms=0, service_level=silent)
    order = market.accepted(start_by_ms=market.time_ms + 60 * SECOND_MS)
    if is_late_key:
        market.pass_time(54)
    assert market.reason(OWNER, market.grant_message(order)) == ""
    since = market.time_ms if is_late_key else market.order(order).accepted_ms
    market.apply(interval_ms=since + 29 * SECOND_MS - market.time_ms)
    assert market.report(market.start(order), interval_ms=1) == ""
    assert market.standing(order) == ("running", "")


def test_as_many_inputs_as_a_start_can_name_may_be_ordered(market: Market) -> None:
    ends = [market.running() for _ in range(2)]
    for each in ends:
        assert market.report(market.output(each)) == ""
    free = publish(ResourceKind.DATA, release=EMPTY_RELEASE, plans=(replace(DATA_PLAN, price=0),))
    more = [market.line(LineRole.DATA, market.publish(OWNER, free)) for _ in range(14)]
    lines = (*market.order_message().lines[:2], *more)
    assert len(lines) == LINES_MAX
    after = tuple(sorted(ends))
    assert market.reason(CUSTOMER, market.order_message(lines=lines, after=after)) == "lines_malformed"
    order = market.accepted(lines=lines, after=after[:1])
    start = market.start(order)
    assert market.report(replace(start, inputs=(*start.inputs, b"\x0f" * 32))) == ""
    assert market.standing(order) == ("running", "")


def test_an_order_takes_storage_of_few_machines(market: Market) -> None:
    machine = publish(ResourceKind.HARDWARE, plans=(replace(MACHINE_PLAN, capacity=NO_CAPACITY),))
    stores = [market.line(LineRole.STORAGE, market.publish(PROVIDER, machine)) for _ in range(5)]
    lines = market.order_message().lines[:2]
    assert market.reason(CUSTOMER, market.order_message(lines=(*lines, *stores))) == "lines_malformed"
    assert market.reason(CUSTOMER, market.order_message(lines=(*lines, *stores[:4]))) == ""


@pytest.mark.parametrize(
    ("state", "attempts", "expected"),
    [
        (OrderState.ACCEPTED, 2, "open"),
        (OrderState.ACCEPTED, 1, "closed failed"),
        (OrderState.RUNNING, 2, "open"),
        (OrderState.RUNNING, 1, "closed provider_fault"),
        (OrderState.STALLED, 2, "open"),
        (OrderState.STALLED, 1, "closed provider_fault"),
    ],
)
def test_a_program_that_the_order_does_not_name_fails_in_its_providers_name(
    state: OrderState, attempts: int, expected: str
) -> None:
    market = Market()
    lines = (market.line(LineRole.COMPUTE, market.hardware), market.line(LineRole.DATA, market.data))
    order = market.accepted(lines=lines, attempts=attempts)
    assert market.reason(OWNER, market.grant_message(order, 1)) == ""
    if state is not OrderState.ACCEPTED:
        assert market.report(market.start(order)) == ""
    if state is OrderState.STALLED:
        market.pass_time(11)
    assert market.order(order).state is state
    failure = Fail(order=order, number=market.order(order).receipt_count, code=1)
    assert market.report(failure) == ""
    assert " ".join(market.standing(order)).strip() == expected
    assert market.order(order).state in TRANSITIONS[state][Trigger.FAIL]
    faults = market.ledger.get(PROVIDERS, account(0)).provider_faults
    assert (faults, market.ledger.get(HOLDINGS, account(0)).provider_bond < BOND) == (
        (0, False) if state is OrderState.ACCEPTED else (1, True)
    )
    check_order_laws(market)
