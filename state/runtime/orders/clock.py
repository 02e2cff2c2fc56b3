"""The dates of orders: what happens to an order when its time has come, by the wheel or because a message looks at it before.

A handler never sees an order whose date has passed: it is brought up to date first, so it does not matter whether the wheel or a
message of the same block comes first. Time that no receipt has proven is never paid here.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.deadlines import Deadline
from state.lists import ListKind, list_name, remove_member
from state.order_records import (
    ORDER_FUNDS,
    ORDER_GRANTS,
    ORDER_RUNS,
    ORDER_TERMS,
    ORDERS,
    USAGE_ROW_BYTES,
    CloseReason,
    Order,
    OrderState,
    OrderTerms,
    StallCause,
    line_key,
)
from state.receipts import EventKind
from state.resource_records import RESOURCES
from state.runtime.accounts.money import credit, credit_treasury
from state.runtime.context import Context
from state.runtime.orders.books import compute_plan, end_ms, next_date, patience_ms, put_order
from state.runtime.orders.settlement import note_service, penalty_for
from state.runtime.orders.standstill import standstill_end
from state.runtime.orders.steps import (
    NOT_ITS_MACHINES,
    SILENT,
    close_order,
    has_revoked_release,
    leave_machine,
    reason_at_end,
    stall_order,
)
from state.runtime.orders.table import Trigger

_PROVIDERS_DATES: Final = frozenset({Trigger.START_BY, Trigger.BEAT_DUE, Trigger.GRACE_OVER})
"""Dates before which somebody must act, or the provider pays."""


def bring_up_to_date(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """Return an order after all dates that have come; the caller writes it. A closed one stays until the wheel forgets it."""
    while order.state is not OrderState.CLOSED:
        date_ms, trigger = next_date(context.params, terms, order)
        if date_ms > context.time_ms:
            break
        moved_ms = standstill_end(context, date_ms) if trigger in _PROVIDERS_DATES else None
        if moved_ms is None:
            order = _pass_date(context, address, terms, order, date_ms, trigger)
        else:
            order = _begin_anew(context, address, terms, order, trigger, moved_ms)
    return order


def _begin_anew(
    context: Context, address: bytes, terms: OrderTerms, order: Order, trigger: Trigger, from_ms: int
) -> Order:
    """Return the order whose provider could do nothing before a date, for the chain stood still; its time begins anew."""
    match trigger:
        case Trigger.START_BY if terms.end_by_ms <= context.time_ms:
            return leave_machine(context, address, terms, order, CloseReason.START_TIMEOUT, trigger=trigger)
        case Trigger.START_BY:
            return replace(order, start_by_ms=min(terms.end_by_ms, from_ms + patience_ms(order)))
        case Trigger.BEAT_DUE:
            return stall_order(context, address, order, StallCause.BEAT_MISSED, from_ms, trigger=trigger)
        case _:
            return replace(order, stalled_ms=from_ms)


def finish_order(context: Context, deadline: Deadline) -> None:
    """Do what an order's date asks for, wait on if it moved, forget an order whose time on record is over."""
    address = deadline.subject
    order = context.ledger.find(ORDERS, address)
    if order is None or order.wheel_ms != deadline.due_ms:
        return
    terms = context.ledger.get(ORDER_TERMS, address)
    order = bring_up_to_date(context, address, terms, order)
    if order.state is OrderState.CLOSED and next_date(context.params, terms, order)[0] <= context.time_ms:
        _forget(context, address, terms, order)
        return
    put_order(context, address, terms, order)


def _pass_date(
    context: Context, address: bytes, terms: OrderTerms, order: Order, date_ms: int, trigger: Trigger
) -> Order:
    match trigger:
        case Trigger.ACCEPT_BY:
            return close_order(context, address, terms, order, CloseReason.ACCEPT_TIMEOUT, trigger=trigger)
        case Trigger.START_BY:
            return _miss_start(context, address, terms, order)
        case Trigger.BEAT_DUE:
            return stall_order(context, address, order, StallCause.BEAT_MISSED, date_ms, trigger=trigger)
        case Trigger.GRACE_OVER:
            return _miss_grace(context, address, terms, order)
        case Trigger.STOP_AT:
            return stop_order(context, address, terms, order)
        case _:
            return _end(context, address, terms, order)


