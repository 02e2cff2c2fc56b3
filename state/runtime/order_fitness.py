"""Whether an order's enclave may earn: fit for the order, and let by the policies of all that the order uses."""

from __future__ import annotations

from state.errors import TransactionRejected
from state.order_records import Order, OrderTerms
from state.order_terms import LineRole
from state.runtime.context import Context
from state.runtime.judgement import GOOD_STATES
from state.runtime.order_policies import check_may_run
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


def is_kept_from_starting(context: Context, terms: OrderTerms, order: Order) -> bool:
    """Tell whether policies refuse the start of an accepted order whose enclave is fit.

    They held when it was accepted, so an owner or the customer has changed what they rest on, or a date in them has passed. Who
    makes policies must not be able to make a provider pay.
    """
    if not is_fit(context, terms, order):
        return False
    try:
        check_may_run(context, terms, order)
    except TransactionRejected:
        return True
    return False
