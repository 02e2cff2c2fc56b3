"""The money of orders: what lines earn, how it leaves the escrow, and what goes back.

Integers only. A line earns the floor of price x quantity x time over the whole attempt, so many small steps pay what one would.
Of what leaves, payees get the floor of their share, the resource's owner what their shares leave over, the treasury the fee
and what its division leaves over. What is left at the end goes back to those who gave it, the last first.

Source: runtime specification, d.3, settlement table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.offers import Plan, PlanUnit
from state.order_records import NO_SERVICE, ORDER_FUNDS, PROVIDERS, Order, OrderTerms, ProviderRecord
from state.order_terms import AgreedLine
from state.params import BASIS_POINTS
from state.receipts import EventKind
from state.records import HOLDINGS, ONLY
from state.resource_records import RESOURCES
from state.runtime.accounts import credit, credit_treasury
from state.runtime.context import Context
from state.runtime.judgement import find_brake
from state.runtime.order_books import compute_plan, end_ms, plans_of, resource_of
from state.trust_records import BRAKES, ENCLAVES, BrakeScope, EnclaveState

TIME_UNITS: Final = frozenset({PlanUnit.SECOND, PlanUnit.GB_SECOND})
"""Units whose quantity is paid for each second; of GB_SECOND it counts gigabytes."""
PAYMENTS_MAX: Final = 8
"""Accounts that a beat pays at most, for it is charged little work; with more, earnings wait for the order's end, charged with the
order, and a machine's for the end of its attempt."""
LOW_FUNDS_PERCENT: Final = (5, 20)
"""Whoever falls below both at once is told of the lower one."""


def time_cost(plan: Plan, quantity: int, time_ms: int) -> int:
    """Return what a time costs, in ubocc rounded down; nothing under plans that are paid by pieces."""
    return plan.price * quantity * time_ms // 1_000 if plan.unit in TIME_UNITS else 0


def least_cost(plan: Plan, quantity: int) -> int:
    """Return what a line costs at least once it has started: its one price, one use, or its least term."""
    if plan.unit in TIME_UNITS:
        return time_cost(plan, quantity, plan.min_term_ms)
    return plan.price * quantity


def free_funds(order: Order) -> int:
    """Return the ubocc in escrow that no line has earned."""
    return order.held - sum(order.earned) + sum(order.settled)


def contributed(order: Order) -> int:
    """Return the ubocc that were ever put into an order that is not closed."""
    return order.held + sum(order.settled)


