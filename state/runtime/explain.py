"""The dry run: every check that a transaction would meet, with what was seen, what is allowed and what helps.

Checks do not stop at the first refusal, so its sender sees all of them at once. Then the messages run on a scratch overlay of
the same state. Nothing is changed; the answer holds for this state and time only.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from state.errors import Rejected, TransactionRejected
from state.ledger import Ledger, Overlay
from state.messages import Message
from state.records import ACCOUNTS, CHAIN_IDENTITY, CHAIN_STATE, ONLY
from state.runtime.context import Context
from state.runtime.dispatch import HANDLERS
from state.runtime.reasons import TransactionReason
from state.runtime.rules import ADMISSION_RULES, Situation, check_signatures, situation_at
from state.transactions import Transaction

REMEDIES: Final[Mapping[StrEnum, str]] = {
    TransactionReason.ENVELOPE_TOO_LARGE: "send fewer or smaller messages in one transaction",
    TransactionReason.NOT_AN_ACCOUNT: "use the address of an account (bocc1...)",
    TransactionReason.EXPIRED: "sign again with a later expires_at_ms",
    TransactionReason.EXPIRES_TOO_LATE: "sign again with an earlier expires_at_ms",
    TransactionReason.FEE_TOO_LOW: "sign again with at least the allowed value as fee",
    TransactionReason.NONCE_USED: "sign again with the account's next_nonce; if this very transaction ran, do nothing",
    TransactionReason.NONCE_TOO_HIGH: "sign again with a nonce near the account's next_nonce",
    TransactionReason.UNAUTHORISED: (
        "sign with keys of the sender that reach its threshold in every message's scope;"
        " for another account's recovery, also with keys of a quorum of its guardians"
    ),
    TransactionReason.BAD_SIGNATURE: "sign again for this chain; the chain id is part of what is signed",
    TransactionReason.CANNOT_PAY: "fund the sender, or wait until its pending transactions are done",
    TransactionReason.ZERO_AMOUNT: "give an amount",
    TransactionReason.UNEXPECTED_AMOUNT: "set the amount to 0",
    TransactionReason.BALANCE_TOO_LOW: "fund the sender or lower the amount",
    TransactionReason.UNEXPECTED_FIELD: "fill exactly the fields that this action uses",
    TransactionReason.KEYS_NOT_SORTED: "sort keys by public key and guardians by address, each once",
    TransactionReason.UNREACHABLE_THRESHOLD: "lower the threshold or give more weight to keys with the scope",
    TransactionReason.BAD_GUARDIAN_QUORUM: "choose a quorum between 1 and the number of guardians, or 0 without any",
    TransactionReason.GUARDIAN_IS_SELF: "name other accounts as guardians",
    TransactionReason.STAKE_TOO_LOW: "bond at least the allowed value",
    TransactionReason.BAD_PROOF: "sign the proof with the consensus key, for this chain and this sender",
    TransactionReason.DEVELOPMENT_KEY: "make a consensus key of your own",
    TransactionReason.KEY_TAKEN: "make a new consensus key",
    TransactionReason.KEY_IS_FIXED: "leave key and proof empty; a validator keeps its first key",
    TransactionReason.ROSTER_FULL: "bond more than the weakest validator outside the set",
    TransactionReason.NO_VALIDATOR: "name the operator's address of a validator",
    TransactionReason.TOMBSTONED: "choose another validator; this one is convicted for ever",
    TransactionReason.NOT_BONDED: "name a validator to which the sender has delegated",
    TransactionReason.BOND_TOO_LOW: "remove at most what is bonded and free; if it is worth nothing, claim its rewards to close it",
    TransactionReason.TOO_MANY_DELEGATIONS: "remove another delegation first",
    TransactionReason.TOO_MANY_UNBONDINGS: "wait until an unbonding entry is paid out",
    TransactionReason.BELOW_MINIMUM_SET: "wait until another validator has joined",
    TransactionReason.NOT_JAILED: "nothing to do: the validator is not in jail",
    TransactionReason.STILL_JAILED: "wait until the jail time is over",
    TransactionReason.WRONG_ACTION: "choose an action that exists for this purpose",
    TransactionReason.NOT_CONFLICTING: "report two votes that no correct validator signs both",
    TransactionReason.VOTES_NOT_SORTED: "exchange the two votes",
    TransactionReason.BAD_VOTE: "report votes whose signatures verify under the validator's consensus key",
    TransactionReason.EVIDENCE_FROM_FUTURE: "wait until the epoch of the votes has begun",
    TransactionReason.EVIDENCE_TOO_OLD: "nothing to do: such old votes convict no longer",
}
"""What its sender can do about a refusal; one for each reason."""


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
        name, ok=False, reason=str(rejection.reason), seen=seen, bound=bound, remedy=REMEDIES[rejection.reason]
    )
