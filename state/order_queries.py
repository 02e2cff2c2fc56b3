"""Readers of orders: one with all that belongs to it, and lists by whoever takes part. They change nothing.

Lists are read downwards by cursor, the newest first, so that a reader misses nothing that stays while others leave. A page may be
short although more follows, because a filter skips members and a call looks at a bounded number of them. What is told of an order
is what its record says after the last block: time that no receipt has proven yet is not earned.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from state.ledger import Ledger
from state.lists import ListKind, count_members, list_name, member_at
from state.order_records import (
    ORDER_FUNDS,
    ORDER_GRANTS,
    ORDER_RUNS,
    ORDER_TERMS,
    ORDERS,
    Contribution,
    Order,
    OrderGrant,
    OrderRun,
    OrderState,
    OrderTerms,
    line_key,
)
from state.params import Params
from state.records import ONLY, PARAMS
from state.resource_records import RESOURCES
from state.runtime.orders.books import next_date
from state.runtime.orders.settlement import LOW_FUNDS_PERCENT, free_funds, funds_time_ms
from state.runtime.orders.table import Trigger

ORDERS_SCANNED_MAX: Final = 100
"""Orders that one call looks at, some twenty microseconds each."""


class GrantView(Struct, frozen=True):
    """What was granted for a line."""

    grant: OrderGrant
    is_valid: bool
    """Whether it counts: for the order's enclave, and of its resource's present epoch."""


class OrderView(Struct, frozen=True):
    """One order."""

    address: bytes
    terms: OrderTerms
    order: Order
    next_ms: int
    """Block time of its next date."""
    next_what: Trigger
    """What happens then."""


class OrderDetails(Struct, frozen=True):
    """What belongs to an order beside its terms and where it stands."""

    contributions: tuple[Contribution, ...]
    grants: tuple[GrantView | None, ...]
    """For each line; None where nothing is granted."""
    run: OrderRun | None
    """None: it never started."""
    free: int
    """ubocc in escrow that no line has earned."""
    funded_ms: int | None
    """Trusted time that these pay for; None if time costs nothing, or the price is not known yet."""
    low_percent: int | None
    """Least of the shares that are told (20, 5) to which what is free of all that was put in has fallen; None of a closed one."""


class OrderPage(Struct, frozen=True):
    """Some orders."""

    orders: tuple[OrderView, ...]
    next_cursor: int | None
    """Where to go on; None at the end."""


def order(ledger: Ledger, address: bytes) -> OrderView | None:
    """Return an order on record, or None."""
    record = ledger.find(ORDERS, address)
    return None if record is None else _view(ledger, ledger.get(PARAMS, ONLY), address, record)


def _view(ledger: Ledger, params: Params, address: bytes, record: Order) -> OrderView:
    terms = ledger.get(ORDER_TERMS, address)
    next_ms, what = next_date(params, terms, record)
    return OrderView(address, terms, record, next_ms, what)


def order_details(ledger: Ledger, view: OrderView) -> OrderDetails:
    """Return what belongs to an order."""
    contributions = ledger.get(ORDER_FUNDS, view.address).contributions
    funded_ms, low_percent = None, None
    if view.order.state is not OrderState.CLOSED:
        total_ms = funds_time_ms(view.terms, view.order)
        funded_ms = None if total_ms is None else max(0, total_ms - view.order.paid_time_ms)
        low_percent = _low_percent(sum(each.amount for each in contributions), free_funds(view.order))
    return OrderDetails(
        contributions=contributions,
        grants=tuple(_grant_view(ledger, view, index) for index in range(len(view.terms.lines))),
        run=ledger.find(ORDER_RUNS, view.address),
        free=free_funds(view.order),
        funded_ms=funded_ms,
        low_percent=low_percent,
    )


def _low_percent(total: int, free: int) -> int | None:
    return min((percent for percent in LOW_FUNDS_PERCENT if free <= total * percent // 100), default=None)


def _grant_view(ledger: Ledger, view: OrderView, index: int) -> GrantView | None:
    line = view.terms.lines[index]
    grant = ledger.find(ORDER_GRANTS, line_key(view.address, index)) if line.is_sealed else None
    if grant is None:
        return None
    epoch = ledger.get(RESOURCES, line.resource).grant_epoch
    return GrantView(grant, (grant.enclave, grant.grant_epoch) == (view.order.enclave, epoch))


def orders(
    ledger: Ledger, kind: ListKind, name: bytes, state: OrderState | None, limit: int, cursor: int | None = None
) -> OrderPage:
    """Return up to `limit` orders of one list, in one state if given, from a cursor on, the last of the list first.

    The list is one of ORDERS, OPEN_ORDERS, CUSTOMER, PROVIDER, SERVED, ENCLAVE, RESOURCE. PROVIDER, ENCLAVE and RESOURCE have none
    that is closed, SERVED no other.
    """
    full_name, params = list_name(kind, name), ledger.get(PARAMS, ONLY)
    count = count_members(ledger, full_name)
    end = count if cursor is None else min(cursor, count)
    found: list[OrderView] = []
    for number in range(end - 1, -1, -1):
        if len(found) >= limit or end - number > ORDERS_SCANNED_MAX:
            return OrderPage(tuple(found), number + 1)
        address = member_at(ledger, full_name, number)
        record = ledger.get(ORDERS, address)
        if state is None or record.state is state:
            found.append(_view(ledger, params, address, record))
    return OrderPage(tuple(found), None)
