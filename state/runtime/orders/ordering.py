"""order and fund: work is ordered, its money goes into escrow, and anybody may add to it.

An order pins everything: releases, plans, prices. What changes in the market afterwards changes nothing in it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from state.codec import INTEGER_MAX, encode
from state.errors import TransactionRejected
from state.lists import ListKind, add_member, list_name
from state.offers import NO_CAPACITY, Plan, ResourceKind
from state.order_messages import Fund, PlaceOrder, order_address
from state.order_records import (
    ORDER_FUNDS,
    ORDER_RUNS,
    ORDER_TERMS,
    USAGE_ROW_BYTES,
    Contribution,
    Order,
    OrderFunds,
    OrderState,
    OrderTerms,
    StallCause,
)
from state.order_terms import CONTRIBUTORS_MAX, INPUTS_MAX, AgreedLine, LineRole, OrderLine
from state.params import DURATION_MS_MAX
from state.policies import is_well_formed
from state.receipts import EventKind
from state.records import ONLY
from state.resource_records import (
    PLANS,
    RELEASES,
    RESOURCES,
    Release,
    ReleaseStatus,
    Resource,
    ResourceStatus,
    numbered_key,
)
from state.runtime.accounts.money import debit
from state.runtime.capacities import check_capacity_fits, scale_capacity, sum_capacity
from state.runtime.context import Context
from state.runtime.order_queue import orders_of_resource
from state.runtime.orders.books import find_order, put_order
from state.runtime.orders.clock import bring_up_to_date
from state.runtime.orders.policies import check_may_be_ordered
from state.runtime.orders.settlement import contributed, is_funded, least_cost
from state.runtime.orders.steps import OPEN_ORDERS, reserve_stock
from state.runtime.orders.table import Trigger, check_allowed
from state.runtime.reasons import TransactionReason
from state.trust_records import BRAKES, BrakeScope

NO_HEAD: Final = bytes(32)
"""Head of an order without receipts."""
SOFTWARE_LINES_MAX: Final = 4
"""Loader, runtime, program and one more. Each policy of an order may look up endorsements of all of them."""
STORAGE_LINES_MAX: Final = 4
"""A start is charged by its inputs, of which these have none."""
ORDER_OVERHEAD_BYTES: Final = 4_200
"""What an order keeps in the state beside its terms, at most: progress, sixteen contributions, what its receipts say with addresses
of the longest letters, places in five lists, three deadlines on slots of their own."""
LINE_OVERHEAD_BYTES: Final = 320
"""Likewise for each line: its numbers, its grant, its place in the list of its resource."""

_KINDS: Final = {
    LineRole.DATA: ResourceKind.DATA,
    LineRole.SOFTWARE: ResourceKind.SOFTWARE,
    LineRole.COMPUTE: ResourceKind.HARDWARE,
    LineRole.STORAGE: ResourceKind.HARDWARE,
}


def apply_order(context: Context, sender: bytes, message: PlaceOrder) -> None:
    """Order work and put its money into escrow.

    Raises:
        TransactionRejected: ORDERS_BRAKED, LINES_MALFORMED, UNEXPECTED_FIELD, POLICY_MALFORMED, TERMS_MALFORMED, AFTER_MALFORMED,
            NO_ORDER, AFTER_PENDING, NO_RESOURCE, WRONG_RESOURCE_KIND, RESOURCE_NOT_ACTIVE, NO_RELEASE, NOT_CURRENT, NO_PLAN,
            PRICE_TOO_HIGH, STOCK_EXHAUSTED, CAPACITY_TOO_LOW, POLICY_DENIED, DEPOSIT_TOO_LOW, BALANCE_TOO_LOW.
    """
    check_brakes(context)
    check_shape(context, message)
    check_after(context, sender, message.after)
    lines = tuple(agree(context, message, line) for line in message.lines)
    check_requirements(context, message, lines)
    address = order_address(context.chain_id, sender, context.nonce, context.message_index)
    terms = build_terms(message, lines, sender, context.time_ms, context.height)
    order = build_order(context, message, terms)
    check_may_be_ordered(context, terms, order)
    check_deposit(message, lines)
    debit(context, sender, message.deposit + order.bond_locked)
    _record(context, address, sender, terms, order)
    context.emit(
        EventKind.ORDERED,
        order=address,
        customer=sender,
        deposit=message.deposit,
        accept_by_ms=message.accept_by_ms,
    )


def check_brakes(context: Context) -> None:
    """Check that no emergency brake holds new orders.

    Raises:
        TransactionRejected: ORDERS_BRAKED.
    """
    for brake in context.ledger.get(BRAKES, ONLY).brakes:
        if brake.scope is BrakeScope.ORDERS and brake.until_ms > context.time_ms:
            raise TransactionRejected(TransactionReason.ORDERS_BRAKED, context.time_ms, brake.until_ms)


def check_shape(context: Context, message: PlaceOrder) -> None:
    """Check what a message says by itself: roles and fields of lines, dates, constraints.

    Raises:
        TransactionRejected: LINES_MALFORMED, UNEXPECTED_FIELD, POLICY_MALFORMED, TERMS_MALFORMED.
    """
    roles = [line.role for line in message.lines]
    if roles[0] is not LineRole.COMPUTE or roles.count(LineRole.COMPUTE) != 1:
        raise TransactionRejected(TransactionReason.LINES_MALFORMED, " ".join(role.name.lower() for role in roles))
    for role, count_max in ((LineRole.SOFTWARE, SOFTWARE_LINES_MAX), (LineRole.STORAGE, STORAGE_LINES_MAX)):
        if roles.count(role) > count_max:
            seen = f"{roles.count(role)} {role.name.lower()}"
            raise TransactionRejected(TransactionReason.LINES_MALFORMED, seen, count_max)
    for index, line in enumerate(message.lines):
        has_release = line.role in {LineRole.DATA, LineRole.SOFTWARE}
        is_any = not line.resource and line.role is LineRole.COMPUTE and line.plan == 0
        if (line.release and not has_release) or not (is_any or len(line.resource) == 21):
            raise TransactionRejected(TransactionReason.LINES_MALFORMED, f"line {index}")
    input_count = roles.count(LineRole.DATA) + roles.count(LineRole.SOFTWARE) + len(message.after)
    if input_count > INPUTS_MAX:
        raise TransactionRejected(TransactionReason.LINES_MALFORMED, f"{input_count} inputs", INPUTS_MAX)
    named = [(line.role, line.resource, line.release, line.plan) for line in message.lines]
    if len(set(named)) != len(named):
        raise TransactionRejected(TransactionReason.LINES_MALFORMED, "a resource twice under one plan")
    if bool(message.lines[0].resource) is (message.machine is not None):
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "machine", "exactly where no hardware is named")
    if not is_well_formed(message.constraints):
        raise TransactionRejected(TransactionReason.POLICY_MALFORMED, len(message.constraints))
    dates = (context.time_ms, message.accept_by_ms, message.start_by_ms, message.end_by_ms)
    if dates[0] == dates[1] or any(left > right for left, right in pairwise(dates)):
        raise TransactionRejected(TransactionReason.TERMS_MALFORMED, " ".join(map(str, dates[1:])), dates[0])
    if message.end_by_ms > context.time_ms + DURATION_MS_MAX:
        bound = context.time_ms + DURATION_MS_MAX
        raise TransactionRejected(TransactionReason.TERMS_MALFORMED, message.end_by_ms, bound)


def check_after(context: Context, customer: bytes, after: tuple[bytes, ...]) -> None:
    """Check that the orders to wait for are the customer's, and have given their output or still may.

    Raises:
        TransactionRejected: AFTER_MALFORMED, NO_ORDER, AFTER_PENDING.
    """
    if any(left >= right for left, right in pairwise(after)):
        raise TransactionRejected(TransactionReason.AFTER_MALFORMED, "not sorted, each once")
    for address in after:
        terms, order = find_order(context.ledger, address)
        if terms.customer != customer:
            raise TransactionRejected(TransactionReason.AFTER_MALFORMED, terms.customer.hex(), customer.hex())
        run = context.ledger.find(ORDER_RUNS, address)
        if order.state is OrderState.CLOSED and (run is None or run.output is None):
            raise TransactionRejected(TransactionReason.AFTER_PENDING, address.hex(), "an order that may give output")


def agree(context: Context, message: PlaceOrder, line: OrderLine) -> AgreedLine:
    """Return a line with its plan and content pinned, and take its units from the plan's stock.

    Raises:
        TransactionRejected: NO_RESOURCE, WRONG_RESOURCE_KIND, RESOURCE_NOT_ACTIVE, NO_PLAN, PRICE_TOO_HIGH, TERMS_MALFORMED,
            STOCK_EXHAUSTED, CAPACITY_TOO_LOW, NO_RELEASE, NOT_CURRENT.
    """
    agreed = AgreedLine(
        role=line.role,
        resource=line.resource,
        release=line.release,
        quantity=line.quantity,
        price_max=line.price_max,
        plan=None,
        content_root=b"",
        is_sealed=False,
    )
    if not line.resource:
        return agreed
    resource = find_usable(context, line.resource, _KINDS[line.role])
    plan = find_open_plan(context, line.resource, line.plan, line.price_max)
    if plan.min_term_ms > message.end_by_ms - context.time_ms:
        seen, bound = message.end_by_ms, context.time_ms + plan.min_term_ms
        raise TransactionRejected(TransactionReason.TERMS_MALFORMED, seen, bound)
    reserve_stock(context, line.resource, line.plan, line.quantity)
    if resource.capacity is not None:
        check_capacity_fits(scale_capacity(plan.capacity, line.quantity), resource.capacity)
        return replace(agreed, plan=plan)
    release = _find_current(context, line)
    is_sealed = bool(release.body.sealed_root or release.body.key_commit)
    return replace(agreed, plan=plan, content_root=release.body.content_root, is_sealed=is_sealed)


def find_usable(context: Context, address: bytes, kind: ResourceKind) -> Resource:
    """Return a resource that takes orders.

    Raises:
        TransactionRejected: NO_RESOURCE, WRONG_RESOURCE_KIND, RESOURCE_NOT_ACTIVE.
    """
    resource = context.ledger.find(RESOURCES, address)
    if resource is None:
        raise TransactionRejected(TransactionReason.NO_RESOURCE, address.hex())
    if resource.kind is not kind:
        seen, bound = resource.kind.name.lower(), kind.name.lower()
        raise TransactionRejected(TransactionReason.WRONG_RESOURCE_KIND, seen, bound)
    if resource.status is not ResourceStatus.ACTIVE or resource.frozen_ms:
        raise TransactionRejected(TransactionReason.RESOURCE_NOT_ACTIVE, resource.status.name.lower(), "active")
    if resource.drain_at_ms and resource.drain_at_ms <= context.time_ms:
        raise TransactionRejected(TransactionReason.RESOURCE_NOT_ACTIVE, f"drains since {resource.drain_at_ms}")
    return resource


def find_open_plan(context: Context, resource: bytes, number: int, price_max: int) -> Plan:
    """Return a plan that takes orders at this price.

    Raises:
        TransactionRejected: NO_PLAN, PRICE_TOO_HIGH.
    """
    record = context.ledger.find(PLANS, numbered_key(resource, number))
    if record is None or not record.is_open:
        raise TransactionRejected(TransactionReason.NO_PLAN, number)
    if record.plan.price > price_max:
        raise TransactionRejected(TransactionReason.PRICE_TOO_HIGH, record.plan.price, price_max)
    return record.plan


def _find_current(context: Context, line: OrderLine) -> Release:
    release = context.ledger.find(RELEASES, numbered_key(line.resource, line.release))
    if release is None:
        raise TransactionRejected(TransactionReason.NO_RELEASE, line.release)
    if release.status is not ReleaseStatus.CURRENT:
        raise TransactionRejected(TransactionReason.NOT_CURRENT, release.status.name.lower(), "current")
    return release


def check_requirements(context: Context, message: PlaceOrder, lines: tuple[AgreedLine, ...]) -> None:
    """Check that the machine's slice, named or asked for, has what all software of the order needs together.

    Raises:
        TransactionRejected: CAPACITY_TOO_LOW.
    """
    needed = NO_CAPACITY
    for line in lines:
        if line.role is LineRole.SOFTWARE:
            release = context.ledger.get(RELEASES, numbered_key(line.resource, line.release))
            needed = sum_capacity(needed, release.body.requirements)
    plan, machine = lines[0].plan, message.machine
    offered = plan.capacity if plan is not None else machine.capacity if machine is not None else NO_CAPACITY
    check_capacity_fits(needed, scale_capacity(offered, lines[0].quantity))


def check_deposit(message: PlaceOrder, lines: tuple[AgreedLine, ...]) -> int:
    """Check that the deposit covers what starts cost and least terms, and return that sum.

    Raises:
        TransactionRejected: DEPOSIT_TOO_LOW.
    """
    least = sum(least_cost(line.plan, line.quantity) for line in lines if line.plan is not None)
    if message.deposit < least:
        raise TransactionRejected(TransactionReason.DEPOSIT_TOO_LOW, message.deposit, least)
    return least


def build_terms(
    message: PlaceOrder, lines: tuple[AgreedLine, ...], customer: bytes, time_ms: int, height: int
) -> OrderTerms:
    """Return the terms of an order that was checked, as of a block."""
    return OrderTerms(
        customer=customer,
        lines=lines,
        workload=message.workload,
        result_key=message.result_key,
        output_to=message.output_to,
        purpose=message.purpose,
        constraints=message.constraints,
        level_min=message.level_min,
        machine=message.machine,
        accept_window_ms=message.accept_by_ms - time_ms,
        start_window_ms=message.start_by_ms - message.accept_by_ms,
        end_by_ms=message.end_by_ms,
        attempts=message.attempts,
        after=message.after,
        created_ms=time_ms,
        created_height=height,
    )


def stored_bytes(terms: OrderTerms) -> int:
    """Return how many bytes an order may take in the state, with keys, whatever becomes of it; its bond pays for them."""
    line_bytes = LINE_OVERHEAD_BYTES + USAGE_ROW_BYTES * terms.attempts
    return len(encode(terms)) + ORDER_OVERHEAD_BYTES + line_bytes * len(terms.lines)


def build_order(context: Context, message: PlaceOrder, terms: OrderTerms) -> Order:
    """Return an order as it begins, with the bond for its bytes in the state."""
    nothing = (0,) * len(terms.lines)
    return Order(
        state=OrderState.OPEN,
        reason=None,
        cause=None,
        held=message.deposit,
        earned=nothing,
        settled=nothing,
        bond_locked=stored_bytes(terms) * context.params.market.storage_bond_per_byte,
        attempts_left=message.attempts - 1,
        enclave=b"",
        operator=b"",
        hardware=b"",
        plan=None,
        penalty_locked=0,
        promised=(),
        accept_by_ms=message.accept_by_ms,
        accepted_ms=0,
        start_by_ms=message.start_by_ms,
        started_ms=0,
        accrued_ms=0,
        paid_time_ms=0,
        earned_before=nothing,
        proven_ms=0,
        settled_ms=0,
        stalled_ms=0,
        stop_at_ms=0,
        stop_by=b"",
        closed_ms=0,
        closed_by=b"",
        receipt_count=0,
        head=NO_HEAD,
        wheel_ms=0,
    )


def _record(context: Context, address: bytes, customer: bytes, terms: OrderTerms, order: Order) -> None:
    """Write a new order and its places in lists."""
    ledger = context.ledger
    ledger.put(ORDER_TERMS, address, terms)
    contribution = Contribution(account=customer, amount=order.held)
    ledger.put(ORDER_FUNDS, address, OrderFunds(contributions=(contribution,)))
    put_order(context, address, terms, order)
    add_member(ledger, list_name(ListKind.ORDERS), address)
    add_member(ledger, OPEN_ORDERS, address)
    add_member(ledger, list_name(ListKind.CUSTOMER, customer), address)
    for line in terms.lines:
        if line.resource:
            add_member(ledger, orders_of_resource(line.resource), address)


def apply_fund(context: Context, sender: bytes, message: Fund) -> None:
    """Add money to an order's escrow.

    Raises:
        TransactionRejected: ZERO_AMOUNT, NO_ORDER, WRONG_STATE, TOO_MANY_CONTRIBUTIONS, BALANCE_TOO_LOW.
    """
    if message.amount == 0:
        raise TransactionRejected(TransactionReason.ZERO_AMOUNT, 0, 1)
    address = message.order
    terms, order = find_order(context.ledger, address)
    order = bring_up_to_date(context, address, terms, order)
    check_allowed(order.state, Trigger.FUND)
    total = contributed(order) + message.amount
    if total > INTEGER_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_CONTRIBUTIONS, total, INTEGER_MAX)
    given = list(context.ledger.get(ORDER_FUNDS, address).contributions)
    index = _find_contribution(given, sender)
    if index is not None:
        given[index] = Contribution(account=sender, amount=given[index].amount + message.amount)
    elif len(given) < CONTRIBUTORS_MAX:
        given.append(Contribution(account=sender, amount=message.amount))
    else:
        raise TransactionRejected(TransactionReason.TOO_MANY_CONTRIBUTIONS, len(given) + 1, CONTRIBUTORS_MAX)
    debit(context, sender, message.amount)
    context.ledger.put(ORDER_FUNDS, address, OrderFunds(contributions=tuple(given)))
    order = replace(order, held=order.held + message.amount)
    if order.cause is StallCause.OUT_OF_FUNDS and is_funded(terms, order):
        # Funded again, it waits for its enclave's next beat, within the plan's grace from now.
        order = replace(order, cause=StallCause.FUNDED_AGAIN, stalled_ms=context.time_ms)
    put_order(context, address, terms, order)
    context.emit(EventKind.FUNDED, order=address, account=sender, amount=message.amount, held=order.held)


def _find_contribution(given: list[Contribution], account: bytes) -> int | None:
    """Return which contribution more money of an account adds to; None for a further one.

    The last one if it is the account's. Once there is no place for more, its latest: so strangers who fill all places cannot keep
    the customer from paying, and whoever adds to an early place only waits longer for a refund.
    """
    last = len(given) - 1
    places = range(last, -1, -1) if len(given) == CONTRIBUTORS_MAX else (last,)
    return next((index for index in places if given[index].account == account), None)
