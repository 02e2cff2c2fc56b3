"""Dispatch: one row for each kind of message and for each kind of deadline.

A new message needs its struct in state/messages.py, a handler beside the ones here, and a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from state.deadlines import Deadline, DeadlineKind
from state.messages import Bond, Message, Report, Scope, SetAuth, Transfer
from state.runtime.accounts import apply_transfer
from state.runtime.auth_changes import apply_set_auth, finish_auth_change
from state.runtime.authorisation import ANY_SCOPE
from state.runtime.context import Context
from state.runtime.equivocation import apply_report
from state.runtime.staking import apply_bond
from state.runtime.unbonding import finish_unbonding
from state.runtime.validator_updates import forget_epoch


class Handler(Struct, frozen=True):
    """How a kind of message is authorised, priced and applied."""

    scope: Scope
    """Scope in which the sender's keys must reach the threshold."""
    work: int
    """Units charged unless the parameters override it: microseconds as bench/bench_runtime.py measures them."""
    apply: Callable[[Context, bytes, Any], None]
    """Handler of context, sender and message. Any: each row's function takes its own kind of message."""
    is_large: bool = False
    """Whether envelopes with it may be larger than ordinary ones."""


HANDLERS: Final[Mapping[type[Message], Handler]] = {
    Transfer: Handler(scope=Scope.FUND, work=40, apply=apply_transfer),
    SetAuth: Handler(scope=Scope.OWN, work=150, apply=apply_set_auth),
    Bond: Handler(scope=Scope.FUND, work=300, apply=apply_bond),
    Report: Handler(scope=ANY_SCOPE, work=400, apply=apply_report),
}

DEADLINE_HANDLERS: Final[Mapping[DeadlineKind, Callable[[Context, Deadline], None]]] = {
    DeadlineKind.AUTH_DUE: finish_auth_change,
    DeadlineKind.UNBONDING_DUE: finish_unbonding,
    DeadlineKind.EVIDENCE_OVER: forget_epoch,
}


def required_scope(message: Message, sender: bytes) -> Scope:
    """Return the scope that a message needs of its sender. To recover another account, its guardians sign; the sender only pays."""
    if type(message) is SetAuth and message.account != sender:
        return ANY_SCOPE
    return HANDLERS[type(message)].scope
