"""Whether an order's enclave may earn: fit for the order, and let by the policies of all that the order uses."""

from __future__ import annotations

from state.errors import TransactionRejected
from state.order_records import Order, OrderTerms
from state.order_terms import LineRole
from state.resource_records import RESOURCES
from state.runtime.context import Context
from state.runtime.orders.policies import check_policy, policed_by
from state.runtime.trust.judgement import GOOD_STATES
from state.trust_records import ENCLAVES, Enclave


def is_fit(context: Context, terms: OrderTerms, order: Order) -> bool:
    """Tell whether an order's enclave may earn: trusted or in grace, at the order's level, running the order's software."""
    enclave = context.ledger.find(ENCLAVES, order.enclave)
    return (
        enclave is not None
        and enclave.state in GOOD_STATES
        and enclave.level >= terms.level_min
        and enclave.hardware == order.hardware
        and runs_software_of(terms, enclave)
    )


def runs_software_of(terms: OrderTerms, enclave: Enclave) -> bool:
    """Tell whether an enclave booted one of the order's software releases; any will do where the order names none."""
    programs = [(line.resource, line.release) for line in terms.lines if line.role is LineRole.SOFTWARE]
    return not programs or (enclave.image, enclave.release) in programs


def is_denied_by_others(context: Context, terms: OrderTerms, order: Order) -> bool:
    """Tell whether a policy of others than its provider, or the customer's own constraints, deny the start of an order.

    All held when it was accepted, so somebody has changed what they rest on, or a date in them has passed.

    Raises:
        TransactionRejected: POLICY_DENIED, by a policy of the machine or of another resource of the provider's own.
    """
    is_denied = False
    for address in policed_by(terms, order):
        try:
            check_policy(context, terms, order, address)
        except TransactionRejected:
            if address == order.hardware or (
                address and context.ledger.get(RESOURCES, address).owner == order.operator
            ):
                raise
            is_denied = True
    return is_denied
