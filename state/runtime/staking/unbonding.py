"""Unbonding: money on its way from a bond back to its owner's balance.

An entry of a validator's stake can still be slashed until it is due. Its amount counts shares of what the validator holds for
all such entries, so a slash touches the validator alone. Entries made after the conviction, and those of provider bonds, keep
their amount.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.receipts import EventKind
from state.records import (
    CHAIN_STATE,
    HOLDINGS,
    NEW_HOLDINGS,
    ONLY,
    UNBONDINGS,
    UNBONDINGS_MAX,
    VALIDATORS,
    Unbonding,
    number_key,
)
from state.runtime.accounts.money import credit
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason


def start_unbonding(
    context: Context, owner: bytes, validator: bytes, amount: int, *, is_slashable: bool, purpose: bytes
) -> None:
    """Make an entry for money that the caller has taken out of a bond, due after the unbonding delay.

    Raises:
        TransactionRejected: TOO_MANY_UNBONDINGS.
    """
    ledger = context.ledger
    holdings = ledger.find(HOLDINGS, owner) or NEW_HOLDINGS
    if len(holdings.unbondings) >= UNBONDINGS_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_UNBONDINGS, len(holdings.unbondings), UNBONDINGS_MAX)
    chain = ledger.get(CHAIN_STATE, ONLY)
    number, due_ms = chain.next_unbonding, context.time_ms + context.params.staking.unbonding_ms
    ledger.put(CHAIN_STATE, ONLY, replace(chain, next_unbonding=number + 1))
    ledger.put(HOLDINGS, owner, replace(holdings, unbondings=(*holdings.unbondings, number)))
    entry = Unbonding(owner=owner, validator=validator, amount=amount, is_slashable=is_slashable, due_ms=due_ms)
    ledger.put(UNBONDINGS, number_key(number), entry)
    push_deadline(ledger, DeadlineKind.UNBONDING_DUE, number_key(number), due_ms)
    context.emit(
        EventKind.UNBONDING_STARTED,
        owner=owner,
        purpose=purpose,
        validator=validator,
        amount=amount,
        unbonding=number,
        due_ms=due_ms,
    )


def finish_unbonding(context: Context, deadline: Deadline) -> None:
    """Pay out an entry whose time has come; what a slash left of it, rounded down, the last entry taking all that remains."""
    ledger = context.ledger
    entry = ledger.get(UNBONDINGS, deadline.subject)
    number = int.from_bytes(deadline.subject, "big")
    ledger.delete(UNBONDINGS, deadline.subject)
    amount = entry.amount
    if entry.is_slashable:
        validator = ledger.get(VALIDATORS, entry.validator)
        amount = entry.amount * validator.unbonding // validator.unbonding_shares
        remaining = replace(
            validator,
            unbonding=validator.unbonding - amount,
            unbonding_shares=validator.unbonding_shares - entry.amount,
        )
        ledger.put(VALIDATORS, entry.validator, remaining)
    holdings = ledger.get(HOLDINGS, entry.owner)
    unbondings = tuple(other for other in holdings.unbondings if other != number)
    ledger.put(HOLDINGS, entry.owner, replace(holdings, unbondings=unbondings))
    credit(context, entry.owner, amount)
    context.emit(EventKind.UNBONDED, owner=entry.owner, validator=entry.validator, amount=amount, unbonding=number)
