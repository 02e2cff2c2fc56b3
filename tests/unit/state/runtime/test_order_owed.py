"""However an order ends, whoever has worked gets what it has earned by then, and what it was promised at least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from state.lists import ListKind, list_name, member_at
from state.offers import NO_CAPACITY, Payee, PlanUnit, ResourceKind, ServiceLevel
from state.order_messages import Fail
from state.order_terms import LineRole, OrderLine
from state.receipts import EventKind
from state.records import HOLDINGS
from state.resource_records import ReleaseStatus
from state.runtime.context import Context
from state.trust_records import ENCLAVES, EnclaveState
from tests.support.amending import amend, release_change
from tests.support.attesting import CUSTOMER, EMPTY_RELEASE, PROVIDER, publish
from tests.support.chain_builders import account, make_genesis, with_params
from tests.support.order_laws import check_order_laws
from tests.support.ordering import BOND, DATA_PLAN, MACHINE_PLAN, OWNER, SECOND_MS, STRANGER, Market

End = Callable[[Market, bytes], None]

PRICE = 20_000


def free_bond(market: Market) -> int:
    """Return the provider's bond that stands for no order."""
    return market.ledger.get(HOLDINGS, account(0)).provider_bond


def suspend(context: Context) -> None:
    """Let the provider's enclave fall."""
    enclave = member_at(context.ledger, list_name(ListKind.OPERATOR, account(0)), 0)
    record = context.ledger.get(ENCLAVES, enclave)
    context.ledger.put(ENCLAVES, enclave, replace(record, state=EnclaveState.SUSPENDED))


@pytest.fixture
def market() -> Market:
    return Market()


def by_result(**changes: object) -> Market:
    """Return a market whose machine is paid once and need not beat."""
    silent = ServiceLevel(beat_every_ms=0, grace_ms=20 * SECOND_MS, penalty_bp=1_000)
    plain: dict[str, Any] = {"unit": PlanUnit.ONCE, "price": PRICE, "min_term_ms": 0, "service_level": silent}
    return Market(**(plain | changes))


def give(market: Market, order: bytes) -> None:
    """Bring an output that is not said to be the last."""
    assert market.report(market.output(order, is_last=False)) == ""


def cancel(market: Market, order: bytes) -> None:
    assert market.reason(CUSTOMER, market.close(order)) == ""


def wait_for_the_end(market: Market, _order: bytes) -> None:
    market.pass_time(1_000)


def freeze(market: Market, _order: bytes) -> None:
    assert market.reason(OWNER, amend(market.data, freezes=True)) == ""
    market.pass_time(40)


def fail(market: Market, order: bytes) -> None:
    assert market.report(Fail(order=order, number=market.order(order).receipt_count, code=1)) == ""


def leave_with_notice(market: Market, order: bytes) -> None:
    assert market.reason(PROVIDER, market.close(order)) == ""
    market.pass_time(40)


def end_now(market: Market, order: bytes) -> None:
    assert market.report(market.output(order)) == ""


def earned_by_machine(market: Market, order: bytes) -> int:
    """Return what a closed order's machine has earned, all of which it has got."""
    record = market.order(order)
    assert market.standing(order)[0] == "closed"
    assert record.earned == record.settled
    check_order_laws(market)
    return record.earned[0]


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


LEAST = 600_000
"""Least term of a machine at 1,000 a second for 600 s."""


def long_term() -> Market:
    """Return a market whose machine is let for ten minutes at least."""
    return Market(min_term_ms=600 * SECOND_MS)


def dear_line(market: Market, **changes: object) -> OrderLine:
    """Return a line of the customer's own data under a plan of its own."""
    plan = replace(DATA_PLAN, **changes)
    own = market.publish(CUSTOMER, publish(ResourceKind.DATA, plans=(plan,), release=EMPTY_RELEASE))
    return market.line(LineRole.DATA, own)


def own_lines(market: Market, line: OrderLine) -> dict[str, Any]:
    lines = (*market.order_message().lines[:2], line)
    return {"lines": lines, "deposit": 700_000}


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
