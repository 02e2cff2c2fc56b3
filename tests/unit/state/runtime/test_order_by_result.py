"""Work that is paid by its result, and what is paid once: earned with the first output, whoever ends the order when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.offers import NO_CAPACITY, PlanUnit, ResourceKind
from state.order_terms import LineRole
from tests.support.attesting import PROVIDER, publish
from tests.support.order_ends import (
    PRICE,
    End,
    by_result,
    cancel,
    dear_line,
    earned_by_machine,
    end_now,
    fail,
    free_bond,
    freeze,
    give,
    leave_with_notice,
    own_lines,
    wait_for_the_end,
)
from tests.support.ordering import BOND, DATA_PLAN, MACHINE_PLAN, OWNER, STRANGER, Market


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.mark.parametrize("end", [cancel, wait_for_the_end, freeze, fail, leave_with_notice, end_now])
def test_a_machine_paid_once_has_earned_its_price_with_its_first_output(end: End) -> None:
    market = by_result()
    order = market.running(attempts=1)
    give(market, order)
    assert market.order(order).earned[0] == PRICE
    give(market, order)
    end(market, order)
    assert earned_by_machine(market, order) == PRICE


@pytest.mark.parametrize("end", [wait_for_the_end, freeze, fail, leave_with_notice])
def test_a_machine_paid_once_that_gave_nothing_gets_nothing(end: End) -> None:
    market = by_result()
    order = market.running(attempts=1)
    end(market, order)
    assert earned_by_machine(market, order) == 0


def test_who_cancels_running_work_pays_what_its_output_would_cost() -> None:
    """An output can be read on its way to the chain: whoever cancels ahead of it has it, too."""
    market = by_result()
    used = publish(ResourceKind.DATA, plans=(replace(DATA_PLAN, unit=PlanUnit.USE, price=3_000),))
    data = market.publish(OWNER, used)
    lines = (*market.order_message().lines[:2], market.line(LineRole.DATA, data))
    order = market.running(lines=lines)
    cancel(market, order)
    assert earned_by_machine(market, order) == PRICE
    assert market.order(order).earned == (PRICE, 0, 3_000)


def test_after_an_output_a_machine_paid_once_owes_no_penalty() -> None:
    market = Market(unit=PlanUnit.ONCE, price=PRICE, min_term_ms=0)
    order = market.running(attempts=1)
    give(market, order)
    market.pass_time(50)
    assert market.standing(order) == ("closed", "provider_fault")
    assert earned_by_machine(market, order) == PRICE
    assert free_bond(market) == BOND


def test_each_attempt_of_a_machine_paid_once_is_paid_for_its_own_output() -> None:
    market = by_result()
    order = market.running()
    give(market, order)
    leave_with_notice(market, order)
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.report(market.start(order)) == ""
    fail(market, order)
    assert earned_by_machine(market, order) == PRICE


def test_storage_that_is_paid_once_has_earned_its_price_with_the_start(market: Market) -> None:
    plan = replace(MACHINE_PLAN, unit=PlanUnit.ONCE, price=7_000, capacity=NO_CAPACITY, min_term_ms=0)
    store = market.publish(PROVIDER, publish(ResourceKind.HARDWARE, plans=(plan,)))
    lines = (*market.order_message().lines[:2], market.line(LineRole.STORAGE, store))
    order = market.running(lines=lines)
    assert market.order(order).earned == (0, 0, 7_000)


def test_a_machine_paid_once_whose_money_ran_out_elsewhere_has_its_price_when_the_customer_ends_it() -> None:
    market = by_result()
    line = dear_line(market, unit=PlanUnit.SECOND, price=10**9, notice_ms=0)
    order = market.running(**own_lines(market, line))
    market.pass_time(1)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("stalled", "out_of_funds")
    cancel(market, order)
    assert earned_by_machine(market, order) == PRICE


def test_a_machine_paid_once_is_not_accepted_again_without_its_price() -> None:
    market = by_result()
    order = market.running(deposit=PRICE + 60_000)
    give(market, order)
    leave_with_notice(market, order)
    assert market.standing(order) == ("open", "")
    assert market.reason(PROVIDER, market.accept_message(order)) == "deposit_too_low"
    assert market.reason(STRANGER, market.fund(order, PRICE)) == ""
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
