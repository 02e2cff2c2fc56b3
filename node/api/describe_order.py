"""Records of orders as results."""

from __future__ import annotations

from enum import IntEnum

from node.api.describe import JSON_INTEGER_MAX, describe_address, describe_fields, describe_optional_address
from node.api.describe_trust import describe_policy
from node.api.views import JsonObject
from node.api.views_order import (
    ContributionView,
    OrderDatesView,
    OrderDateView,
    OrderGrantView,
    OrderLineRow,
    OrderLineView,
    OrderMoneyView,
    OrderRow,
    OrderRunView,
    OrderTermsView,
    OrderView,
)
from state.order_queries import GrantView, OrderDetails
from state.order_queries import OrderView as StoredOrder
from state.order_records import Order, OrderRun, OrderState, OrderTerms
from state.runtime.orders.books import plans_of, resource_of


def describe_order(
    view: StoredOrder,
    details: OrderDetails,
    height: int,
    proof: JsonObject | None,
    terms_proof: JsonObject | None,
) -> OrderView:
    """Return an order after a block."""
    terms, order, run = view.terms, view.order, details.run
    return OrderView(
        id=describe_address(view.address),
        height=height,
        state=order.state.name.lower(),
        reason=_name(order.reason),
        cause=_name(order.cause),
        closed_by=describe_optional_address(order.closed_by),
        customer=describe_address(terms.customer),
        enclave=describe_optional_address(order.enclave),
        operator=describe_optional_address(order.operator),
        hardware=describe_optional_address(order.hardware),
        attempts_left=order.attempts_left,
        terms=_describe_terms(terms),
        lines=[_describe_line(view, details, index) for index in range(len(terms.lines))],
        money=_describe_money(view, details),
        dates=_describe_dates(view),
        receipt_count=order.receipt_count,
        head=order.head.hex(),
        run=None if run is None else _describe_run(run),
        funds=[
            ContributionView(account=describe_address(each.account), amount=str(each.amount))
            for each in details.contributions
        ],
        proof=proof,
        terms_proof=terms_proof,
    )


def _describe_terms(terms: OrderTerms) -> OrderTermsView:
    return OrderTermsView(
        workload=describe_fields(terms.workload),
        result_key=terms.result_key.hex(),
        output_to=terms.output_to.name.lower(),
        purpose=terms.purpose,
        constraints=describe_policy(terms.constraints),
        level_min=terms.level_min,
        machine=None if terms.machine is None else describe_fields(terms.machine),
        attempts=terms.attempts,
        accept_window_ms=terms.accept_window_ms,
        start_window_ms=terms.start_window_ms,
        end_by_ms=terms.end_by_ms,
        after=[describe_address(address) for address in terms.after],
        created_ms=terms.created_ms,
        created_height=terms.created_height,
    )


def _describe_line(view: StoredOrder, details: OrderDetails, index: int) -> OrderLineView:
    line, plan = view.terms.lines[index], plans_of(view.terms, view.order)[index]
    return OrderLineView(
        role=line.role.name.lower(),
        resource=describe_optional_address(resource_of(view.order, line)),
        is_any_hardware=not line.resource,
        release=line.release,
        plan=None if plan is None else describe_fields(plan),
        quantity=line.quantity,
        price_max=str(line.price_max),
        content_root=line.content_root.hex() or None,
        is_sealed=line.is_sealed,
        grant=_describe_grant(details.grants[index]),
        earned=str(view.order.earned[index]),
        settled=str(view.order.settled[index]),
    )


def _describe_grant(granted: GrantView | None) -> OrderGrantView | None:
    if granted is None:
        return None
    grant = granted.grant
    return OrderGrantView(
        enclave=describe_address(grant.enclave),
        release=grant.release,
        grant_epoch=grant.grant_epoch,
        capsule_hash=grant.capsule_hash.hex(),
        granted_by=describe_address(grant.granted_by),
        height=grant.height,
        is_valid=granted.is_valid,
    )


