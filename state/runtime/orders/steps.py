"""How orders end, return to the market, stall and get notice: the steps that every path shares.

Each step takes the order and gives the order after it; the caller writes it (state/runtime/orders/books.py).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.errors import TransactionRejected
from state.lists import ListKind, add_member, list_name, remove_member
from state.offers import PlanUnit
from state.order_records import (
    ORDER_GRANTS,
    ORDER_RUNS,
    CloseReason,
    Order,
    OrderState,
    OrderTerms,
    StallCause,
    line_key,
)
from state.order_terms import LineRole
from state.receipts import EventKind
from state.resource_records import PLANS, RELEASES, RESOURCES, ReleaseStatus, numbered_key
from state.runtime.capacities import add_capacity, scale_capacity, subtract_capacity
from state.runtime.context import Context
from state.runtime.order_queue import orders_of_enclave, orders_of_resource
from state.runtime.orders.books import compute_plan, end_ms, plans_of, resource_of
from state.runtime.orders.fitness import is_fit
from state.runtime.orders.settlement import (
    earn_least_pieces,
    earn_least_terms,
    note_service,
    pay_attempt,
    pay_out,
    refund,
    release_bond,
)
from state.runtime.orders.table import Trigger, check_leads_to
from state.runtime.orders.usage import end_promises
from state.runtime.reasons import TransactionReason

OPEN_ORDERS = list_name(ListKind.OPEN_ORDERS)
NOT_ITS_MACHINES: Final = frozenset({StallCause.OUT_OF_FUNDS, StallCause.RELEASE_REVOKED})
"""Causes of a stall that are not the doing of an order's machine."""
SILENT: Final = frozenset({StallCause.BEAT_MISSED, StallCause.ENCLAVE_FALLEN, StallCause.FUNDED_AGAIN})
"""Causes of a stall that it is for an order's machine to end."""


def close_order(
    context: Context,
    address: bytes,
    terms: OrderTerms,
    order: Order,
    reason: CloseReason,
    *,
    trigger: Trigger,
    closed_by: bytes = b"",
    penalty: int = 0,
) -> Order:
    """End an order: settle what was earned, give back the rest, free what it held."""
    check_leads_to(order.state, trigger, OrderState.CLOSED)
    is_fault = reason is CloseReason.PROVIDER_FAULT
    if order.started_ms and not is_fault and _is_customers_doing(context, terms, order, trigger, closed_by):
        order = _earn_least(context, terms, order, trigger)
    order = pay_out(context, address, terms, order)
    left = order.held
    order = refund(context, address, order)
    order = _free_machine(context, address, terms, order, penalty)
    ledger = context.ledger
    remove_member(ledger, OPEN_ORDERS, address)
    for line in terms.lines:
        if line.resource:
            assert line.plan is not None, "a line that names its resource has its plan"
            _release_stock(context, line.resource, line.plan.number, line.quantity)
            remove_member(ledger, orders_of_resource(line.resource), address)
    if order.operator:
        add_member(ledger, list_name(ListKind.SERVED, order.operator), address)
    if reason is CloseReason.DONE and order.operator:
        note_service(context, order.operator, orders_done=1)
    context.emit(
        EventKind.ORDER_CLOSED,
        order=address,
        customer=terms.customer,
        reason=reason.name.lower().encode(),
        account=closed_by,
        refund=left,
    )
    return replace(
        order,
        state=OrderState.CLOSED,
        reason=reason,
        cause=None,
        closed_ms=context.time_ms,
        closed_by=closed_by,
    )


def _is_customers_doing(context: Context, terms: OrderTerms, order: Order, trigger: Trigger, closed_by: bytes) -> bool:
    """Tell whether it is the customer who ends a started order: by a message, for lack of money, or by what it has chosen.

    That is its program, if the order names one; a line whose longest term is over; and what it withdraws as the owner of a line.
    """
    if trigger in {Trigger.LAST_OUTPUT, Trigger.FAIL}:
        return names_program(terms)
    if trigger in {Trigger.CLOSE_BY_OWNER, Trigger.STOP_AT}:
        is_asked = closed_by == terms.customer != order.operator
    else:
        is_asked = trigger in {Trigger.CLOSE_BY_CUSTOMER, Trigger.GRACE_OVER, Trigger.END_BY}
    if not is_asked:
        return False
    revoked = _find_revoked(context, terms)
    if revoked:
        return any(context.ledger.get(RESOURCES, address).owner == terms.customer for address in revoked)
    if order.state is OrderState.RUNNING:
        return is_fit(context, terms, order)
    if order.cause is StallCause.OUT_OF_FUNDS:
        # Outputs of a program that the provider has chosen may have used the money up.
        is_paid_by_use = any(plan is not None and plan.unit is PlanUnit.USE for plan in plans_of(terms, order))
        return names_program(terms) or not is_paid_by_use
    return order.cause is StallCause.FUNDED_AGAIN


