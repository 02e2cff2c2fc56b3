"""However an order ends, whoever has worked gets what it has earned by then, and what it was promised at least."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.lists import ListKind
from state.offers import Payee, PlanUnit, ResourceKind, ServiceLevel
from state.order_terms import LineRole
from state.receipts import EventKind
from state.resource_records import ReleaseStatus
from tests.support.amending import amend, release_change
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, publish
from tests.support.chain_builders import account, make_genesis, with_params
from tests.support.order_ends import (
    End,
    cancel,
    dear_line,
    earned_by_machine,
    end_now,
    fail,
    give,
    leave_with_notice,
    own_lines,
    suspend,
)
from tests.support.order_laws import check_order_laws
from tests.support.ordering import DATA_PLAN, OWNER, SECOND_MS, Market


@pytest.fixture
def market() -> Market:
    return Market()


LEAST = 600_000
"""Least term of a machine at 1,000 a second for 600 s."""


def long_term() -> Market:
    """Return a market whose machine is let for ten minutes at least."""
    return Market(min_term_ms=600 * SECOND_MS)


def test_a_line_of_the_customers_own_that_eats_the_escrow_leaves_the_machine_its_least_term() -> None:
    market = long_term()
    line = dear_line(market, unit=PlanUnit.SECOND, price=10**9, notice_ms=0)
    order = market.running(**own_lines(market, line))
    market.pass_time(5)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("stalled", "out_of_funds")
    market.pass_time(100)
    assert market.standing(order) == ("closed", "out_of_funds")
    assert earned_by_machine(market, order) == LEAST


def test_uses_of_a_friends_data_leave_the_machine_its_least_term() -> None:
    market = long_term()
    order = market.running(**own_lines(market, dear_line(market, unit=PlanUnit.USE, price=60_000)))
    give(market, order)
    assert market.standing(order) == ("stalled", "out_of_funds")
    cancel(market, order)
    assert earned_by_machine(market, order) == LEAST


def test_a_line_with_a_short_longest_term_leaves_the_machine_its_least_term() -> None:
    market = long_term()
    line = dear_line(market, unit=PlanUnit.SECOND, price=0, max_term_ms=20 * SECOND_MS)
    order = market.running(**own_lines(market, line))
    market.work(order, 20)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("closed", "done")
    assert earned_by_machine(market, order) == LEAST


def revoke_own_program(market: Market, order: bytes) -> None:
    change = release_change(0, ReleaseStatus.REVOKED)
    assert market.reason(CUSTOMER, amend(market.image, releases=(change,))) == ""
    market.pass_time(1)
    cancel(market, order)


def freeze_own_program(market: Market, order: bytes) -> None:
    assert market.reason(CUSTOMER, amend(market.image, freezes=True)) == ""
    for _ in range(8):
        market.pass_time(5)
        market.report(market.beat(order))


@pytest.mark.parametrize("end", [cancel, fail, end_now, revoke_own_program, freeze_own_program])
def test_however_a_customer_or_its_program_ends_an_order_the_machine_has_earned_its_least_term(end: End) -> None:
    market = long_term()
    order = market.running(deposit=700_000)
    end(market, order)
    assert earned_by_machine(market, order) == LEAST


def revoke(market: Market, order: bytes) -> None:
    assert market.reason(OWNER, amend(market.data, releases=(release_change(0, ReleaseStatus.REVOKED),))) == ""
    market.pass_time(25)


def freeze_without_notice(market: Market, order: bytes) -> None:
    assert market.reason(OWNER, amend(market.data, freezes=True)) == ""
    market.pass_time(40)


@pytest.mark.parametrize("end", [revoke, freeze_without_notice])
def test_an_owner_that_withdraws_makes_no_customer_pay_a_least_term(end: End) -> None:
    """Otherwise a provider and an owner could have it for nothing."""
    market = long_term()
    order = market.running(deposit=700_000)
    market.work(order, 5)
    end(market, order)
    assert earned_by_machine(market, order) == 4_000


def own_program_order(market: Market, **changes: object) -> bytes:
    """Return a running order that leaves the choice of the program to its provider."""
    lines = (market.line(LineRole.COMPUTE, market.hardware),)
    return market.running(lines=lines, deposit=700_000, **changes)


@pytest.mark.parametrize("end", [end_now, fail])
def test_a_program_of_the_providers_own_choice_earns_no_least_term_by_ending_early(end: End) -> None:
    market = long_term()
    order = own_program_order(market, attempts=1)
    market.work(order, 5)
    end(market, order)
    assert earned_by_machine(market, order) == 5_000


def test_time_that_was_not_proven_is_not_paid_as_a_least_term() -> None:
    """A machine that need not beat for longer than all ordered time, and does not, has proven nothing by its end."""
    rare = ServiceLevel(beat_every_ms=1_000 * SECOND_MS, grace_ms=0, penalty_bp=1_000)
    market = Market(min_term_ms=500 * SECOND_MS, service_level=rare)
    order = market.running(deposit=700_000, end_by_ms=market.time_ms + 600 * SECOND_MS)
    market.pass_time(1_600)
    assert market.standing(order) == ("closed", "done")
    assert earned_by_machine(market, order) == 0


def test_a_beat_that_proves_all_time_up_to_the_end_of_a_notice_ends_the_order() -> None:
    market = long_term()
    order = market.running(deposit=700_000)
    assert market.reason(CUSTOMER, amend(market.image, freezes=True)) == ""
    market.work(order, 30)
    assert market.standing(order) == ("running", "")
    market.pass_time(4)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("closed", "policy_revoked")
    assert earned_by_machine(market, order) == LEAST


def drained(market: Market, **changes: object) -> bytes:
    """Return an order whose escrow a line of the customer's own has emptied with the first beat, a second after the start."""
    line = dear_line(market, unit=PlanUnit.SECOND, price=10**9, notice_ms=600 * SECOND_MS, max_term_ms=600 * SECOND_MS)
    order = market.running(**(own_lines(market, line) | changes))
    market.pass_time(1)
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("stalled", "out_of_funds")
    return order