def _describe_money(view: StoredOrder, details: OrderDetails) -> OrderMoneyView:
    order, funded_ms = view.order, details.funded_ms
    is_running = order.state is OrderState.RUNNING and funded_ms is not None
    return OrderMoneyView(
        held=str(order.held),
        free=str(details.free),
        contributed=str(sum(each.amount for each in details.contributions)),
        earned=str(sum(order.earned)),
        settled=str(sum(order.settled)),
        bond_locked=str(order.bond_locked),
        penalty_locked=str(order.penalty_locked),
        funded_ms=None if funded_ms is None else min(JSON_INTEGER_MAX, funded_ms),
        funds_out_ms=min(JSON_INTEGER_MAX, order.accrued_ms + (funded_ms or 0)) if is_running else None,
        low=details.low_percent,
    )


def _describe_dates(view: StoredOrder) -> OrderDatesView:
    order = view.order
    return OrderDatesView(
        next=_describe_next(view),
        accept_by_ms=order.accept_by_ms,
        accepted_ms=order.accepted_ms or None,
        start_by_ms=order.start_by_ms,
        end_by_ms=view.terms.end_by_ms,
        started_ms=order.started_ms or None,
        accrued_ms=order.accrued_ms or None,
        paid_time_ms=order.paid_time_ms,
        proven_ms=order.proven_ms or None,
        settled_ms=order.settled_ms or None,
        stalled_ms=(order.state is OrderState.STALLED and order.stalled_ms) or None,
        stop_at_ms=order.stop_at_ms or None,
        stop_by=describe_optional_address(order.stop_by),
        closed_ms=order.closed_ms or None,
    )


def _describe_next(view: StoredOrder) -> OrderDateView:
    return OrderDateView(due_ms=min(JSON_INTEGER_MAX, view.next_ms), what=view.next_what.value)


def _describe_run(run: OrderRun) -> OrderRunView:
    return OrderRunView(
        start_receipt=run.start_receipt.hex(),
        service=None if run.service is None else describe_fields(run.service),
        meter=None if run.meter is None else describe_fields(run.meter),
        output=None if run.output is None else describe_fields(run.output),
        output_count=run.output_count,
        is_erased=run.is_erased,
        fail_code=min(JSON_INTEGER_MAX, run.fail_code),
        mark=run.mark.name.lower(),
        usages=list(run.usages),
    )


def describe_order_row(view: StoredOrder) -> OrderRow:
    """Return an order in a list."""
    terms, order = view.terms, view.order
    return OrderRow(
        id=describe_address(view.address),
        state=order.state.name.lower(),
        reason=_name(order.reason),
        cause=_name(order.cause),
        customer=describe_address(terms.customer),
        operator=describe_optional_address(order.operator),
        enclave=describe_optional_address(order.enclave),
        hardware=describe_optional_address(order.hardware),
        lines=_describe_line_rows(terms, order),
        level_min=terms.level_min,
        machine=None if terms.machine is None else describe_fields(terms.machine),
        has_constraints=bool(terms.constraints),
        held=str(order.held),
        earned=str(sum(order.earned)),
        attempts_left=order.attempts_left,
        created_ms=terms.created_ms,
        end_by_ms=terms.end_by_ms,
        next=_describe_next(view),
    )


def _describe_line_rows(terms: OrderTerms, order: Order) -> list[OrderLineRow]:
    return [
        OrderLineRow(
            role=line.role.name.lower(),
            resource=describe_optional_address(resource_of(order, line)),
            release=line.release,
            plan=None if plan is None else plan.number,
            quantity=line.quantity,
            price=None if plan is None else str(plan.price),
            price_max=str(line.price_max),
        )
        for line, plan in zip(terms.lines, plans_of(terms, order), strict=True)
    ]


def _name(member: IntEnum | None) -> str | None:
    return None if member is None else member.name.lower()
