"""A standstill of the whole chain, in which nobody can prove anything, costs no provider its bond."""

from __future__ import annotations

import pytest

from state.order_records import PROVIDERS
from state.records import HOLDINGS
from state.runtime.context import Context
from state.runtime.orders.standstill import LATE_MS, STANDSTILL_MS, standstill_end
from tests.support.attesting import PROVIDER
from tests.support.chain_builders import account, make_genesis, with_params
from tests.support.order_laws import check_order_laws
from tests.support.ordering import BOND, OWNER, SECOND_MS, Market

LONG_MS = STANDSTILL_MS + 60 * SECOND_MS
GRACE_S = 20


@pytest.fixture
def market() -> Market:
    return Market()


def free_bond(market: Market) -> int:
    """Return the provider's bond that stands for no order."""
    return market.ledger.get(HOLDINGS, account(0)).provider_bond


def ready(market: Market) -> bytes:
    """Return an accepted order whose key was released."""
    order = market.accepted(attempts=1)
    assert market.reason(OWNER, market.grant_message(order)) == ""
    return order


def test_who_works_goes_on_after_a_standstill(market: Market) -> None:
    order = market.running(attempts=1)
    earned = market.order(order).earned[0]
    assert market.report(market.beat(order), interval_ms=LONG_MS) == ""
    assert market.standing(order) == ("stalled", "beat_missed"), "it proved the time up to the block before"
    assert market.report(market.beat(order)) == ""
    assert market.standing(order) == ("running", "")
    assert market.order(order).earned[0] == earned, "no time is paid that nobody proved"
    market.pass_time(5)
    assert market.report(market.beat(order)) == ""
    assert free_bond(market) + market.order(order).penalty_locked == BOND
    assert market.order(order).earned[0] > earned
    check_order_laws(market)


def test_who_stays_silent_after_a_standstill_pays_when_its_grace_is_over(market: Market) -> None:
    order = market.running(attempts=1)
    market.apply(interval_ms=LONG_MS)
    assert market.standing(order) == ("stalled", "beat_missed")
    assert market.order(order).stalled_ms == market.time_ms
    market.pass_time(GRACE_S - 1)
    assert market.standing(order) == ("stalled", "beat_missed")
    market.pass_time(2)
    assert market.standing(order) == ("closed", "provider_fault")
    assert market.ledger.get(PROVIDERS, account(0)).penalties > 0
    check_order_laws(market)


def test_a_grace_that_ends_in_a_standstill_begins_anew(market: Market) -> None:
    order = market.running(attempts=1)
    market.pass_time(11)
    assert market.standing(order) == ("stalled", "beat_missed")
    market.apply(interval_ms=LONG_MS)
    assert market.standing(order) == ("stalled", "beat_missed")
    market.pass_time(GRACE_S - 1)
    assert market.report(market.beat(order), interval_ms=1) == ""
    assert market.standing(order) == ("running", "")


def test_a_start_that_is_due_in_a_standstill_has_time_again(market: Market) -> None:
    order = ready(market)
    market.apply(interval_ms=LONG_MS)
    assert market.standing(order) == ("accepted", "")
    assert market.report(market.start(order)) == ""
    late = ready(market)
    market.apply(interval_ms=LONG_MS)
    market.pass_time(GRACE_S + 11)
    assert market.standing(late) == ("closed", "start_timeout")
    assert market.ledger.get(PROVIDERS, account(0)).start_timeouts == 1


def test_an_end_in_a_standstill_costs_nothing(market: Market) -> None:
    order = market.running(end_by_ms=market.time_ms + 200 * SECOND_MS)
    market.apply(interval_ms=LONG_MS)
    assert market.standing(order) == ("closed", "done")
    assert free_bond(market) == BOND


def test_a_notice_that_ends_in_a_standstill_costs_nothing(market: Market) -> None:
    order = market.running(attempts=1)
    assert market.reason(PROVIDER, market.close(order)) == ""
    market.apply(interval_ms=LONG_MS)
    assert market.standing(order) == ("closed", "cancelled")
    assert free_bond(market) == BOND


@pytest.mark.parametrize("gap_ms", [STANDSTILL_MS, 60 * SECOND_MS])
def test_a_shorter_gap_between_blocks_is_no_standstill(market: Market, gap_ms: int) -> None:
    order = market.running(attempts=1)
    market.apply(interval_ms=gap_ms)
    assert market.standing(order) == ("closed", "provider_fault")
    assert free_bond(market) < BOND


def test_all_orders_are_spared_whose_dates_wait_for_later_blocks() -> None:
    market = Market(with_params(make_genesis(), "blocks", deadlines_max=1))
    orders = [market.running(attempts=1, deposit=70_000) for _ in range(3)]
    market.apply(interval_ms=LONG_MS)
    end_ms = market.time_ms
    for _ in range(6):
        market.apply(interval_ms=1)
    assert [market.standing(order) for order in orders] == [("stalled", "beat_missed")] * 3
    assert {market.order(order).stalled_ms for order in orders} == {end_ms}


def test_a_dry_run_spares_whom_the_next_block_spares(market: Market) -> None:
    order = market.running(attempts=1)
    params, ledger = market.params, market.ledger
    dry = Context(ledger, params, market.chain_id, 0, market.height + 1, market.time_ms + LONG_MS)
    date_ms = market.order(order).proven_ms + 10 * SECOND_MS
    assert standstill_end(dry, date_ms) == dry.time_ms


def test_a_chain_that_was_only_idle_makes_the_block_that_a_date_calls_for(market: Market) -> None:
    gap_ms = 2 * STANDSTILL_MS
    context = Context(market.ledger, market.params, market.chain_id, 0, market.height + 1, market.time_ms + gap_ms)
    assert standstill_end(context, context.time_ms - LATE_MS) is None
    assert standstill_end(context, context.time_ms - LATE_MS - 1) == context.time_ms


def test_what_is_older_than_the_recent_blocks_tells_of_no_standstill(market: Market) -> None:
    context = Context(market.ledger, market.params, market.chain_id, 0, market.height + 1, market.time_ms + LONG_MS)
    assert standstill_end(context, 0) is None
