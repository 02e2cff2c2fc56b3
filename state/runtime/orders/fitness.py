"""Whether an order's enclave may earn: fit for the order, and let by the policies of all that the order uses."""

from __future__ import annotations

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.order_records import Order, OrderTerms
from state.order_terms import LineRole
from state.resource_records import RESOURCES
from state.runtime.context import Context
from state.runtime.orders.policies import check_policy, policed_by
from state.runtime.policy import check_not_denied
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
        TransactionRejected: POLICY_DENIED, by the provider's own doing: its own policy, or what its enclave has proven since.
    """
    is_denied = False
    for address in policed_by(terms, order):
        try:
            check_policy(context, terms, order, address)
        except TransactionRejected:
            is_own = address == order.hardware or (
                bool(address) and context.ledger.get(RESOURCES, address).owner == order.operator
            )
            if is_own or _is_by_new_proof(context, terms, order, address):
                raise
            is_denied = True
    return is_denied


def _is_by_new_proof(context: Context, terms: OrderTerms, order: Order, address: bytes) -> bool:
    """Tell whether a policy denies an order only for what its enclave says, which has proven itself anew since it accepted."""
    if context.ledger.get(ENCLAVES, order.enclave).attested_ms < order.accepted_ms:
        return False
    try:
        check_policy(context, terms, replace(order, enclave=b""), address, check_not_denied)
    except TransactionRejected:
        return False
    return True
