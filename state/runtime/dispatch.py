"""Dispatch: one row for each kind of message and for each kind of deadline.

A new message needs its struct in state/messages.py, a handler beside the ones here, and a row here and in state/runtime/work.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from state.deadlines import Deadline, DeadlineKind
from state.governance_messages import CastVote, Propose
from state.messages import Bond, Message, Report, Scope, SetAuth, Transfer
from state.order_messages import Accept, Close, Fund, Grant, PlaceOrder, SendReceipts
from state.resource_messages import Amend, Assign
from state.runtime.accounts.auth_changes import apply_set_auth, finish_auth_change
from state.runtime.accounts.authorisation import ANY_SCOPE
from state.runtime.accounts.money import apply_transfer
from state.runtime.context import Context
from state.runtime.governance.proposals import apply_propose, apply_vote, finish_proposal, forget_votes
from state.runtime.offers.amendments import apply_amend
from state.runtime.offers.assignments import apply_assign
from state.runtime.offers.endorsements import apply_endorse, finish_endorsement
from state.runtime.offers.releases import finish_release
from state.runtime.offers.resources import apply_publish
from state.runtime.orders.accepting import apply_accept
from state.runtime.orders.clock import finish_order
from state.runtime.orders.closing import apply_close
from state.runtime.orders.granting import apply_grant
from state.runtime.orders.ordering import apply_fund, apply_order
from state.runtime.orders.work_receipts import apply_receipts
from state.runtime.staking.bonding import apply_bond
from state.runtime.staking.equivocation import apply_report
from state.runtime.staking.unbonding import finish_unbonding
from state.runtime.staking.validator_updates import forget_epoch
from state.runtime.trust.attestations import apply_attest
from state.runtime.trust.collateral import apply_put_collateral, finish_collateral, finish_grace, finish_number
from state.runtime.trust.enclaves import finish_enclave, forget_platform
from state.runtime.trust.rules import finish_rules
from state.trust_messages import Attest, Endorse, Publish, PutCollateral


class Handler(Struct, frozen=True):
    """How a kind of message is authorised and applied."""

    scope: Scope
    """Scope in which the sender's keys must reach the threshold."""
    apply: Callable[[Context, bytes, Any], None]
    """Handler of context, sender and message. Any: each row's function takes its own kind of message."""


HANDLERS: Final[Mapping[type[Message], Handler]] = {
    Transfer: Handler(scope=Scope.FUND, apply=apply_transfer),
    SetAuth: Handler(scope=Scope.OWN, apply=apply_set_auth),
    Bond: Handler(scope=Scope.FUND, apply=apply_bond),
    Report: Handler(scope=ANY_SCOPE, apply=apply_report),
    Publish: Handler(scope=Scope.OWN, apply=apply_publish),
    Amend: Handler(scope=Scope.OWN, apply=apply_amend),
    Assign: Handler(scope=Scope.OWN, apply=apply_assign),
    Endorse: Handler(scope=Scope.GOVERN, apply=apply_endorse),
    PutCollateral: Handler(scope=ANY_SCOPE, apply=apply_put_collateral),
    Attest: Handler(scope=Scope.OPERATE, apply=apply_attest),
    PlaceOrder: Handler(scope=Scope.FUND, apply=apply_order),
    Fund: Handler(scope=Scope.FUND, apply=apply_fund),
    Accept: Handler(scope=Scope.OPERATE, apply=apply_accept),
    Grant: Handler(scope=Scope.GRANT, apply=apply_grant),
    SendReceipts: Handler(scope=ANY_SCOPE, apply=apply_receipts),
    Close: Handler(scope=ANY_SCOPE, apply=apply_close),
    Propose: Handler(scope=Scope.GOVERN, apply=apply_propose),
    CastVote: Handler(scope=Scope.GOVERN, apply=apply_vote),
}

DEADLINE_HANDLERS: Final[Mapping[DeadlineKind, Callable[[Context, Deadline], None]]] = {
    DeadlineKind.AUTH_DUE: finish_auth_change,
    DeadlineKind.UNBONDING_DUE: finish_unbonding,
    DeadlineKind.EVIDENCE_OVER: forget_epoch,
    DeadlineKind.ENCLAVE_DUE: finish_enclave,
    DeadlineKind.COLLATERAL_DUE: finish_collateral,
    DeadlineKind.NUMBER_DUE: finish_number,
    DeadlineKind.GRACE_OVER: finish_grace,
    DeadlineKind.RULES_DUE: finish_rules,
    DeadlineKind.RELEASE_DUE: finish_release,
    DeadlineKind.ENDORSEMENT_DUE: finish_endorsement,
    DeadlineKind.PLATFORM_DUE: forget_platform,
    DeadlineKind.ORDER_DUE: finish_order,
    DeadlineKind.PROPOSAL_DUE: finish_proposal,
    DeadlineKind.VOTES_OVER: forget_votes,
}


def required_scope(message: Message, sender: bytes) -> Scope:
    """Return the scope that a message needs of its sender. To recover another account, its guardians sign; the sender only pays."""
    if type(message) is SetAuth and message.account != sender:
        return ANY_SCOPE
    return HANDLERS[type(message)].scope
