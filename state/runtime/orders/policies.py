"""Whose policies an order meets: the owner's of each of its resources, and the customer's own constraints."""

from __future__ import annotations

from collections.abc import Callable

from state.order_records import Order, OrderTerms
from state.policies import PolicyNode
from state.policy_judgement import EnclaveFacts, Facts
from state.resource_records import RESOURCE_USES, RESOURCES, Resource
from state.runtime.context import Context
from state.runtime.orders.books import resource_of
from state.runtime.policy import check_holds, check_not_denied, endorsements_in, order_facts
from state.trust_records import ENCLAVES

CheckPolicy = Callable[[tuple[PolicyNode, ...], Facts], None]


def check_may_be_ordered(context: Context, terms: OrderTerms, order: Order) -> None:
    """Check that nothing known so far denies an order.

    Raises:
        TransactionRejected: POLICY_DENIED.
    """
    _check_all(context, terms, order, check_not_denied)


def check_may_run(context: Context, terms: OrderTerms, order: Order) -> None:
    """Check that all policies hold for the enclave that an order names.

    Raises:
        TransactionRejected: POLICY_DENIED.
    """
    _check_all(context, terms, order, check_holds)


def check_line_may_run(context: Context, terms: OrderTerms, order: Order, line_index: int) -> None:
    """Check that the policy of one line's resource holds for the enclave that an order names.

    Raises:
        TransactionRejected: POLICY_DENIED.
    """
    check_policy(context, terms, order, resource_of(order, terms.lines[line_index]))


def policed_by(terms: OrderTerms, order: Order) -> tuple[bytes, ...]:
    """Return whose policies an order meets: its resources, each once, and no bytes for the customer's constraints."""
    addresses = dict.fromkeys(resource_of(order, line) for line in terms.lines)
    return (*(address for address in addresses if address), b"")


def check_policy(
    context: Context, terms: OrderTerms, order: Order, address: bytes, check: CheckPolicy = check_holds
) -> None:
    """Check that the policy of one of an order's resources holds, or with no bytes the customer's constraints.

    Raises:
        TransactionRejected: POLICY_DENIED.
    """
    resource = context.ledger.get(RESOURCES, address) if address else None
    policy = terms.constraints if resource is None else resource.policy
    if policy:
        check(policy, facts_of(context, terms, order, address, resource))


def _check_all(context: Context, terms: OrderTerms, order: Order, check: CheckPolicy) -> None:
    for address in policed_by(terms, order):
        check_policy(context, terms, order, address, check)


def facts_of(context: Context, terms: OrderTerms, order: Order, address: bytes, resource: Resource | None) -> Facts:
    """Return what the policy of one of an order's resources is judged by, or, without a resource, its constraints."""
    enclave = None
    if order.enclave:
        record = context.ledger.get(ENCLAVES, order.enclave)
        enclave = EnclaveFacts(address=order.enclave, record=record, level=record.level)
    return Facts(
        resource=address,
        usage_count=0 if resource is None else _count_uses(context, terms, order, address),
        order=order_facts(terms),
        hardware=resource_of(order, terms.lines[0]) or None,
        enclave=enclave,
        height=context.height,
        time_ms=context.time_ms,
        find_endorsement=endorsements_in(context.ledger),
    )


def _count_uses(context: Context, terms: OrderTerms, order: Order, address: bytes) -> int:
    """Return the uses of a resource before the last of an order's own: past ones, those promised to others, its other lines'."""
    use = context.ledger.get(RESOURCE_USES, address)
    lines = [index for index, line in enumerate(terms.lines) if resource_of(order, line) == address]
    promised_to_others = use.promised - sum(index in order.promised for index in lines)
    return use.count + promised_to_others + len(lines) - 1
