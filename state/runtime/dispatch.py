"""Dispatch: one row for each kind of message.

A new message needs its struct in state/messages.py, a handler beside the ones here, and a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from state.messages import Message, Scope, SetAuth, Transfer
from state.runtime.accounts import apply_transfer
from state.runtime.authorisation import ANY_SCOPE
from state.runtime.context import Context


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
    Transfer: Handler(scope=Scope.FUND, work=20, apply=apply_transfer),
}


def required_scope(message: Message, sender: bytes) -> Scope:
    """Return the scope that a message needs of its sender. To recover another account, its guardians sign; the sender only pays."""
    if type(message) is SetAuth and message.account != sender:
        return ANY_SCOPE
    return HANDLERS[type(message)].scope
