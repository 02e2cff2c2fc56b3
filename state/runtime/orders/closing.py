"""close: an order ends at the will of one of its parties, or gets its customer's mark.

What it costs follows from the order's state and the sender's role: runtime specification, d.3.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.order_messages import Close
from state.order_records import ORDER_RUNS, CloseReason, Order, OrderState, OrderTerms
from state.order_terms import Mark
from state.receipts import EventKind
from state.resource_records import RESOURCES
from state.runtime.context import Context
from state.runtime.orders.books import find_order, put_order
from state.runtime.orders.clock import bring_up_to_date, leave_at_fault, may_leave
from state.runtime.orders.settlement import note_service
from state.runtime.orders.steps import close_order, give_notice, leave_machine
from state.runtime.orders.table import Trigger, check_allowed
from state.runtime.reasons import TransactionReason


def apply_close(context: Context, sender: bytes, message: Close) -> None:
    """End an order as one of its parties, or mark one that is closed.

    Raises:
        TransactionRejected: NO_ORDER, NOT_PARTY, WRONG_STATE, UNEXPECTED_FIELD, ALREADY_MARKED.
    """
    terms, order = find_order(context.ledger, message.order)
    order = bring_up_to_date(context, message.order, terms, order)
    if message.mark is not Mark.NONE or order.state is OrderState.CLOSED:
        _mark(context, sender, message, terms, order)
        # A date that ends it may have come in this very message.
        put_order(context, message.order, terms, order)
        return
    address = message.order
    trigger, line_index = _role(context, sender, terms, order)
    check_allowed(order.state, trigger)
    match trigger:
        case Trigger.CLOSE_BY_CUSTOMER:
            order = _close_by_customer(context, address, terms, order)
        case Trigger.CLOSE_BY_PROVIDER:
            order = _close_by_provider(context, address, terms, order)
        case _:
            order = _close_by_owner(context, sender, address, terms, order, line_index)
    put_order(context, address, terms, order)


def _role(context: Context, sender: bytes, terms: OrderTerms, order: Order) -> tuple[Trigger, int]:
    """Return in which role a sender ends an order, and the line that makes it so. The customer's role comes first.

    Who owns the machine of an accepted order ends it as its provider: otherwise a provider that passed its machine on to a friend
    could leave without a penalty.

    Raises:
        TransactionRejected: NOT_PARTY.
    """
    if sender == terms.customer:
        return Trigger.CLOSE_BY_CUSTOMER, 0
    machine_owner = context.ledger.get(RESOURCES, order.hardware).owner if order.hardware else b""
    if sender in {order.operator, machine_owner}:
        return Trigger.CLOSE_BY_PROVIDER, 0
    for index, line in enumerate(terms.lines):
        if line.resource and context.ledger.get(RESOURCES, line.resource).owner == sender:
            return Trigger.CLOSE_BY_OWNER, index
    raise TransactionRejected(TransactionReason.NOT_PARTY, sender.hex())


def _close_by_customer(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """Whatever runs gets the rest of its least term and an output's price; what is stalled by its machine, what it has earned."""
    return close_order(
        context,
        address,
        terms,
        order,
        CloseReason.CANCELLED,
        trigger=Trigger.CLOSE_BY_CUSTOMER,
        closed_by=terms.customer,
    )


def _close_by_provider(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """A running order gets the plan's notice; a provider who gives up otherwise is at fault, unless somebody else is."""
    if order.state is OrderState.RUNNING:
        return give_notice(context, address, terms, order, 0, order.operator)
    trigger, who = Trigger.CLOSE_BY_PROVIDER, order.operator
    if may_leave(context, address, terms, order):
        return leave_machine(context, address, terms, order, CloseReason.CANCELLED, trigger=trigger, closed_by=who)
    return leave_at_fault(context, address, terms, order, trigger, closed_by=who)


def _close_by_owner(
    context: Context, sender: bytes, address: bytes, terms: OrderTerms, order: Order, line_index: int
) -> Order:
    """What runs gets the notice of the owner's plan; otherwise the owner withdraws at once, and nobody pays for it."""
    if order.state is OrderState.RUNNING:
        return give_notice(context, address, terms, order, line_index, sender)
    return close_order(
        context,
        address,
        terms,
        order,
        CloseReason.POLICY_REVOKED,
        trigger=Trigger.CLOSE_BY_OWNER,
        closed_by=sender,
    )


def _mark(context: Context, sender: bytes, message: Close, terms: OrderTerms, order: Order) -> None:
    """Put the customer's mark on record; a provider cannot mark itself."""
    check_allowed(order.state, Trigger.MARK)
    if sender != terms.customer or sender == order.operator:
        raise TransactionRejected(TransactionReason.NOT_PARTY, sender.hex(), terms.customer.hex())
    if message.mark is Mark.NONE:
        raise TransactionRejected(TransactionReason.WRONG_STATE, "closed", "a mark")
    run = context.ledger.find(ORDER_RUNS, message.order)
    if run is None or not order.started_ms:
        raise TransactionRejected(TransactionReason.WRONG_STATE, "never started", "an order that ran")
    if run.mark is not Mark.NONE:
        raise TransactionRejected(TransactionReason.ALREADY_MARKED, run.mark.name.lower())
    context.ledger.put(ORDER_RUNS, message.order, replace(run, mark=message.mark))
    is_good = message.mark is Mark.GOOD
    note_service(context, order.operator, **({"marks_good": 1} if is_good else {"marks_bad": 1}))
    context.emit(
        EventKind.MARKED, order=message.order, operator=order.operator, mark=message.mark.name.lower().encode()
    )
