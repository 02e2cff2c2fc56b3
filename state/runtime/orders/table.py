"""The state machine of orders: what may happen in each state, and where it leads. All else is refused.

Compare it line by line with the runtime specification, d.3. A message asks `check_allowed` before it changes an order; every
change of state goes through `check_leads_to`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from state.errors import TransactionRejected
from state.order_records import OrderState
from state.runtime.life_tables import Steps, check_step
from state.runtime.reasons import TransactionReason


class Trigger(StrEnum):
    """What happens to an order: a message, in the role of its sender, or a date, or a change of what it depends on."""

    FUND = "fund"
    ACCEPT = "accept"
    GRANT = "grant"
    REFUSE = "refuse"
    START = "start"
    START_DENIED = "start_denied"
    """A start that the policies of others than the provider refuse."""
    BEAT = "beat"
    OUTPUT = "output"
    LAST_OUTPUT = "last_output"
    FAIL = "fail"
    ERASE = "erase"
    CLOSE_BY_CUSTOMER = "close_by_customer"
    CLOSE_BY_PROVIDER = "close_by_provider"
    CLOSE_BY_OWNER = "close_by_owner"
    MARK = "mark"
    GOVERNANCE = "governance"

    ACCEPT_BY = "accept_by"
    START_BY = "start_by"
    BEAT_DUE = "beat_due"
    STOP_AT = "stop_at"
    """The end of a notice that the provider or an owner gave."""
    END_BY = "end_by"
    GRACE_OVER = "grace_over"
    KEEP_OVER = "keep_over"
    """The time on record of a closed order."""

    FUNDS_OUT = "funds_out"
    ENCLAVE_FALLEN = "enclave_fallen"
    RELEASE_REVOKED = "release_revoked"
    FROZEN = "frozen"


_O, _A, _R, _S, _C = OrderState.OPEN, OrderState.ACCEPTED, OrderState.RUNNING, OrderState.STALLED, OrderState.CLOSED

TRANSITIONS: Final[Steps[OrderState, Trigger]] = {
    _O: {
        Trigger.FUND: frozenset({_O}),
        Trigger.ACCEPT: frozenset({_A}),
        Trigger.CLOSE_BY_CUSTOMER: frozenset({_C}),
        Trigger.CLOSE_BY_OWNER: frozenset({_C}),
        Trigger.GOVERNANCE: frozenset({_C}),
        Trigger.ACCEPT_BY: frozenset({_C}),
        Trigger.RELEASE_REVOKED: frozenset({_C}),
        Trigger.FROZEN: frozenset({_C}),
    },
    _A: {
        Trigger.FUND: frozenset({_A}),
        Trigger.GRANT: frozenset({_A}),
        Trigger.REFUSE: frozenset({_C}),
        Trigger.START: frozenset({_R}),
        Trigger.START_DENIED: frozenset({_O, _C}),
        Trigger.FAIL: frozenset({_O, _C}),
        Trigger.CLOSE_BY_CUSTOMER: frozenset({_C}),
        Trigger.CLOSE_BY_PROVIDER: frozenset({_O, _C}),
        Trigger.CLOSE_BY_OWNER: frozenset({_C}),
        Trigger.GOVERNANCE: frozenset({_C}),
        Trigger.START_BY: frozenset({_O, _C}),
        Trigger.RELEASE_REVOKED: frozenset({_C}),
        Trigger.FROZEN: frozenset({_C}),
    },
    _R: {
        Trigger.FUND: frozenset({_R}),
        Trigger.BEAT: frozenset({_R}),
        Trigger.OUTPUT: frozenset({_R}),
        Trigger.LAST_OUTPUT: frozenset({_C}),
        Trigger.FAIL: frozenset({_O, _C}),
        Trigger.ERASE: frozenset({_R}),
        Trigger.CLOSE_BY_CUSTOMER: frozenset({_C}),
        Trigger.CLOSE_BY_PROVIDER: frozenset({_R}),
        Trigger.CLOSE_BY_OWNER: frozenset({_R}),
        Trigger.GOVERNANCE: frozenset({_C}),
        Trigger.BEAT_DUE: frozenset({_S}),
        Trigger.FUNDS_OUT: frozenset({_S}),
        Trigger.ENCLAVE_FALLEN: frozenset({_S}),
        Trigger.RELEASE_REVOKED: frozenset({_S}),
        Trigger.FROZEN: frozenset({_R}),
        Trigger.STOP_AT: frozenset({_O, _C}),
        Trigger.END_BY: frozenset({_C}),
    },
    _S: {
        Trigger.FUND: frozenset({_S}),
        Trigger.BEAT: frozenset({_R}),
        Trigger.OUTPUT: frozenset({_R}),
        Trigger.LAST_OUTPUT: frozenset({_C}),
        Trigger.FAIL: frozenset({_O, _C}),
        Trigger.ERASE: frozenset({_S}),
        Trigger.CLOSE_BY_CUSTOMER: frozenset({_C}),
        Trigger.CLOSE_BY_PROVIDER: frozenset({_O, _C}),
        Trigger.CLOSE_BY_OWNER: frozenset({_C}),
        Trigger.GOVERNANCE: frozenset({_C}),
        Trigger.RELEASE_REVOKED: frozenset({_S}),
        Trigger.FROZEN: frozenset({_S}),
        Trigger.STOP_AT: frozenset({_O, _C}),
        Trigger.END_BY: frozenset({_C}),
        Trigger.GRACE_OVER: frozenset({_O, _C}),
    },
    _C: {
        Trigger.ERASE: frozenset({_C}),
        Trigger.MARK: frozenset({_C}),
        Trigger.KEEP_OVER: frozenset(),
    },
}
"""State -> what may happen -> the states that may follow; nothing follows the end of its time on record."""


def check_allowed(state: OrderState, trigger: Trigger) -> None:
    """Check that this may happen to an order in this state.

    Raises:
        TransactionRejected: WRONG_STATE.
    """
    if trigger not in TRANSITIONS[state]:
        allowed = " ".join(other.name.lower() for other in OrderState if trigger in TRANSITIONS[other])
        raise TransactionRejected(TransactionReason.WRONG_STATE, f"{trigger} of an order {state.name.lower()}", allowed)


def check_leads_to(before: OrderState, trigger: Trigger, after: OrderState) -> None:
    """Check that a change of state is one of the table; anything else is our own mistake."""
    check_step(TRANSITIONS, before, trigger, after)
