"""What comes late, or goes early, is not paid for by a provider that could do nothing about it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.genesis import Genesis
from state.offers import PlanUnit, ResourceKind
from state.order_messages import Start
from state.order_records import NO_SERVICE, ORDERS, PROVIDERS
from state.order_terms import LineRole
from state.runtime.context import Context
from tests.support.amending import amend
from tests.support.attesting import CUSTOMER, publish
from tests.support.chain_builders import account, make_genesis, with_params
from tests.support.order_ends import free_bond
from tests.support.order_laws import check_order_laws
from tests.support.ordering import BOND, DATA_PLAN, OWNER, SECOND_MS, STRANGER, Market

OUTPUT_ROOT = b"\x0f" * 32
PATIENCE_S = 30
"""Beats every 10 s and a grace of 20 s."""


@pytest.fixture
def market() -> Market:
    return Market()


def late_granted(market: Market, **changes: object) -> bytes:
    """Return an accepted order whose key came one second before its start was due, 120 s after it was placed."""
    order = market.accepted(**changes)
    market.pass_time(116)
    assert market.reason(OWNER, market.grant_message(order)) == ""
    return order


def test_a_key_that_comes_at_the_last_moment_leaves_time_to_start(market: Market) -> None:
    order = late_granted(market)
    market.pass_time(PATIENCE_S - 1)
    assert market.standing(order) == ("accepted", "")
    assert market.report(market.start(order), interval_ms=1) == ""
    assert market.standing(order) == ("running", "")
    check_order_laws(market)


def test_who_does_not_start_with_a_late_key_pays_when_the_time_to_start_is_over(market: Market) -> None:
    order = late_granted(market)
    market.pass_time(PATIENCE_S + 1)
    assert market.standing(order) == ("open", "")
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == 1
    assert free_bond(market) < BOND


def test_a_key_that_is_released_again_gives_no_further_time(market: Market) -> None:
    order = market.accepted()
    assert market.reason(OWNER, market.grant_message(order)) == ""
    start_by_ms = market.order(order).start_by_ms
    market.pass_time(110)
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.order(order).start_by_ms == start_by_ms


def test_a_key_of_a_new_epoch_gives_time_again(market: Market) -> None:
    order = market.accepted()
    assert market.reason(OWNER, market.grant_message(order)) == ""
    market.pass_time(110)
    bump = amend(market.data, bumps_grant_epoch=True)
    assert market.reason(OWNER, bump) == ""
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.order(order).start_by_ms == market.time_ms + PATIENCE_S * SECOND_MS


@pytest.mark.parametrize("unit", [PlanUnit.SECOND, PlanUnit.ONCE, PlanUnit.USE])
def test_where_a_start_would_come_with_the_end_nobody_pays_for_its_lack(unit: PlanUnit) -> None:
    market = Market(unit=unit)
    end_by_ms = market.time_ms + 121 * SECOND_MS
    order = late_granted(market, start_by_ms=end_by_ms, end_by_ms=end_by_ms, attempts=1)
    market.pass_time(10)
    assert market.standing(order) == ("closed", "start_timeout")
    assert free_bond(market) == BOND


def plain_lines(market: Market) -> dict[str, Any]:
    """Return the lines of an order without data."""
    lines = (market.line(LineRole.COMPUTE, market.hardware), market.line(LineRole.SOFTWARE, market.image))
    return {"lines": lines, "deposit": 150_000}


def chained_start(market: Market, order: bytes) -> Start:
    """Return the start of an order with its program and the output that it waited for."""
    plain = market.start(order)
    return replace(plain, inputs=(*plain.inputs, OUTPUT_ROOT))


@pytest.fixture
def forgetful() -> Market:
    """A market whose closed orders are forgotten after 50 s."""
    genesis: Genesis = with_params(make_genesis(), "market", order_keep_ms=50 * SECOND_MS)
    return Market(genesis)


def test_an_output_that_is_forgotten_before_the_start_costs_the_provider_nothing(forgetful: Market) -> None:
    first = forgetful.running(**plain_lines(forgetful))
    assert forgetful.report(forgetful.output(first)) == ""
    forgetful.pass_time(45)
    second = forgetful.accepted(**plain_lines(forgetful), after=(first,))
    forgetful.pass_time(10)
    assert forgetful.ledger.find(ORDERS, first) is None
    assert forgetful.report(chained_start(forgetful, second)) == "after_pending"
    forgetful.pass_time(120)
    assert forgetful.standing(second) == ("open", "")
    assert forgetful.ledger.get(PROVIDERS, account(0)).start_timeouts == 0
    assert free_bond(forgetful) == BOND


@pytest.mark.parametrize(("closes_after_s", "is_charged"), [(None, False), (90, False), (5, True)])
def test_an_output_that_was_still_changing_costs_the_provider_nothing(
    market: Market, closes_after_s: int | None, is_charged: bool
) -> None:
    first = market.running(**plain_lines(market))
    assert market.report(market.output(first, is_last=False)) == ""
    second = market.accepted(**plain_lines(market), after=(first,))
    for passed_s in range(0, 115, 5):
        market.pass_time(4)
        assert market.standing(second) == ("accepted", "")
        is_over = closes_after_s is not None and passed_s >= closes_after_s
        if not is_over:
            last = closes_after_s == passed_s + 5
            assert market.report(market.output(first, is_last=last)) == ""
        else:
            market.pass_time(1)
    market.pass_time(5)
    assert market.standing(second)[0] == "open"
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == int(is_charged)


def test_sums_of_a_provider_stay_at_the_largest_number(market: Market) -> None:
    nearly = replace(NO_SERVICE, penalties=INTEGER_MAX - 1, earned=INTEGER_MAX, served_ms=INTEGER_MAX)
    order = market.running(attempts=1)

    def fill(context: Context) -> None:
        context.ledger.put(PROVIDERS, account(0), nearly)

    market.govern(fill)
    market.work(order, 10)
    market.pass_time(11)
    market.pass_time(21)
    assert market.standing(order) == ("closed", "provider_fault")
    record = market.ledger.get(PROVIDERS, account(0))
    assert (record.penalties, record.earned, record.served_ms) == (INTEGER_MAX,) * 3
    assert PROVIDERS.codec.decode(PROVIDERS.codec.encode(record)) == record


def test_what_was_ever_put_into_an_order_stays_below_the_largest_number(market: Market) -> None:
    order = market.place()
    long_paid = market.order(order)

    def fill(context: Context) -> None:
        amounts = (INTEGER_MAX - 300_000, 0, 0)
        context.ledger.put(ORDERS, order, replace(long_paid, earned=amounts, settled=amounts))

    market.govern(fill)
    assert market.reason(STRANGER, market.fund(order, 100_001)) == "too_many_contributions"
    assert market.reason(STRANGER, market.fund(order, 100_000)) == ""
    assert market.reason(CUSTOMER, market.fund(order, 1)) == "too_many_contributions"


def test_uses_leave_a_machine_its_price() -> None:
    market = Market(unit=PlanUnit.ONCE, price=20_000, min_term_ms=0)
    used = publish(ResourceKind.DATA, plans=(replace(DATA_PLAN, unit=PlanUnit.USE, price=10_000),))
    data = market.publish(OWNER, used)
    lines = (*plain_lines(market)["lines"], market.line(LineRole.DATA, data))
    order = market.running(lines=lines, deposit=45_000)
    assert market.report(market.output(order, is_last=False)) == ""
    assert market.standing(order) == ("running", "")
    assert market.report(market.output(order, is_last=False)) == ""
    assert market.standing(order) == ("stalled", "out_of_funds")
    assert market.order(order).earned == (20_000, 0, 20_000)
    assert market.report(market.output(order)) == ""
    assert market.standing(order) == ("closed", "done")
    assert market.order(order).earned == (20_000, 0, 25_000)
    check_order_laws(market)
