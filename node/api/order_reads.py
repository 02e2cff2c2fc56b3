"""Handlers that read orders: one with all that belongs to it, and lists by whoever takes part."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from node.api.context import Call
from node.api.describe_order import describe_order, describe_order_row
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.lookups import (
    NumberCursor,
    format_number_cursor,
    parse_account,
    parse_kind,
    parse_number_cursor,
    prove,
)
from node.api.registry import AddressText, Params
from node.api.views_order import OrdersView, OrderView
from state import order_queries
from state.address import AddressKind
from state.lists import ListKind
from state.order_records import ORDER_TERMS, ORDERS, OrderState

ORDERS_MAX: Final = 20
"""Longest page: it holds the event loop for five milliseconds at most."""


class OrderStateName(StrEnum):
    """States of orders."""

    OPEN = "open"
    ACCEPTED = "accepted"
    RUNNING = "running"
    STALLED = "stalled"
    CLOSED = "closed"


class OrderParams(Params, frozen=True):
    """Which order, and whether to prove it."""

    id: AddressText
    prove: bool = False


class OrdersParams(Params, frozen=True):
    """Whose orders, by at most one of the first five; without any of them all that are on record."""

    customer: AddressText | None = None
    operator: AddressText | None = None
    """Those that it has accepted and that are not closed; so for enclave and resource. With the state `closed`: those that it was
    the last to serve."""
    enclave: AddressText | None = None
    resource: AddressText | None = None
    open: bool = False
    """Those that wait for a provider."""
    state: OrderStateName | None = None
    limit: Annotated[int, Meta(ge=1, le=ORDERS_MAX)] = 10
    cursor: NumberCursor | None = None


def read_order(call: Call, params: OrderParams) -> OrderView:
    """Return an order with its terms, state, money, dates, grants and receipts, with proof on request."""
    chain, address = call.node.chain, parse_kind(params.id, AddressKind.ORDER)
    view = order_queries.order(chain.ledger, address)
    if view is None:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.NO_SUCH_ORDER, params.id)
    return describe_order(
        view,
        order_queries.order_details(chain.ledger, view),
        chain.tip.block.height,
        prove(call, ORDERS, address) if params.prove else None,
        prove(call, ORDER_TERMS, address) if params.prove else None,
    )


def read_orders(call: Call, params: OrdersParams) -> OrdersView:
    """Return the orders of a customer, an operator, an enclave or a resource, or those that are open, a page at a time."""
    kind, name = _list_of(params)
    page = order_queries.orders(
        call.node.chain.ledger,
        kind,
        name,
        None if params.state is None else OrderState[params.state.name],
        params.limit,
        parse_number_cursor(params.cursor),
    )
    return OrdersView(
        orders=[describe_order_row(view) for view in page.orders], cursor=format_number_cursor(page.next_cursor)
    )


def _list_of(params: OrdersParams) -> tuple[ListKind, bytes]:
    """Return the list that is asked for: its kind, and whose it is."""
    lists: list[tuple[ListKind, bytes]] = []
    if params.customer is not None:
        lists.append((ListKind.CUSTOMER, parse_account(params.customer)))
    if params.operator is not None:
        kind = ListKind.SERVED if params.state is OrderStateName.CLOSED else ListKind.PROVIDER
        lists.append((kind, parse_account(params.operator)))
    if params.enclave is not None:
        lists.append((ListKind.ENCLAVE, parse_kind(params.enclave, AddressKind.ENCLAVE)))
    if params.resource is not None:
        lists.append((ListKind.RESOURCE, parse_kind(params.resource, AddressKind.RESOURCE)))
    if params.open:
        lists.append((ListKind.OPEN_ORDERS, b""))
    if len(lists) > 1:
        bound = "one of customer, operator, enclave, resource, open"
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, f"{len(lists)} of them", bound)
    return lists[0] if lists else (ListKind.ORDERS, b"")
