"""The money of orders: what lines earn, how it leaves the escrow, and what goes back.

Integers only. A line earns the floor of price x quantity x time over the whole attempt, so many small steps pay what one would.
Of what leaves, payees get the floor of their share, the resource's owner what their shares leave over, the treasury the fee
and what its division leaves over. What is left at the end goes back to those who gave it, the last first.

Source: runtime specification, d.3, settlement table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.offers import Plan, PlanUnit
from state.order_records import NO_SERVICE, ORDER_FUNDS, PROVIDERS, Order, OrderTerms, ProviderRecord
from state.order_terms import LineRole
from state.params import BASIS_POINTS
from state.receipts import EventKind
from state.records import HOLDINGS, ONLY
from state.resource_records import RESOURCES
from state.runtime.accounts.money import credit, credit_treasury
from state.runtime.context import Context
from state.runtime.orders.books import compute_plan, end_ms, plans_of, resource_of
from state.runtime.trust.judgement import find_brake
from state.trust_records import BRAKES, ENCLAVES, BrakeScope, EnclaveState

TIME_UNITS: Final = frozenset({PlanUnit.SECOND, PlanUnit.GB_SECOND})
"""Units whose quantity is paid for each second; of GB_SECOND it counts gigabytes."""
PAYMENTS_MAX: Final = 8
"""Accounts that a beat pays at most, for it is charged little work; what goes to more waits for the order's end, charged with the
order, and a machine's for the end of its attempt."""
LOW_FUNDS_PERCENT: Final = (5, 20)
"""Whoever falls below both at once is told of the lower one."""


def time_cost(plan: Plan, quantity: int, time_ms: int) -> int:
    """Return what a time costs, in ubocc rounded down; nothing under plans that are paid by pieces."""
    return plan.price * quantity * time_ms // 1_000 if plan.unit in TIME_UNITS else 0


