"""Readers of orders: what belongs to one, and lists that lose nobody while others leave."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.lists import ListKind
from state.order_queries import OrderDetails, order, order_details, orders
from state.order_records import Contribution, OrderState
from state.order_terms import Mark
from state.resource_records import RESOURCES
from state.runtime.orders.table import Trigger
from tests.support.attesting import CUSTOMER
from tests.support.chain_builders import account
from tests.support.ordering import OWNER, STRANGER, Market


@pytest.fixture
def market() -> Market:
    return Market()


def addresses(market: Market, kind: ListKind, name: bytes = b"", **arguments: object) -> list[bytes]:
    """Return the orders of a whole list, read one by one."""
    found, cursor = [], None
    while True:
        page = orders(market.ledger, kind, name, arguments.get("state"), 1, cursor)
        found += [view.address for view in page.orders]
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def details(market: Market, address: bytes) -> OrderDetails:
    view = order(market.ledger, address)
    assert view is not None
    return order_details(market.ledger, view)


def test_there_is_no_order_that_nobody_placed(market):
    assert order(market.ledger, bytes(21)) is None


def test_an_open_order_waits_for_a_provider_with_all_its_money_free(market):
    address = market.place(deposit=200_000)
    view = order(market.ledger, address)
    assert (view.next_ms, view.next_what) == (market.order(address).accept_by_ms, Trigger.ACCEPT_BY)
    assert details(market, address) == OrderDetails(
        contributions=(Contribution(account=account(1), amount=200_000),),
        grants=(None, None, None),
        run=None,
        free=200_000,
        funded_ms=200_000,
        low_percent=None,
    )


def test_a_running_order_tells_what_it_has_left_and_when_that_is_low(market):
    address = market.running(deposit=100_000)
    assert (details(market, address).free, details(market, address).low_percent) == (50_000, None)
    market.work(address, 35)
    told = details(market, address)
    earned = sum(market.order(address).earned)
    assert (told.free, told.low_percent) == (100_000 - earned, 20)
    assert told.funded_ms == told.free
    assert market.reason(STRANGER, market.fund(address, 50_000)) == ""
    told = details(market, address)
    assert told.contributions[1:] == (Contribution(account=account(4), amount=50_000),)
    assert (told.free, told.low_percent) == (150_000 - earned, None)


def test_a_grant_counts_for_the_present_epoch_alone(market):
    address = market.accepted()
    assert market.reason(OWNER, market.grant_message(address)) == ""
    none, none_either, granted = details(market, address).grants
    assert (none, none_either, granted.is_valid) == (None, None, True)
    resource = market.ledger.get(RESOURCES, market.data)
    bumped = replace(resource, grant_epoch=resource.grant_epoch + 1)
    market.govern(lambda context: context.ledger.put(RESOURCES, market.data, bumped))
    assert details(market, address).grants[2].is_valid is False


def test_a_closed_order_keeps_what_was_put_in_and_said(market):
    address = market.running()
    assert market.report(market.output(address)) == ""
    assert market.reason(CUSTOMER, market.close(address, Mark.GOOD)) == ""
    told = details(market, address)
    assert (sum(each.amount for each in told.contributions), told.free) == (200_000, 0)
    assert (told.funded_ms, told.low_percent) == (None, None)
    assert (told.run.output.root, told.run.mark) == (b"\x0f" * 32, Mark.GOOD)
    assert order(market.ledger, address).next_what is Trigger.KEEP_OVER


def test_each_order_stands_in_the_lists_of_those_who_take_part(market):
    running, closed, waiting = market.running(), market.place(), market.place()
    assert market.reason(CUSTOMER, market.close(closed)) == ""
    everything = [waiting, closed, running]
    assert addresses(market, ListKind.ORDERS) == addresses(market, ListKind.CUSTOMER, account(1)) == everything
    assert addresses(market, ListKind.OPEN_ORDERS) == [waiting]
    assert addresses(market, ListKind.PROVIDER, account(0)) == [running]
    assert addresses(market, ListKind.ENCLAVE, market.enclave_of()) == [running]
    assert sorted(addresses(market, ListKind.RESOURCE, market.data)) == sorted([running, waiting])
    assert addresses(market, ListKind.ORDERS, state=OrderState.CLOSED) == [closed]
    assert addresses(market, ListKind.CUSTOMER, account(2)) == []


def test_who_reads_a_list_page_by_page_misses_none_that_stays_but_may_see_one_twice(market):
    first, second, third = (market.place() for _ in range(3))
    page = orders(market.ledger, ListKind.OPEN_ORDERS, b"", None, 1)
    assert ([view.address for view in page.orders], page.next_cursor) == ([third], 2)
    assert market.reason(CUSTOMER, market.close(second)) == ""
    page = orders(market.ledger, ListKind.OPEN_ORDERS, b"", None, 5, page.next_cursor)
    assert ([view.address for view in page.orders], page.next_cursor) == ([third, first], None)


def test_a_call_looks_at_a_bounded_number_of_orders(market, monkeypatch):
    monkeypatch.setattr("state.order_queries.ORDERS_SCANNED_MAX", 2)
    placed = [market.place() for _ in range(3)]
    page = orders(market.ledger, ListKind.ORDERS, b"", OrderState.CLOSED, 5)
    assert (page.orders, page.next_cursor) == ((), 1)
    assert addresses(market, ListKind.ORDERS, state=OrderState.OPEN) == placed[::-1]
