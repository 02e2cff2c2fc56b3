"""The dry run: every check that a transaction would meet, with what was seen, what is allowed and what helps.

Checks do not stop at the first refusal, so its sender sees all of them at once. Then the messages run on a scratch overlay of
the same state. Nothing is changed; the answer holds for this state and time only.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from state.errors import Rejected, TransactionRejected
from state.ledger import Ledger, Overlay
from state.messages import Message
from state.records import ACCOUNTS, CHAIN_IDENTITY, CHAIN_STATE, ONLY
from state.runtime.context import Context
from state.runtime.dispatch import HANDLERS
from state.runtime.remedies import remedy_of
from state.runtime.rules import ADMISSION_RULES, Situation, check_signatures, situation_at
from state.transactions import Transaction


class Check(Struct, frozen=True):
    """One check of the dry run."""

    name: str
    ok: bool
    reason: str = ""
    seen: str = ""
    bound: str = ""
    remedy: str = ""


def explain(ledger: Ledger, transaction: Transaction, wall_ms: int) -> list[Check]:
    """Return every check of a transaction against a state, as of the wall clock: admission, signatures, then each message."""
    situation = situation_at(ledger, wall_ms)
    rules = [(rule.name, rule.check) for rule in ADMISSION_RULES]
    checks: list[Check] = []
    for name, check in (*rules, ("signatures", check_signatures)):
        try:
            check(situation, transaction)
        except TransactionRejected as rejection:
            checks.append(_refusal(name, rejection))
        else:
            checks.append(Check(name, ok=True))
    return checks + _run_messages(situation, transaction)


def _run_messages(situation: Situation, transaction: Transaction) -> list[Check]:
    """Run the messages on a scratch overlay, after taking the fee if there is enough; stop at the first that fails."""
    context = _scratch_context(situation)
    body = transaction.body
    account = context.ledger.find(ACCOUNTS, body.sender)
    if account is None:
        return []
    fee = min(account.balance, body.fee)
    context.ledger.put(ACCOUNTS, body.sender, replace(account, balance=account.balance - fee))
    checks: list[Check] = []
    for index, message in enumerate(body.messages):
        name = _message_name(index, message)
        try:
            HANDLERS[type(message)].apply(context, body.sender, message)
        except TransactionRejected as rejection:
            return [*checks, _refusal(name, rejection)]
        checks.append(Check(name, ok=True))
    return checks


def _scratch_context(situation: Situation) -> Context:
    """Return the context of a block that would follow this state now."""
    ledger = situation.ledger
    chain, identity = ledger.get(CHAIN_STATE, ONLY), ledger.get(CHAIN_IDENTITY, ONLY)
    time_ms = max(situation.time_ms, chain.time_ms + 1)
    return Context(Overlay(ledger), situation.params, identity.chain_id, chain.epoch, chain.height + 1, time_ms)


def _message_name(index: int, message: Message) -> str:
    return f"message {index} {type(message).__name__.lower()}"


def _refusal(name: str, rejection: Rejected) -> Check:
    seen = "" if rejection.seen is None else str(rejection.seen)
    bound = "" if rejection.bound is None else str(rejection.bound)
    return Check(
        name, ok=False, reason=str(rejection.reason), seen=seen, bound=bound, remedy=remedy_of(rejection.reason)
    )