def least_cost(plan: Plan, quantity: int) -> int:
    """Return what the escrow holds of a line at least before it starts: its one price, one use, or its least term."""
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
    """Return how much trusted time of this attempt the escrow pays, up to a unit short for rounding; None if time is free.

    The rest of every line's least term is kept, whatever the others cost: a time T costs the sum of rate * max(T, T of its least
    term) over all lines. Where that is too much for the escrow already, all run out of it together.
    """
    rate, kept, spent = 0, 0, 0
    by_term: list[tuple[int, int]] = []
    for line, plan in zip(terms.lines, plans_of(terms, order), strict=True):
        if plan is not None and plan.unit in TIME_UNITS and plan.price:
            term_ms = order.paid_time_ms + _term_left_ms(terms, order, plan, order.accrued_ms)
            by_term.append((term_ms, plan.price * line.quantity))
            kept += plan.price * line.quantity * term_ms
            spent += time_cost(plan, line.quantity, order.paid_time_ms)
    if not by_term:
        return None
    budget = (spent + free_funds(order) - _price_kept(terms, order)) * 1_000
    if kept > budget:
        return max(0, budget // sum(line_rate for _, line_rate in by_term))
    for term_ms, line_rate in sorted(by_term):
        if rate and kept + rate * term_ms > budget:
            break
        rate, kept = rate + line_rate, kept - line_rate * term_ms
    return min(INTEGER_MAX, max(0, (budget - kept) // rate))


def _term_left_ms(terms: OrderTerms, order: Order, plan: Plan, at_ms: int) -> int:
    """Return what is left of a plan's least term at a time; it is never longer than the ordered time that was left at the start."""
    if not order.started_ms:
        return plan.min_term_ms
    return max(0, min(order.started_ms + plan.min_term_ms, terms.end_by_ms) - at_ms)


def _cost_of_rest(terms: OrderTerms, order: Order, index: int, plan: Plan, at_ms: int) -> int:
    """Return what a line that is paid by time would still earn if the rest of its least term were proven."""
    quantity, left_ms = terms.lines[index].quantity, _term_left_ms(terms, order, plan, at_ms)
    so_far = time_cost(plan, quantity, order.paid_time_ms)
    return time_cost(plan, quantity, order.paid_time_ms + left_ms) - so_far


def _price_kept(terms: OrderTerms, order: Order) -> int:
    """Return the one price of a machine that has given no output in this attempt."""
    plan = order.plan
    if plan is None or plan.unit is not PlanUnit.ONCE or has_earned_price(order):
        return 0
    return plan.price * terms.lines[0].quantity


def has_earned_price(order: Order) -> bool:
    """Tell whether the machine of an order, if it is paid once, has given an output in this attempt and so earned its price."""
    return order.earned[0] > order.earned_before[0]


def _spendable(terms: OrderTerms, order: Order) -> int:
    """Return the free ubocc in escrow that are kept neither for a machine which is paid once nor for least terms."""
    kept = _price_kept(terms, order)
    for index, plan in enumerate(plans_of(terms, order)):
        if plan is not None and plan.unit in TIME_UNITS:
            kept += _cost_of_rest(terms, order, index, plan, order.accrued_ms)
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
    """Return an order that has started for the first time, whose lines with one price have earned it, but for the machine."""
    due = [line.role is not LineRole.COMPUTE for line in terms.lines]
    return _earn_pieces(terms, order, PlanUnit.ONCE, due)


def earn_output(terms: OrderTerms, order: Order) -> Order:
    """Return an order with an output: a machine with one price has earned it with the first of an attempt, uses with each."""
    return _earn_pieces(terms, _earn_price(terms, order), PlanUnit.USE, [True] * len(terms.lines))


def earn_least_pieces(terms: OrderTerms, order: Order) -> Order:
    """Return an order that its customer ends, whose machine has earned its one price, and each line that is paid by use one use.

    Otherwise a customer that has read an output on its way to the chain could end the order ahead of it.
    """
    due = [earned == before for earned, before in zip(order.earned, order.earned_before, strict=True)]
    return _earn_pieces(terms, _earn_price(terms, order), PlanUnit.USE, due)


def _earn_price(terms: OrderTerms, order: Order) -> Order:
    price = min(free_funds(order), _price_kept(terms, order))
    return replace(order, earned=(order.earned[0] + price, *order.earned[1:]))


def _earn_pieces(terms: OrderTerms, order: Order, unit: PlanUnit, due: Sequence[bool]) -> Order:
    """Return the order whose due lines under plans of a unit have earned their price once more, as far as the escrow reaches."""
    earned, free = list(order.earned), _spendable(terms, order)
    for index, (line, plan) in enumerate(zip(terms.lines, plans_of(terms, order), strict=True)):
        if due[index] and plan is not None and plan.unit is unit:
            amount = min(free, plan.price * line.quantity)
            earned[index] += amount
            free -= amount
    return replace(order, earned=tuple(earned))


def earn_least_terms(terms: OrderTerms, order: Order, at_ms: int) -> Order:
    """Return an order that its customer ends at a time, whose lines have earned what that cuts off of their least terms.

    Nothing for what was before it: time that no receipt has proven is not paid.
    """
    free, earned = free_funds(order) - _price_kept(terms, order), list(order.earned)
    for index, plan in enumerate(plans_of(terms, order)):
        if plan is not None and plan.unit in TIME_UNITS:
            amount = max(0, min(free, _cost_of_rest(terms, order, index, plan, at_ms)))
            earned[index] += amount
            free -= amount
    return replace(order, earned=tuple(earned))


def is_payment_due(context: Context, order: Order) -> bool:
    """Tell whether enough time has passed for a receipt to move what lines have earned."""
    return context.time_ms - order.settled_ms >= context.params.market.settle_every_ms


def count_payable(context: Context, terms: OrderTerms, order: Order) -> int:
    """Return how many of the first lines a beat may pay: the machine comes first, so nobody's many payees keep it waiting."""
    accounts = 0
    for index, line in enumerate(terms.lines):
        if order.earned[index] > order.settled[index]:
            accounts += 1 + len(context.ledger.get(RESOURCES, resource_of(order, line)).payees)
            if accounts > PAYMENTS_MAX:
                return index
    return len(terms.lines)


def pay_attempt(context: Context, address: bytes, terms: OrderTerms, order: Order) -> Order:
    """Pay for an attempt that is over: its machine in any case, for the next may be another's, and others if they are few."""
    return pay_out(context, address, terms, order, max(1, count_payable(context, terms, order)))


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
    else:
        value = plan.price * line.quantity if left_ms and not has_earned_price(order) else 0
    return min(value, free_funds(order))


def penalty_for(terms: OrderTerms, order: Order, from_ms: int) -> int:
    """Return the penalty for what a machine will not have served from a time on, by its plan's promise; rounded down."""
    return value_ahead(terms, order, from_ms) * compute_plan(order).service_level.penalty_bp // BASIS_POINTS


def penalty_bound(free: int, plan: Plan) -> int:
    """Return the most that the penalty of an order with so many free ubocc can be under a plan, while nobody adds money to it."""
    return free * plan.service_level.penalty_bp // BASIS_POINTS


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
