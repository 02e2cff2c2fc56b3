"""Reviews of orders: what a fallen enclave, a revoked release or a frozen resource means for each order that depends on it.

Lists of orders wait in a queue (state/runtime/order_queue.py); the end of each block reviews as many orders as it may. Meanwhile a
fallen enclave earns nothing: its receipts are refused.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.lists import add_member, count_members, member_at, remove_member
from state.order_records import (
    ORDER_TERMS,
    ORDERS,
    REVIEW_WALKS,
    CloseReason,
    Order,
    OrderState,
    OrderTerms,
    StallCause,
)
from state.resource_records import RESOURCES
from state.runtime.context import Context
from state.runtime.order_queue import REVIEWS
from state.runtime.orders.books import put_order, resource_of
from state.runtime.orders.clock import bring_up_to_date
from state.runtime.orders.fitness import is_fit
from state.runtime.orders.steps import close_order, give_notice, has_revoked_release, stall_order
from state.runtime.orders.table import Trigger


def run_reviews(context: Context) -> None:
    """Review orders of the lists that wait, as many as the block may; the rest waits for the next block."""
    ledger, budget = context.ledger, context.params.blocks.order_reviews_max
    while budget and count_members(ledger, REVIEWS):
        orders = member_at(ledger, REVIEWS, 0)
        walk = ledger.get(REVIEW_WALKS, orders)
        unseen = min(walk.unseen_count, count_members(ledger, orders))
        while unseen and budget:
            unseen, budget = unseen - 1, budget - 1
            review_order(context, member_at(ledger, orders, unseen))
            unseen = min(unseen, count_members(ledger, orders))
        if unseen:
            ledger.put(REVIEW_WALKS, orders, replace(walk, unseen_count=unseen))
            return
        remove_member(ledger, REVIEWS, orders)
        count = count_members(ledger, orders)
        if walk.is_asked_again and count:
            add_member(ledger, REVIEWS, orders)
            ledger.put(REVIEW_WALKS, orders, replace(walk, unseen_count=count, is_asked_again=False))
        else:
            ledger.delete(REVIEW_WALKS, orders)


def review_order(context: Context, address: bytes) -> None:
    """Apply what has changed around an order that is not closed."""
    terms, order = context.ledger.get(ORDER_TERMS, address), context.ledger.get(ORDERS, address)
    order = bring_up_to_date(context, address, terms, order)
    if order.state is not OrderState.CLOSED:
        order = _review_resources(context, address, terms, order)
    if order.state is OrderState.RUNNING and not is_fit(context, terms, order):
        cause = StallCause.ENCLAVE_FALLEN
        order = stall_order(context, address, order, cause, context.time_ms, trigger=Trigger.ENCLAVE_FALLEN)
    # An end waits for one more beat while an order runs, so a stall may find it over.
    order = bring_up_to_date(context, address, terms, order)
    put_order(context, address, terms, order)


def _review_resources(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """End or stall an order that uses what its owner withdrew."""
    is_waiting = order.state in {OrderState.OPEN, OrderState.ACCEPTED}
    is_revoked = has_revoked_release(context, terms)
    for index, line in enumerate(terms.lines):
        resource = resource_of(order, line)
        owner = context.ledger.get(RESOURCES, resource).owner if resource else b""
        if not resource or not context.ledger.get(RESOURCES, resource).frozen_ms:
            continue
        if is_waiting:
            reason = CloseReason.POLICY_REVOKED
            return close_order(context, address, terms, order, reason, trigger=Trigger.FROZEN, closed_by=owner)
        order = give_notice(context, address, terms, order, index, owner)
    if is_revoked and is_waiting:
        reason = CloseReason.POLICY_REVOKED
        return close_order(context, address, terms, order, reason, trigger=Trigger.RELEASE_REVOKED)
    if is_revoked and order.state is OrderState.RUNNING:
        cause = StallCause.RELEASE_REVOKED
        order = stall_order(context, address, order, cause, context.time_ms, trigger=Trigger.RELEASE_REVOKED)
    return order