def _earn_least(context: Context, terms: OrderTerms, order: Order, trigger: Trigger) -> Order:
    """Return an order that its customer ends with what that takes from its lines: the rest of least terms, an output's price.

    The rest begins with the last proof; for a running order not before a date on which the end has waited for one more beat, and
    for one that speaks again after a silence not before now.
    """
    is_stalled, at_ms = order.state is OrderState.STALLED, order.accrued_ms
    if trigger not in {Trigger.LAST_OUTPUT, Trigger.FAIL} and (is_stalled or trigger is not Trigger.END_BY):
        order = earn_least_pieces(terms, order)
    if order.cause in {StallCause.BEAT_MISSED, StallCause.ENCLAVE_FALLEN}:
        at_ms = context.time_ms
    elif not is_stalled:
        at_ms = {Trigger.END_BY: end_ms(terms, order), Trigger.STOP_AT: order.stop_at_ms}.get(trigger, at_ms)
    return earn_least_terms(terms, order, at_ms)


def names_program(terms: OrderTerms) -> bool:
    """Tell whether an order names the programs that may run it; otherwise its program is the provider's choice."""
    return any(line.role is LineRole.SOFTWARE for line in terms.lines)


def leave_machine(
    context: Context,
    address: bytes,
    terms: OrderTerms,
    order: Order,
    reason: CloseReason,
    *,
    trigger: Trigger,
    closed_by: bytes = b"",
    penalty: int = 0,
) -> Order:
    """Return an order to the market if it has attempts, time and all it uses left; otherwise end it for this reason.

    Keys granted for the machine it leaves are void: its next enclave needs fresh capsules.
    """
    is_over = not order.attempts_left or terms.end_by_ms <= context.time_ms
    if not is_over and find_withdrawn(context, terms, order) is not None:
        is_over, reason = True, CloseReason.POLICY_REVOKED
    if is_over:
        return close_order(
            context, address, terms, order, reason, trigger=trigger, closed_by=closed_by, penalty=penalty
        )
    check_leads_to(order.state, trigger, OrderState.OPEN)
    order = pay_attempt(context, address, terms, order)
    order = _free_machine(context, address, terms, order, penalty)
    for index, line in enumerate(terms.lines):
        if line.is_sealed:
            context.ledger.delete(ORDER_GRANTS, line_key(address, index))
    accept_by_ms = min(terms.end_by_ms, context.time_ms + terms.accept_window_ms)
    order = replace(
        order,
        state=OrderState.OPEN,
        cause=None,
        attempts_left=order.attempts_left - 1,
        enclave=b"",
        operator=b"",
        hardware=b"",
        plan=None,
        accept_by_ms=accept_by_ms,
        accepted_ms=0,
        start_by_ms=min(terms.end_by_ms, accept_by_ms + terms.start_window_ms),
        started_ms=0,
        accrued_ms=0,
        paid_time_ms=0,
        earned_before=order.earned,
        proven_ms=0,
        stalled_ms=0,
        stop_at_ms=0,
        stop_by=b"",
    )
    add_member(context.ledger, OPEN_ORDERS, address)
    context.emit(EventKind.REOPENED, order=address, attempts_left=order.attempts_left, accept_by_ms=order.accept_by_ms)
    return order


def _free_machine(context: Context, address: bytes, terms: OrderTerms, order: Order, penalty: int) -> Order:
    """Free the slice, the bond, the promises and the places in lists that an order has with a machine, if it has one."""
    if not order.hardware:
        return order
    ledger, plan = context.ledger, compute_plan(order)
    order = release_bond(context, address, terms, order, penalty)
    order = end_promises(context, terms, order)
    for line in terms.lines:
        resource = resource_of(order, line)
        line_plan = line.plan if line.plan is not None else plan
        hardware = ledger.get(RESOURCES, resource)
        if hardware.in_use is not None:
            freed = scale_capacity(line_plan.capacity, line.quantity)
            ledger.put(RESOURCES, resource, replace(hardware, in_use=subtract_capacity(hardware.in_use, freed)))
    if not terms.lines[0].resource:
        _release_stock(context, order.hardware, plan.number, terms.lines[0].quantity)
        if all(line.resource != order.hardware for line in terms.lines):
            remove_member(ledger, orders_of_resource(order.hardware), address)
    remove_member(ledger, list_name(ListKind.PROVIDER, order.operator), address)
    remove_member(ledger, orders_of_enclave(order.enclave), address)
    if order.paid_time_ms:
        note_service(context, order.operator, served_ms=order.paid_time_ms)
    return order


