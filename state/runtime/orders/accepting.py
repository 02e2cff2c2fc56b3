"""accept: a provider takes an order for one of its enclaves, and its bond stands for it.

There is no auction and no deposit for asking: the order has named its price, and who accepts first has it.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.lists import add_member, count_members
from state.offers import Plan, PlanUnit, ResourceKind
from state.order_messages import Accept
from state.order_records import ORDER_RUNS, Order, OrderState, OrderTerms
from state.order_terms import LineRole, OutputOfOrder
from state.receipts import EventKind
from state.records import HOLDINGS, NEW_HOLDINGS
from state.runtime.capacities import check_capacity_fits
from state.runtime.context import Context
from state.runtime.order_queue import orders_of_enclave, orders_of_resource
from state.runtime.orders.books import START_TIME_MIN_MS, find_order, plans_of, put_order, with_time_to_start
from state.runtime.orders.clock import bring_up_to_date
from state.runtime.orders.fitness import runs_software_of
from state.runtime.orders.ordering import find_open_plan, find_usable
from state.runtime.orders.policies import check_may_run
from state.runtime.orders.settlement import free_funds, least_cost, lock_bond, note_service, penalty_for
from state.runtime.orders.steps import find_withdrawn, reserve_machine, reserve_stock
from state.runtime.orders.table import Trigger, check_allowed, check_leads_to
from state.runtime.reasons import TransactionReason
from state.runtime.trust.enclaves import judge_of, reappraise
from state.runtime.trust.judgement import GOOD_STATES
from state.trust_records import ENCLAVES, Enclave

ENCLAVE_ORDERS_MAX: Final = 10_000
"""Orders that one enclave may run at a time; its fall has all of them reviewed."""


def apply_accept(context: Context, sender: bytes, message: Accept) -> None:
    """Bind an open order to an enclave of the sender's.

    Raises:
        TransactionRejected: NO_ORDER, WRONG_STATE, AFTER_PENDING, NO_ENCLAVE, NOT_OWNER, ENCLAVE_NOT_TRUSTED, WRONG_PROGRAM,
            TOO_MANY_ORDERS, WRONG_HARDWARE, UNEXPECTED_FIELD, NO_RESOURCE, WRONG_RESOURCE_KIND, RESOURCE_NOT_ACTIVE, NO_PLAN,
            PRICE_TOO_HIGH, PLAN_TOO_WEAK, STOCK_EXHAUSTED, CAPACITY_TOO_LOW, DEPOSIT_TOO_LOW, POLICY_DENIED, PENALTY_TOO_HIGH,
            PROVIDER_BOND_TOO_LOW.
    """
    address = message.order
    terms, order = find_open(context, address)
    find_outputs(context, terms)
    enclave = find_able(context, sender, message.enclave, terms)
    check_leads_to(order.state, Trigger.ACCEPT, OrderState.ACCEPTED)
    order = replace(
        order,
        state=OrderState.ACCEPTED,
        enclave=message.enclave,
        operator=sender,
        hardware=enclave.hardware,
    )
    order = choose_plan(context, message, terms, order)
    check_funds(terms, order)
    check_may_run(context, terms, order)
    reserve_machine(context, address, terms, order)
    if not terms.lines[0].resource:
        add_member(context.ledger, orders_of_resource(enclave.hardware), address)
    penalty = agree_on_penalty(context, sender, message, terms, order)
    if penalty:
        lock_bond(context, sender, penalty)
    order = replace(order, penalty_locked=penalty, accepted_ms=context.time_ms)
    order = with_time_to_start(context, terms, order, START_TIME_MIN_MS)
    note_service(context, sender, orders_accepted=1)
    put_order(context, address, terms, order)
    context.emit(
        EventKind.ACCEPTED,
        order=address,
        enclave=message.enclave,
        operator=sender,
        hardware=enclave.hardware,
        penalty=penalty,
        start_by_ms=order.start_by_ms,
    )


def find_open(context: Context, address: bytes) -> tuple[OrderTerms, Order]:
    """Return an order that waits for a provider, of which nothing was withdrawn.

    Raises:
        TransactionRejected: NO_ORDER, WRONG_STATE, RESOURCE_NOT_ACTIVE.
    """
    terms, order = find_order(context.ledger, address)
    order = bring_up_to_date(context, address, terms, order)
    check_allowed(order.state, Trigger.ACCEPT)
    if find_withdrawn(context, terms, order) is not None:
        raise TransactionRejected(TransactionReason.RESOURCE_NOT_ACTIVE, "withdrawn", "active")
    return terms, order


def find_outputs(context: Context, terms: OrderTerms) -> list[OutputOfOrder]:
    """Return the outputs of the orders to wait for, all of which must have given theirs.

    Raises:
        TransactionRejected: AFTER_PENDING.
    """
    outputs: list[OutputOfOrder] = []
    for address in terms.after:
        run = context.ledger.find(ORDER_RUNS, address)
        if run is None or run.output is None:
            raise TransactionRejected(TransactionReason.AFTER_PENDING, address.hex())
        outputs.append(run.output)
    return outputs


def find_able(context: Context, sender: bytes, address: bytes, terms: OrderTerms) -> Enclave:
    """Return the sender's enclave, judged by the collateral of this block, if it may run the order.

    Raises:
        TransactionRejected: NO_ENCLAVE, ENCLAVE_NOT_TRUSTED, NOT_OWNER, WRONG_PROGRAM, TOO_MANY_ORDERS.
    """
    enclave = find_trusted(context, address)
    if enclave.operator != sender:
        raise TransactionRejected(TransactionReason.NOT_OWNER, sender.hex(), enclave.operator.hex())
    check_runs(terms, enclave)
    count = count_members(context.ledger, orders_of_enclave(address))
    if count >= ENCLAVE_ORDERS_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_ORDERS, count, ENCLAVE_ORDERS_MAX)
    return enclave


def check_runs(terms: OrderTerms, enclave: Enclave) -> None:
    """Check that a trusted enclave has the level that an order asks for, and runs its software.

    Raises:
        TransactionRejected: ENCLAVE_NOT_TRUSTED, WRONG_PROGRAM.
    """
    if enclave.level < terms.level_min:
        raise TransactionRejected(TransactionReason.ENCLAVE_NOT_TRUSTED, f"level {enclave.level}", terms.level_min)
    if not runs_software_of(terms, enclave):
        seen = f"{enclave.image.hex()} release {enclave.release}"
        raise TransactionRejected(TransactionReason.WRONG_PROGRAM, seen, "the order's software")


def find_trusted(context: Context, address: bytes) -> Enclave:
    """Return an enclave that is trusted or in grace by the collateral of this block.

    Raises:
        TransactionRejected: NO_ENCLAVE, ENCLAVE_NOT_TRUSTED.
    """
    if context.ledger.find(ENCLAVES, address) is None:
        raise TransactionRejected(TransactionReason.NO_ENCLAVE, address.hex())
    reappraise(context, address, judge_of(context))
    enclave = context.ledger.get(ENCLAVES, address)
    if enclave.state not in GOOD_STATES:
        seen = f"{enclave.state.name.lower()} {enclave.reason}".strip()
        raise TransactionRejected(TransactionReason.ENCLAVE_NOT_TRUSTED, seen, "trusted or grace")
    return enclave


def choose_plan(context: Context, message: Accept, terms: OrderTerms, order: Order) -> Order:
    """Return the order with the plan of its machine: the one ordered, or one of the machine's own within the order's bounds.

    Raises:
        TransactionRejected: WRONG_HARDWARE, UNEXPECTED_FIELD, NO_RESOURCE, WRONG_RESOURCE_KIND, RESOURCE_NOT_ACTIVE, NO_PLAN,
            PRICE_TOO_HIGH, PLAN_TOO_WEAK, STOCK_EXHAUSTED, CAPACITY_TOO_LOW.
    """
    line = terms.lines[0]
    if line.resource:
        if order.hardware != line.resource:
            seen, bound = order.hardware.hex(), line.resource.hex()
            raise TransactionRejected(TransactionReason.WRONG_HARDWARE, seen, bound)
        if message.plan:
            raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, message.plan, 0)
        return replace(order, plan=line.plan)
    find_usable(context, order.hardware, ResourceKind.HARDWARE)
    plan = find_open_plan(context, order.hardware, message.plan, line.price_max)
    if plan.unit is not PlanUnit.SECOND:
        raise TransactionRejected(TransactionReason.NO_PLAN, plan.unit.name.lower(), "paid by the second")
    check_promises(terms, plan)
    reserve_stock(context, order.hardware, message.plan, line.quantity)
    return replace(order, plan=plan)


def check_promises(terms: OrderTerms, plan: Plan) -> None:
    """Check that a machine's own plan offers what the order asks of any.

    Raises:
        TransactionRejected: CAPACITY_TOO_LOW, PLAN_TOO_WEAK.
    """
    machine = terms.machine
    assert machine is not None, "an order names its machine or says what any must offer"
    check_capacity_fits(machine.capacity, plan.capacity)
    service = plan.service_level
    if not 0 < service.beat_every_ms <= machine.beat_every_ms_max:
        raise _too_weak("beat_every_ms", service.beat_every_ms, machine.beat_every_ms_max)
    if service.grace_ms > machine.grace_ms_max:
        raise _too_weak("grace_ms", service.grace_ms, machine.grace_ms_max)
    if service.penalty_bp < machine.penalty_bp_min:
        raise _too_weak("penalty_bp", service.penalty_bp, machine.penalty_bp_min)
    if plan.notice_ms < machine.notice_ms_min:
        raise _too_weak("notice_ms", plan.notice_ms, machine.notice_ms_min)
    if plan.min_term_ms > machine.min_term_ms_max:
        raise _too_weak("min_term_ms", plan.min_term_ms, machine.min_term_ms_max)
    ordered_ms = terms.end_by_ms - terms.created_ms
    if 0 < plan.max_term_ms < ordered_ms:
        raise _too_weak("max_term_ms", plan.max_term_ms, ordered_ms)


def _too_weak(name: str, seen: int, bound: int) -> TransactionRejected:
    return TransactionRejected(TransactionReason.PLAN_TOO_WEAK, f"{name} {seen}", f"{name} {bound}")


def check_funds(terms: OrderTerms, order: Order) -> int:
    """Check that the escrow covers what starts cost and least terms, as it must at the order, and return that sum.

    The price of any hardware has come since.

    Raises:
        TransactionRejected: DEPOSIT_TOO_LOW.
    """
    least = 0
    for line, plan, earned in zip(terms.lines, plans_of(terms, order), order.earned, strict=True):
        assert plan is not None, "the order has its machine's plan by now"
        is_paid = plan.unit is PlanUnit.ONCE and earned and line.role is not LineRole.COMPUTE
        least += 0 if is_paid else least_cost(plan, line.quantity)
    if free_funds(order) < least:
        raise TransactionRejected(TransactionReason.DEPOSIT_TOO_LOW, free_funds(order), least)
    return least


def agree_on_penalty(context: Context, operator: bytes, message: Accept, terms: OrderTerms, order: Order) -> int:
    """Return the penalty that a provider's bond shall stand for: no more than it agrees to, and than it has.

    Raises:
        TransactionRejected: PENALTY_TOO_HIGH, PROVIDER_BOND_TOO_LOW.
    """
    penalty = penalty_for(terms, order, context.time_ms)
    if penalty > message.penalty_max:
        raise TransactionRejected(TransactionReason.PENALTY_TOO_HIGH, penalty, message.penalty_max)
    bond = (context.ledger.find(HOLDINGS, operator) or NEW_HOLDINGS).provider_bond
    if bond < penalty:
        raise TransactionRejected(TransactionReason.PROVIDER_BOND_TOO_LOW, bond, penalty)
    return penalty