def wait(market: Market, _order: bytes) -> None:
    for _ in range(3):
        market.pass_time(400)


def fund_and_cancel(market: Market, order: bytes) -> None:
    assert market.reason(CUSTOMER, market.fund(order, 10**6), market.close(order)) == ""


@pytest.mark.parametrize("keep_after_s", [60, 800])
@pytest.mark.parametrize("end", [cancel, wait, fund_and_cancel])
def test_whoever_drains_an_order_and_however_it_then_ends_the_machine_has_its_least_term(
    end: End, keep_after_s: int
) -> None:
    """Also where the longest term of the customer's line is over before the machine need not keep the work any more."""
    market = Market(min_term_ms=600 * SECOND_MS, keep_after_ms=keep_after_s * SECOND_MS)
    order = drained(market)
    end(market, order)
    assert earned_by_machine(market, order) == LEAST


def test_a_program_that_falls_silent_and_then_ends_the_work_leaves_the_machine_the_rest_of_its_least_term() -> None:
    market = long_term()
    order = market.running(deposit=700_000)
    market.work(order, 5)
    market.pass_time(14)
    assert market.standing(order) == ("stalled", "beat_missed")
    end_now(market, order)
    assert earned_by_machine(market, order) == LEAST - 16_000, "without what was not proven"


def test_outputs_of_a_program_of_the_providers_choice_that_use_the_money_up_earn_no_least_term() -> None:
    market = long_term()
    used = publish(ResourceKind.DATA, plans=(replace(DATA_PLAN, unit=PlanUnit.USE, price=60_000),))
    data = market.line(LineRole.DATA, market.publish(OWNER, used))
    lines = (market.line(LineRole.COMPUTE, market.hardware), data)
    order = market.running(lines=lines, deposit=700_000)
    give(market, order)
    assert market.standing(order) == ("stalled", "out_of_funds")
    market.pass_time(70)
    assert market.standing(order) == ("closed", "out_of_funds")
    assert earned_by_machine(market, order) == 0


def test_a_customer_with_a_machine_of_its_own_owes_data_their_least_term() -> None:
    market = Market()
    timed = publish(
        ResourceKind.DATA,
        release=EMPTY_RELEASE,
        plans=(replace(DATA_PLAN, unit=PlanUnit.SECOND, price=100, min_term_ms=500 * SECOND_MS),),
    )
    line = market.line(LineRole.DATA, market.publish(OWNER, timed))
    lines = (*market.order_message().lines[:2], line)
    executed = market.send(PROVIDER, market.order_message(lines=lines))
    (event,) = [event for event in executed.events if event.kind is EventKind.ORDERED]
    order = dict(event.attributes)["order"]
    assert market.reason(PROVIDER, market.accept_message(order)) == ""
    assert market.report(market.start(order)) == ""
    assert market.reason(PROVIDER, market.close(order)) == ""
    assert market.order(order).earned[2] == 50_000
    check_order_laws(market)


@pytest.mark.parametrize("end", [leave_with_notice, lambda market, _: market.pass_time(40)])
def test_a_machine_that_leaves_or_falls_silent_has_earned_what_it_has_proven(end: End) -> None:
    market = Market(min_term_ms=35 * SECOND_MS, notice_ms=0)
    order = market.running(deposit=700_000, attempts=1)
    market.work(order, 5)
    end(market, order)
    assert earned_by_machine(market, order) == 4_000


def test_who_cancels_in_the_block_in_which_the_machine_falls_pays_no_least_term() -> None:
    market = long_term()
    order = market.running(deposit=700_000)
    market.work(order, 5)
    market.govern(suspend)
    cancel(market, order)
    assert earned_by_machine(market, order) == 4_000


def test_nobodys_many_payees_keep_a_machine_waiting_for_its_pay(market: Market) -> None:
    payees = tuple(Payee(account=each, share_bp=625) for each in sorted(account(number) for number in range(16)))
    line = dear_line(market, unit=PlanUnit.SECOND, price=1, notice_ms=0)
    assert market.reason(CUSTOMER, amend(line.resource, payees=payees)) == ""
    order = market.running(**own_lines(market, line))
    every_s = market.params.market.settle_every_ms // SECOND_MS
    market.work(order, every_s + 10)
    record = market.order(order)
    assert record.settled[0] > 0
    assert (record.settled[2], record.earned[2] > 0) == (0, True)
    check_order_laws(market)


def test_what_an_operator_has_served_stays_listed_until_it_is_forgotten() -> None:
    market = Market(with_params(make_genesis(), "market", order_keep_ms=50 * SECOND_MS))
    order = market.running()
    assert market.members(ListKind.SERVED, account(0)) == []
    assert market.report(market.output(order)) == ""
    assert market.members(ListKind.SERVED, account(0)) == [order]
    check_order_laws(market)
    market.pass_time(60)
    assert market.members(ListKind.SERVED, account(0)) == []
