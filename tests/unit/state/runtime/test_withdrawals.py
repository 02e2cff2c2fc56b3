"""What an owner withdraws, and what that does to orders that wait and run: freezing, revoking, a new epoch of grants."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.receipts import EventKind
from state.resource_records import PLANS, ReleaseStatus, ResourceStatus, numbered_key
from tests.support.amending import amend, release_change
from tests.support.attesting import CUSTOMER, PROVIDER
from tests.support.chain_builders import account
from tests.support.ordering import DATA_PLAN, OWNER, SECOND_MS, Market

REVOKED = ReleaseStatus.REVOKED


@pytest.fixture
def market() -> Market:
    return Market()


def revoke(market: Market, resource: bytes, notice_ms: int | None = None) -> object:
    status = REVOKED if notice_ms is None else ReleaseStatus.DEPRECATED
    return amend(resource, releases=(release_change(0, status, notice_ms or 0),))


def test_a_frozen_resource_ends_what_waits_at_once_and_what_runs_after_its_notice(market: Market) -> None:
    waiting, running = market.place(), market.running()
    assert market.reason(OWNER, amend(market.data, freezes=True)) == ""
    frozen_ms = market.time_ms
    assert market.standing(waiting) == ("closed", "policy_revoked")
    assert market.order(waiting).closed_by == account(3)
    assert market.standing(running) == ("running", "")
    assert (market.order(running).stop_at_ms, market.order(running).stop_by) == (frozen_ms + 30_000, account(3))
    market.work(running, 30)
    market.pass_time(5)
    assert market.report(market.beat(running)) == ""
    market.pass_time(5)
    assert market.standing(running) == ("closed", "policy_revoked")
    trusted_s = (frozen_ms + 30_000 - market.order(running).started_ms) // SECOND_MS
    assert market.order(running).settled == (trusted_s * 1_000, 0, 50_000)


def test_a_least_term_that_was_sold_outlasts_a_frozen_resource(market: Market) -> None:
    plan = replace(DATA_PLAN, number=1, min_term_ms=100 * SECOND_MS)
    assert market.reason(OWNER, amend(market.data, plans_added=(plan,))) == ""
    lines = [*market.order_message().lines[:2], replace(market.order_message().lines[2], plan=1)]
    order = market.running(lines=tuple(lines))
    assert market.reason(OWNER, amend(market.data, plans_closed=(0, 1), freezes=True)) == ""
    assert market.order(order).stop_at_ms == market.order(order).started_ms + 100 * SECOND_MS


def test_a_resource_that_is_resumed_takes_orders_again_and_keeps_its_notices(market: Market) -> None:
    order = market.running()
    assert market.reason(OWNER, amend(market.data, freezes=True)) == ""
    stop_at_ms = market.order(order).stop_at_ms
    assert market.reason(CUSTOMER, market.order_message()) == "resource_not_active"
    assert market.reason(OWNER, amend(market.data, status=ResourceStatus.ACTIVE)) == ""
    assert market.order(order).stop_at_ms == stop_at_ms
    assert market.standing(market.place())[0] == "open"


def test_a_paused_resource_takes_no_orders_and_keeps_those_that_it_has(market: Market) -> None:
    waiting, running = market.place(), market.running()
    assert market.reason(OWNER, amend(market.data, status=ResourceStatus.PAUSED)) == ""
    assert market.reason(CUSTOMER, market.order_message()) == "resource_not_active"
    assert market.reason(PROVIDER, market.accept_message(waiting)) == ""
    assert market.report(market.beat(running)) == ""
    assert market.order(running).stop_at_ms == 0


def test_a_release_that_is_revoked_ends_what_waits_and_stalls_what_runs(market: Market) -> None:
    waiting, running = market.place(), market.running()
    bonds = market.order(running).penalty_locked
    assert market.reason(OWNER, revoke(market, market.data)) == ""
    assert market.standing(waiting) == ("closed", "policy_revoked")
    assert market.standing(running) == ("stalled", "release_revoked")
    assert market.report(market.beat(running)) == "not_current"
    executed = market.pass_time(21)
    assert market.standing(running) == ("closed", "policy_revoked")
    assert bonds > 0
    assert EventKind.PENALISED not in [event.kind for event in executed.events]


def test_a_release_whose_notice_ends_stalls_what_runs_in_the_same_block(market: Market) -> None:
    running = market.running()
    assert market.reason(OWNER, revoke(market, market.data, 8 * SECOND_MS)) == ""
    assert market.report(market.beat(running)) == ""
    assert market.reason(CUSTOMER, market.order_message()) == "not_current"
    market.pass_time(7)
    assert market.standing(running) == ("stalled", "release_revoked")


def test_an_image_that_is_revoked_takes_its_enclaves_and_their_orders_down(market: Market) -> None:
    running = market.running()
    assert market.reason(CUSTOMER, revoke(market, market.image)) == ""
    assert market.state_of() == ("suspended", 0, "release_revoked")
    assert market.standing(running) == ("stalled", "release_revoked")


def test_keys_of_an_epoch_before_open_nothing_more(market: Market) -> None:
    order = market.accepted()
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.reason(OWNER, amend(market.data, bumps_grant_epoch=True)) == ""
    assert market.report(market.start(order)) == "grant_lacking"
    assert market.reason(OWNER, market.grant_message(order, grant_epoch=0)) == "grant_stale"
    assert market.reason(OWNER, market.grant_message(order)) == ""
    assert market.report(market.start(order)) == ""


def test_a_resource_retires_when_its_last_order_is_closed(market: Market) -> None:
    running = market.running()
    retire = amend(market.data, status=ResourceStatus.RETIRED)
    assert market.reason(OWNER, retire) == "resource_in_use"
    assert market.report(market.output(running)) == ""
    assert market.reason(OWNER, retire) == ""


def test_a_plan_that_is_closed_takes_no_orders_and_counts_those_that_it_has(market: Market) -> None:
    running = market.running()
    assert market.reason(OWNER, amend(market.data, plans_closed=(0,))) == ""
    assert market.reason(CUSTOMER, market.order_message()) == "no_plan"
    key = numbered_key(market.data, 0)
    assert market.ledger.get(PLANS, key).in_use == 1
    assert market.report(market.output(running)) == ""
    assert market.ledger.get(PLANS, key).in_use == 0


def test_a_capacity_is_not_cut_below_what_orders_hold(market: Market) -> None:
    market.running()
    slice_of = market.terms(market.place()).lines[0].plan
    assert slice_of is not None
    short = replace(slice_of.capacity, vcpus=slice_of.capacity.vcpus - 1)
    assert market.reason(PROVIDER, amend(market.hardware, capacity=short)) == "capacity_in_use"
    assert market.reason(PROVIDER, amend(market.hardware, capacity=slice_of.capacity)) == ""


def test_hardware_takes_orders_until_it_drains(market: Market) -> None:
    assert market.reason(PROVIDER, amend(market.hardware, drain_at_ms=market.time_ms + 10_000)) == ""
    market.place()
    market.pass_time(9)
    assert market.reason(CUSTOMER, market.order_message()) == "resource_not_active"
    assert market.reason(PROVIDER, amend(market.hardware, drain_at_ms=0)) == ""
    market.place()


def test_the_latest_date_that_a_record_holds_drains_nothing(market: Market) -> None:
    assert market.reason(PROVIDER, amend(market.hardware, drain_at_ms=INTEGER_MAX)) == ""
    assert market.standing(market.place()) == ("open", "")