def funds_time_ms(terms: OrderTerms, order: Order) -> int | None:
    """Return how much trusted time of this attempt the escrow pays, up to a unit short for rounding; None if time is free."""
    rate, cost = 0, 0
    for line, plan in zip(terms.lines, plans_of(terms, order), strict=True):
        if plan is not None and plan.unit in TIME_UNITS:
            rate += plan.price * line.quantity
            cost += time_cost(plan, line.quantity, order.paid_time_ms)
    if not rate:
        return None
    return min(INTEGER_MAX, (cost + _spendable(terms, order)) * 1_000 // rate)


def _spendable(terms: OrderTerms, order: Order) -> int:
    """Return the free ubocc in escrow that are not kept for machines which are paid with the last output."""
    lines = zip(terms.lines, plans_of(terms, order), strict=True)
    kept = sum(plan.price * line.quantity for line, plan in lines if plan is not None and _is_paid_at_end(line, plan))
    return max(0, free_funds(order) - kept)


def accrue(terms: OrderTerms, order: Order, until_ms: int) -> Order:
    """Return a running order whose lines have earned up to a proven time, as far as ordered time and the escrow reach."""
    limit_ms = end_ms(terms, order)
    if order.stop_at_ms:
        limit_ms = min(limit_ms, order.stop_at_ms)
    time_ms = order.paid_time_ms + max(0, min(until_ms, limit_ms) - order.accrued_ms)
    funded_ms = funds_time_ms(terms, order)
    if funded_ms is not None:
        time_ms = max(order.paid_time_ms, min(time_ms, funded_ms))
    earned = tuple(
        before + time_cost(plan, line.quantity, time_ms) if plan is not None and plan.unit in TIME_UNITS else earned
        for line, plan, before, earned in zip(
            terms.lines, plans_of(terms, order), order.earned_before, order.earned, strict=True
        )
    )
    accrued_ms = order.accrued_ms + time_ms - order.paid_time_ms
    return replace(order, earned=earned, paid_time_ms=time_ms, accrued_ms=accrued_ms)


def is_funded(terms: OrderTerms, order: Order) -> bool:
    """Tell whether the escrow pays for anything more of what goes on: a second of time, a use."""
    plans = plans_of(terms, order)
    uses = sum(
        line.quantity * plan.price
        for line, plan in zip(terms.lines, plans, strict=True)
        if plan is not None and plan.unit is PlanUnit.USE
    )
    if _spendable(terms, order) < uses:
        return False
    funded_ms = funds_time_ms(terms, order)
    return funded_ms is None or funded_ms > order.paid_time_ms


def earn_starts(terms: OrderTerms, order: Order) -> Order:
    """Return a started order whose data and software with one price have earned it."""
    return _earn_pieces(terms, order, _is_paid_at_start, _spendable(terms, order))


def earn_uses(terms: OrderTerms, order: Order) -> Order:
    """Return an order with an output, whose lines that are paid by use have earned it."""
    return _earn_pieces(terms, order, lambda _, plan: plan.unit is PlanUnit.USE, _spendable(terms, order))


def earn_ends(terms: OrderTerms, order: Order) -> Order:
    """Return an order with its last output, whose machines with one price have earned it."""
    return _earn_pieces(terms, order, _is_paid_at_end, free_funds(order))


def _is_paid_at_start(line: AgreedLine, plan: Plan) -> bool:
    return plan.unit is PlanUnit.ONCE and bool(line.content_root)


def _is_paid_at_end(line: AgreedLine, plan: Plan) -> bool:
    return plan.unit is PlanUnit.ONCE and not line.content_root


def _earn_pieces(terms: OrderTerms, order: Order, is_due: Callable[[AgreedLine, Plan], bool], free: int) -> Order:
    """Return the order whose due lines have earned their price once more, as far as so many free ubocc reach."""
    earned = list(order.earned)
    for index, (line, plan) in enumerate(zip(terms.lines, plans_of(terms, order), strict=True)):
        if plan is not None and is_due(line, plan):
            amount = min(free, plan.price * line.quantity)
            earned[index] += amount
            free -= amount
    return replace(order, earned=tuple(earned))


def earn_least_terms(terms: OrderTerms, order: Order) -> Order:
    """Return a cancelled order whose lines have earned their least terms at least, as far as the escrow reaches."""
    free, earned = free_funds(order), list(order.earned)
    for index, (line, plan) in enumerate(zip(terms.lines, plans_of(terms, order), strict=True)):
        if plan is not None and plan.unit in TIME_UNITS:
            so_far = order.earned[index] - order.earned_before[index]
            amount = min(free, max(0, least_cost(plan, line.quantity) - so_far))
            earned[index] += amount
            free -= amount
    return replace(order, earned=tuple(earned))


def is_payment_due(context: Context, terms: OrderTerms, order: Order) -> bool:
    """Tell whether a receipt moves what lines have earned: not too often, and not to too many."""
    is_time = context.time_ms - order.settled_ms >= context.params.market.settle_every_ms
    return is_time and _owes_few(context, terms, order)


def _owes_few(context: Context, terms: OrderTerms, order: Order) -> bool:
    owed = [line for line, earned, paid in zip(terms.lines, order.earned, order.settled, strict=True) if earned > paid]
    payees = [context.ledger.get(RESOURCES, resource_of(order, line)).payees for line in owed]
    return sum(1 + len(each) for each in payees) <= PAYMENTS_MAX


def pay_attempt(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """Pay for an attempt that is over: its machine in any case, for the next may be another's, and all if they are few."""
    return pay_out(context, address, terms, order, None if _owes_few(context, terms, order) else 1)


def pay_out(context: Context, address: bytes, terms: OrderTerms, order: Order, line_count: int | None = None) -> Order:
    """Move what the first lines, or all, have earned from the escrow to payees and treasury; return the order after it."""
    paid, fees = 0, 0
    settled = (*order.earned[:line_count], *order.settled[len(order.earned[:line_count]) :])
    for index, line in enumerate(terms.lines):
        amount = settled[index] - order.settled[index]
        if not amount:
            continue
        net = amount * (BASIS_POINTS - context.params.market.fee_bp) // BASIS_POINTS
        _pay_payees(context, resource_of(order, line), net)
        if index == 0:
            note_service(context, order.operator, earned=net)
        paid, fees = paid + net, fees + amount - net
    credit_treasury(context, fees)
    if not paid + fees:
        return replace(order, settled_ms=context.time_ms)
    order = replace(order, held=order.held - paid - fees, settled=settled, settled_ms=context.time_ms)
    context.emit(EventKind.SETTLED, order=address, amount=paid, fee=fees, held=order.held)
    return order


def _pay_payees(context: Context, address: bytes, amount: int) -> None:
    """Divide a resource's income: floors for its payees, the rest for its owner."""
    resource, left = context.ledger.get(RESOURCES, address), amount
    for payee in resource.payees:
        share = amount * payee.share_bp // BASIS_POINTS
        if share:
            credit(context, payee.account, share)
        left -= share
    if left:
        credit(context, resource.owner, left)


def refund(context: Context, address: bytes, order: Order) -> Order:
    """Give what is left in escrow back, to who gave last first, and return the order after it."""
    left = order.held
    for contribution in reversed(context.ledger.get(ORDER_FUNDS, address).contributions):
        amount = min(left, contribution.amount)
        if amount:
            credit(context, contribution.account, amount)
        left -= amount
    return replace(order, held=left)


def value_ahead(terms: OrderTerms, order: Order, from_ms: int) -> int:
    """Return what the machine could still earn from a time on, in ubocc: for all ordered time, as far as the escrow reaches."""
    plan, line = compute_plan(order), terms.lines[0]
    left_ms = max(0, end_ms(terms, order) - from_ms)
    if plan.unit in TIME_UNITS:
        value = time_cost(plan, line.quantity, left_ms)
    elif not left_ms:
        value = 0
    else:
        value = plan.price * line.quantity
    return min(value, free_funds(order))


def penalty_for(terms: OrderTerms, order: Order, from_ms: int) -> int:
    """Return the penalty for what a machine will not have served from a time on, by its plan's promise; rounded down."""
    return value_ahead(terms, order, from_ms) * compute_plan(order).service_level.penalty_bp // BASIS_POINTS


def lock_bond(context: Context, operator: bytes, amount: int) -> None:
    """Set aside a part of a provider's free bond, which must be there."""
    holdings = context.ledger.get(HOLDINGS, operator)
    context.ledger.put(
        HOLDINGS,
        operator,
        replace(
            holdings,
            provider_bond=holdings.provider_bond - amount,
            provider_locked=holdings.provider_locked + amount,
        ),
    )


def release_bond(context: Context, address: bytes, terms: OrderTerms, order: Order, penalty: int) -> Order:
    """Free the bond that stands for an order, but for a penalty of at most as much, which the customer gets.

    While a brake keeps its enclave from being trusted there is none: nobody could have done better.
    """
    locked = order.penalty_locked
    penalty = 0 if penalty and _is_braked(context, order) else min(penalty, locked)
    if locked:
        holdings = context.ledger.get(HOLDINGS, order.operator)
        context.ledger.put(
            HOLDINGS,
            order.operator,
            replace(
                holdings,
                provider_bond=holdings.provider_bond + locked - penalty,
                provider_locked=holdings.provider_locked - locked,
            ),
        )
    if penalty:
        credit(context, terms.customer, penalty)
        note_service(context, order.operator, penalties=penalty)
        context.emit(
            EventKind.PENALISED, order=address, operator=order.operator, customer=terms.customer, amount=penalty
        )
    return replace(order, penalty_locked=0)


def _is_braked(context: Context, order: Order) -> bool:
    """Tell whether an order's enclave is not trusted because of a brake, on itself or on all attestations."""
    enclave = context.ledger.find(ENCLAVES, order.enclave)
    if enclave is None or enclave.state not in {EnclaveState.SUSPENDED, EnclaveState.EXPIRED}:
        return False
    brakes = tuple(brake for brake in context.ledger.get(BRAKES, ONLY).brakes if brake.until_ms > context.time_ms)
    are_all_braked = any(brake.scope is BrakeScope.ATTESTATIONS for brake in brakes)
    return are_all_braked or find_brake(enclave, brakes) is not None


def note_service(context: Context, operator: bytes, **more: int) -> None:
    """Add to what is on record of a provider's service. Money may go round, so its sums stay at the largest number."""
    record: ProviderRecord = context.ledger.find(PROVIDERS, operator) or NO_SERVICE
    sums = {name: min(INTEGER_MAX, getattr(record, name) + count) for name, count in more.items()}
    context.ledger.put(PROVIDERS, operator, replace(record, **sums))


def tell_low_funds(context: Context, address: bytes, terms: OrderTerms, before: Order, after: Order) -> None:
    """Tell when a running order's free escrow has fallen to one of the shares of what was put in."""
    total = contributed(after)
    for percent in LOW_FUNDS_PERCENT:
        bound = total * percent // 100
        if free_funds(after) <= bound < free_funds(before):
            funded_ms = funds_time_ms(terms, after)
            out_ms = 0 if funded_ms is None else after.accrued_ms + funded_ms - after.paid_time_ms
            context.emit(
                EventKind.LOW_FUNDS,
                order=address,
                share=percent,
                held=after.held,
                funds_out_ms=min(INTEGER_MAX, out_ms),
            )
            return
