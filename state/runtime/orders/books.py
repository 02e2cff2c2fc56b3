"""Orders on record: how they are found and written, and when each has its next date.

Every order has one deadline on the wheel. A date that moves later leaves it where it is: it fires, finds nothing due, and goes on.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.deadlines import DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.ledger import Ledger
from state.offers import Plan
from state.order_records import ORDER_TERMS, ORDERS, Order, OrderState, OrderTerms, StallCause
from state.order_terms import AgreedLine
from state.params import Params
from state.runtime.context import Context
from state.runtime.orders.table import Trigger
from state.runtime.reasons import TransactionReason

START_TIME_MIN_MS: Final = 30_000
"""Time that every machine has to start with what it needs."""


def find_order(ledger: Ledger, address: bytes) -> tuple[OrderTerms, Order]:
    """Return an order on record.

    Raises:
        TransactionRejected: NO_ORDER.
    """
    order = ledger.find(ORDERS, address)
    if order is None:
        raise TransactionRejected(TransactionReason.NO_ORDER, address.hex())
    return ledger.get(ORDER_TERMS, address), order


def compute_plan(order: Order) -> Plan:
    """Return the plan of the machine that an order was accepted on."""
    assert order.plan is not None, "an accepted order has its machine's plan"
    return order.plan


def patience_ms(order: Order) -> int:
    """Return how long an accepted order's machine has to start with what it needs.

    As long as its plan lets it be silent, and never less than it takes to load anything.
    """
    service_level = compute_plan(order).service_level
    return max(START_TIME_MIN_MS, service_level.beat_every_ms + service_level.grace_ms)


def with_time_to_start(context: Context, terms: OrderTerms, order: Order, time_ms: int) -> Order:
    """Return an order whose machine has just got what it lacked, with so much time to start: what comes late costs it nothing."""
    start_by_ms = min(terms.end_by_ms, context.time_ms + time_ms)
    return replace(order, start_by_ms=max(order.start_by_ms, start_by_ms))


def plans_of(terms: OrderTerms, order: Order) -> tuple[Plan | None, ...]:
    """Return the plan of each line; None of any hardware while nobody has accepted."""
    return tuple(line.plan if line.plan is not None else order.plan for line in terms.lines)


def resource_of(order: Order, line: AgreedLine) -> bytes:
    """Return the resource of a line; no bytes of any hardware while nobody has accepted."""
    return line.resource or order.hardware


def end_ms(terms: OrderTerms, order: Order) -> int:
    """Return when the ordered time ends: at end_by, or when the longest term of a line is over."""
    if not order.started_ms:
        return terms.end_by_ms
    terms_ms = [plan.max_term_ms for plan in plans_of(terms, order) if plan is not None and plan.max_term_ms]
    return min((terms.end_by_ms, *(order.started_ms + term_ms for term_ms in terms_ms)))


def next_date(params: Params, terms: OrderTerms, order: Order) -> tuple[int, Trigger]:
    """Return the block time at which the next date of an order comes, and what it is.

    The end of ordered time waits for one more beat, so that the last of it can be proven. At one time, an end comes before a stall.
    """
    match order.state:
        case OrderState.OPEN:
            return order.accept_by_ms, Trigger.ACCEPT_BY
        case OrderState.ACCEPTED:
            return order.start_by_ms, Trigger.START_BY
        case OrderState.RUNNING:
            wait_ms = compute_plan(order).service_level.beat_every_ms
            date_ms, _, what = min(_ends(terms, order, wait_ms) + _beats(order))
            return date_ms, what
        case OrderState.STALLED:
            date_ms, _, what = min([*_ends(terms, order, 0), (_grace_end_ms(order), 2, Trigger.GRACE_OVER)])
            return date_ms, what
        case OrderState.CLOSED:
            return order.closed_ms + params.market.order_keep_ms, Trigger.KEEP_OVER


def _ends(terms: OrderTerms, order: Order, wait_ms: int) -> list[tuple[int, int, Trigger]]:
    """Return the ends of ordered time: date, rank among equal dates, and what it is."""
    ends = [(end_ms(terms, order) + wait_ms, 0, Trigger.END_BY)]
    if order.stop_at_ms:
        ends.append((order.stop_at_ms + wait_ms, 1, Trigger.STOP_AT))
    return ends


def _beats(order: Order) -> list[tuple[int, int, Trigger]]:
    beat_every_ms = compute_plan(order).service_level.beat_every_ms
    return [(order.proven_ms + beat_every_ms, 2, Trigger.BEAT_DUE)] if beat_every_ms else []


def _grace_end_ms(order: Order) -> int:
    plan = compute_plan(order)
    is_unfunded = order.cause is StallCause.OUT_OF_FUNDS
    return order.stalled_ms + (plan.keep_after_ms if is_unfunded else plan.service_level.grace_ms)


def put_order(context: Context, address: bytes, terms: OrderTerms, order: Order) -> None:
    """Write an order, with a deadline on the wheel that fires no later than its next date."""
    due_ms, _ = next_date(context.params, terms, order)
    if not (order.wheel_ms and context.time_ms < order.wheel_ms <= due_ms):
        push_deadline(context.ledger, DeadlineKind.ORDER_DUE, address, due_ms)
        order = replace(order, wheel_ms=due_ms)
    context.ledger.put(ORDERS, address, order)
