"""The life of an order from its placing to its end, and what everybody gets."""

from __future__ import annotations

import pytest

from state import queries
from state.offers import PlanUnit, ServiceLevel
from state.order_records import PROVIDERS, USAGE, OrderState, usage_key
from state.records import HOLDINGS
from state.resource_records import RESOURCE_USES, RESOURCES
from tests.support.attesting import CUSTOMER, FEE, PROVIDER
from tests.support.chain_builders import account
from tests.support.ordering import BOND, OWNER, SECOND_MS, Market


@pytest.fixture
def market() -> Market:
    return Market()


def test_an_order_that_runs_to_its_output_pays_proven_time_once_and_returns_the_rest(market: Market) -> None:
    before = {name: market.balance(account(name)) for name in (0, 1, 3)}
    treasury = queries.money(market.ledger).treasury
    order = market.running()
    market.work(order, 20)
    started_ms = market.order(order).started_ms
    proven_ms = market.time_ms
    assert market.report(market.output(order)) == ""
    record = market.order(order)
    assert market.standing(order) == ("closed", "done")
    seconds = (proven_ms - started_ms) // SECOND_MS
    assert record.earned == record.settled == (seconds * 1_000, 0, 50_000)
    assert record.held == 0
    bond = record.bond_locked
    paid = {account(0): seconds * 980, account(3): 49_000}
    assert market.balance(account(3)) == before[3] + paid[account(3)] - FEE
    assert market.balance(account(1)) == before[1] - FEE - bond - seconds * 1_000 - 50_000
    assert queries.money(market.ledger).treasury == treasury + seconds * 20 + 1_000
    assert queries.money(market.ledger).escrows == 0
    holdings = market.ledger.get(HOLDINGS, account(0))
    assert (holdings.provider_bond, holdings.provider_locked) == (BOND, 0)
    hardware = market.ledger.get(RESOURCES, market.hardware)
    assert hardware.in_use is not None
    assert hardware.in_use.vcpus == 0
    assert market.ledger.get(PROVIDERS, account(0)).orders_done == 1


def test_a_start_and_an_output_stand_in_the_ledger_of_each_resource(market: Market) -> None:
    order = market.running()
    assert market.report(market.output(order)) == ""
    run, record = market.run(order), market.order(order)
    row = market.ledger.get(USAGE, usage_key(market.data, 0))
    assert (row.order, row.customer, row.start_receipt, row.output_receipt) == (
        order,
        account(1),
        run.start_receipt,
        record.head,
    )
    assert market.ledger.get(RESOURCE_USES, market.data).count == 1


def test_an_order_that_nobody_accepts_returns_all_but_the_fee(market: Market) -> None:
    before = market.balance(account(1))
    order = market.place()
    market.pass_time(61)
    assert market.standing(order) == ("closed", "accept_timeout")
    assert market.balance(account(1)) == before - FEE - market.order(order).bond_locked


def test_a_missed_beat_stalls_then_reopens_then_another_machine_goes_on(market: Market) -> None:
    market.attest(1)
    order = market.running()
    market.work(order, 10)
    earned = market.order(order).earned
    market.pass_time(11)
    assert market.standing(order) == ("stalled", "beat_missed")
    market.pass_time(21)
    assert market.standing(order)[0] == "open"
    record = market.order(order)
    assert record.earned == earned
    assert record.attempts_left == 0
    assert market.ledger.get(PROVIDERS, account(0)).penalties > 0
    assert market.reason(PROVIDER, market.accept_message(order, 1)) == ""
    assert market.report(market.start(order), number=1) == "grant_lacking"
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.report(market.start(order), number=1) == ""
    assert market.report(market.output(order), number=1) == ""
    assert market.standing(order) == ("closed", "done")
    assert market.order(order).earned[2] == 50_000, "what is paid once is paid once"


def test_a_customer_who_cancels_pays_the_least_term(market: Market) -> None:
    order = market.running()
    assert market.reason(CUSTOMER, market.close(order)) == ""
    assert market.standing(order) == ("closed", "cancelled")
    assert market.order(order).earned == (10_000, 0, 50_000)


def test_a_provider_that_falls_silent_under_its_own_notice_pays_as_without_one() -> None:
    market = Market(notice_ms=5 * SECOND_MS, min_term_ms=0)
    order = market.running()
    assert market.reason(PROVIDER, market.close(order)) == ""
    market.pass_time(30)
    assert market.standing(order)[0] == "open"
    record = market.ledger.get(PROVIDERS, account(0))
    assert record.provider_faults == 1
    assert record.penalties > 0


def test_work_that_is_paid_by_its_result_has_failed_when_its_time_is_over_without_one() -> None:
    market = Market(unit=PlanUnit.ONCE, price=30_000, min_term_ms=0)
    order = market.running(end_by_ms=market.time_ms + 150 * SECOND_MS)
    while market.order(order).state is not OrderState.CLOSED:
        market.pass_time(5)
        market.send(PROVIDER, market.receipts(market.beat(order)))
    assert market.standing(order) == ("closed", "failed")
    assert market.order(order).earned == (0, 0, 50_000)


def test_a_grace_that_outlasts_the_order_makes_silence_no_cheaper() -> None:
    market = Market(
        service_level=ServiceLevel(beat_every_ms=10 * SECOND_MS, grace_ms=2_000 * SECOND_MS, penalty_bp=1_000)
    )
    order = market.running(end_by_ms=market.time_ms + 150 * SECOND_MS)
    market.pass_time(160)
    assert market.standing(order) == ("closed", "provider_fault")
    assert market.ledger.get(PROVIDERS, account(0)).penalties > 0


def test_a_provider_that_proves_all_but_the_last_beat_of_an_order_has_served_it() -> None:
    market = Market()
    order = market.running(end_by_ms=market.time_ms + 150 * SECOND_MS)
    while market.terms(order).end_by_ms - market.order(order).accrued_ms > 9 * SECOND_MS:
        market.work(order, 5)
    market.pass_time(20)
    assert market.standing(order) == ("closed", "done")
    assert market.ledger.get(PROVIDERS, account(0)).penalties == 0