def reserve_machine(context: Context, address: bytes, terms: OrderTerms, order: Order) -> None:
    """Take the slices of all machines of an order that was just accepted, and its places in lists.

    Raises:
        TransactionRejected: CAPACITY_TOO_LOW.
    """
    ledger = context.ledger
    for line, plan in zip(terms.lines, plans_of(terms, order), strict=True):
        assert plan is not None, "an accepted order has all its plans"
        resource = resource_of(order, line)
        hardware = ledger.get(RESOURCES, resource)
        if hardware.in_use is not None:
            assert hardware.capacity is not None, "hardware has a capacity"
            in_use = add_capacity(hardware.in_use, scale_capacity(plan.capacity, line.quantity), hardware.capacity)
            ledger.put(RESOURCES, resource, replace(hardware, in_use=in_use))
    add_member(ledger, list_name(ListKind.PROVIDER, order.operator), address)
    add_member(ledger, orders_of_enclave(order.enclave), address)
    remove_member(ledger, OPEN_ORDERS, address)


def reserve_stock(context: Context, resource: bytes, number: int, quantity: int) -> None:
    """Count an order's units towards a plan's stock.

    Raises:
        TransactionRejected: STOCK_EXHAUSTED.
    """
    key = numbered_key(resource, number)
    record = context.ledger.get(PLANS, key)
    in_use = record.in_use + quantity
    stock = record.plan.stock or INTEGER_MAX
    if in_use > stock:
        raise TransactionRejected(TransactionReason.STOCK_EXHAUSTED, quantity, stock - record.in_use)
    context.ledger.put(PLANS, key, replace(record, in_use=in_use))


def _release_stock(context: Context, resource: bytes, number: int, quantity: int) -> None:
    key = numbered_key(resource, number)
    record = context.ledger.get(PLANS, key)
    context.ledger.put(PLANS, key, replace(record, in_use=record.in_use - quantity))


def find_withdrawn(context: Context, terms: OrderTerms, order: Order) -> bytes | None:
    """Return the first resource of an order that its owner withdrew: frozen, or its release revoked; None if there is none."""
    for line in terms.lines:
        address = resource_of(order, line)
        if not address:
            continue
        if context.ledger.get(RESOURCES, address).frozen_ms:
            return address
        if line.content_root and _is_revoked(context, address, line.release):
            return address
    return None


def _is_revoked(context: Context, resource: bytes, release: int) -> bool:
    return context.ledger.get(RELEASES, numbered_key(resource, release)).status is ReleaseStatus.REVOKED


def _find_revoked(context: Context, terms: OrderTerms) -> list[bytes]:
    """Return the resources of an order whose release that it uses is revoked."""
    lines = [line for line in terms.lines if line.content_root]
    return [line.resource for line in lines if _is_revoked(context, line.resource, line.release)]


def has_revoked_release(context: Context, terms: OrderTerms) -> bool:
    """Tell whether a release that an order uses is revoked."""
    return bool(_find_revoked(context, terms))


def stall_order(
    context: Context, address: bytes, order: Order, cause: StallCause, at_ms: int, *, trigger: Trigger
) -> Order:
    """Stop the pay of a running order; its grace runs from at_ms."""
    check_leads_to(order.state, trigger, OrderState.STALLED)
    if cause in {StallCause.BEAT_MISSED, StallCause.ENCLAVE_FALLEN}:
        note_service(context, order.operator, stalls=1)
    context.emit(EventKind.STALLED, order=address, enclave=order.enclave, cause=cause.name.lower().encode())
    return replace(order, state=OrderState.STALLED, cause=cause, stalled_ms=at_ms)


def give_notice(
    context: Context, address: bytes, terms: OrderTerms, order: Order, line_index: int, account: bytes
) -> Order:
    """Let an order that has started end when notice and least term of a line's plan are over; the earliest notice counts."""
    plan = plans_of(terms, order)[line_index]
    assert plan is not None, "an order that has started has all its plans"
    stop_at_ms = max(context.time_ms + plan.notice_ms, order.started_ms + plan.min_term_ms)
    if order.stop_at_ms and order.stop_at_ms <= stop_at_ms:
        return order
    context.emit(EventKind.NOTICE_GIVEN, order=address, account=account, stop_at_ms=stop_at_ms)
    return replace(order, stop_at_ms=stop_at_ms, stop_by=account)


def reason_at_end(context: Context, address: bytes, order: Order) -> CloseReason:
    """Return why an order closes when its ordered time is over: work that is paid by its result has failed without one."""
    run = context.ledger.find(ORDER_RUNS, address)
    is_by_result = compute_plan(order).unit in {PlanUnit.ONCE, PlanUnit.USE}
    has_output = run is not None and run.output is not None
    return CloseReason.FAILED if is_by_result and not has_output else CloseReason.DONE