def _miss_start(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """An order did not start: an owner's doing if a key is missing or a release is revoked, otherwise the provider's."""
    if has_revoked_release(context, terms):
        return close_order(context, address, terms, order, CloseReason.POLICY_REVOKED, trigger=Trigger.START_BY)
    if find_ungranted(context, address, terms, order) is not None:
        return close_order(context, address, terms, order, CloseReason.GRANT_REFUSED, trigger=Trigger.START_BY)
    penalty = 0
    if _have_outputs_stood(context, terms, order.start_by_ms - patience_ms(order)):
        note_service(context, order.operator, start_timeouts=1)
        penalty = penalty_for(terms, order, order.start_by_ms)
    return leave_machine(
        context, address, terms, order, CloseReason.START_TIMEOUT, trigger=Trigger.START_BY, penalty=penalty
    )


def may_leave(context: Context, address: bytes, terms: OrderTerms, order: Order) -> bool:
    """Tell whether a machine may leave an order that does not run for nothing: what it lacks is for others to bring.

    That is money, a release that was revoked, or, once it has waited for so long as it has to start, a key or a final output.
    """
    if has_revoked_release(context, terms):
        return True
    if order.state is not OrderState.ACCEPTED:
        return order.cause in NOT_ITS_MACHINES
    since_ms = context.time_ms - patience_ms(order)
    if order.accepted_ms > since_ms:
        return False
    is_ungranted = find_ungranted(context, address, terms, order) is not None
    return is_ungranted or not _have_outputs_stood(context, terms, since_ms)


def _have_outputs_stood(context: Context, terms: OrderTerms, since_ms: int) -> bool:
    """Tell whether the outputs that an order waits for are on record and have been final since a time."""
    others = [context.ledger.find(ORDERS, address) for address in terms.after]
    return all(
        other is not None and other.state is OrderState.CLOSED and other.closed_ms <= since_ms for other in others
    )


def _miss_grace(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """A stalled order was not resumed in time; whose doing the stall was says how it goes on."""
    if order.cause is StallCause.OUT_OF_FUNDS:
        reason = CloseReason.OUT_OF_FUNDS
        return close_order(context, address, terms, order, reason, trigger=Trigger.GRACE_OVER)
    if order.cause is StallCause.RELEASE_REVOKED or has_revoked_release(context, terms):
        reason = CloseReason.POLICY_REVOKED
        return close_order(context, address, terms, order, reason, trigger=Trigger.GRACE_OVER)
    return leave_at_fault(context, address, terms, order, Trigger.GRACE_OVER)


def leave_at_fault(
    context: Context, address: bytes, terms: OrderTerms, order: Order, trigger: Trigger, closed_by: bytes = b""
) -> Order:
    """A provider gave an order up or left it stalled: it pays its penalty, and the order goes on elsewhere if it may."""
    note_service(context, order.operator, provider_faults=1)
    penalty, reason = penalty_for(terms, order, order.accrued_ms or context.time_ms), CloseReason.PROVIDER_FAULT
    return leave_machine(context, address, terms, order, reason, trigger=trigger, closed_by=closed_by, penalty=penalty)


def _end(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """Ordered time is over. Who has been silent for longer than a beat by then pays for what was not served.

    Silence begins a beat before the stall, or after a standstill of the chain.
    """
    trigger, beat_every_ms = Trigger.END_BY, compute_plan(order).service_level.beat_every_ms
    is_silent = order.cause in SILENT
    from_ms = max(order.accrued_ms, order.stalled_ms - beat_every_ms)
    is_late = end_ms(terms, order) - from_ms > beat_every_ms
    if is_silent and is_late and not has_revoked_release(context, terms):
        note_service(context, order.operator, provider_faults=1)
        penalty = penalty_for(terms, order, from_ms)
        reason = CloseReason.PROVIDER_FAULT
        return close_order(context, address, terms, order, reason, trigger=trigger, penalty=penalty)
    return close_order(context, address, terms, order, reason_at_end(context, address, order), trigger=trigger)


def stop_order(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """A notice is over: a provider's sends the order to another machine, an owner's ends it.

    A provider that has fallen silent meanwhile is no better off than without a notice.
    """
    trigger, who = Trigger.STOP_AT, order.stop_by
    if who == order.operator:
        could_speak = standstill_end(context, order.stop_at_ms) is None
        is_silent = could_speak and order.cause in SILENT
        if is_silent and not has_revoked_release(context, terms):
            return leave_at_fault(context, address, terms, order, trigger)
        return leave_machine(context, address, terms, order, CloseReason.CANCELLED, trigger=trigger, closed_by=who)
    return close_order(context, address, terms, order, CloseReason.POLICY_REVOKED, trigger=trigger, closed_by=who)


def find_ungranted(context: Context, address: bytes, terms: OrderTerms, order: Order) -> int | None:
    """Return the first line whose key was not released to the order's enclave in its resource's present epoch, or None."""
    for index, line in enumerate(terms.lines):
        if not line.is_sealed:
            continue
        grant = context.ledger.find(ORDER_GRANTS, line_key(address, index))
        epoch = context.ledger.get(RESOURCES, line.resource).grant_epoch
        if grant is None or (grant.enclave, grant.grant_epoch) != (order.enclave, epoch):
            return index
    return None


def _forget(context: Context, address: bytes, terms: OrderTerms, order: Order) -> None:
    """Take a closed order off the record. Its customer gets the bond back; what rows of use take for ever is the treasury's."""
    ledger = context.ledger
    run = ledger.find(ORDER_RUNS, address)
    row_count = 0 if run is None else run.start_count * len(terms.lines)
    kept = min(order.bond_locked, row_count * USAGE_ROW_BYTES * context.params.market.storage_bond_per_byte)
    credit(context, terms.customer, order.bond_locked - kept)
    credit_treasury(context, kept)
    for index, line in enumerate(terms.lines):
        if line.is_sealed:
            ledger.delete(ORDER_GRANTS, line_key(address, index))
    ledger.delete(ORDERS, address)
    ledger.delete(ORDER_TERMS, address)
    ledger.delete(ORDER_FUNDS, address)
    ledger.delete(ORDER_RUNS, address)
    remove_member(ledger, list_name(ListKind.ORDERS), address)
    remove_member(ledger, list_name(ListKind.CUSTOMER, terms.customer), address)
    if order.operator:
        remove_member(ledger, list_name(ListKind.SERVED, order.operator), address)
    context.emit(EventKind.ORDER_FORGOTTEN, order=address, customer=terms.customer)
