"""The dry run: every check that a transaction would meet, with what was seen, what is allowed and what helps.

Checks do not stop at the first refusal, so its sender sees all of them at once. Then the messages run on a scratch overlay of
the same state, unless no block may hold so many or such large ones. Nothing is changed; the answer holds for this state and time
only. Nobody pays for it, and it holds the event loop while it runs, so what it does is bounded: one large message, so few GPUs, and
so much work of all messages together.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from state.block import BlockReference
from state.errors import Rejected, TransactionRejected
from state.ledger import Ledger, Overlay
from state.messages import Message, message_name
from state.order_messages import Accept, PlaceOrder
from state.order_terms import LINES_MAX
from state.records import (
    ACCOUNTS,
    CHAIN_IDENTITY,
    CHAIN_STATE,
    ONLY,
    RECENT_BLOCKS,
    RecentBlock,
    number_key,
)
from state.runtime.context import Context
from state.runtime.dispatch import HANDLERS
from state.runtime.orders.attempts import order_checks
from state.runtime.remedies import remedy_of
from state.runtime.rules import ADMISSION_RULES, Situation, check_signatures, situation_at
from state.runtime.trust.attest_checks import CHECKS, Attempt
from state.runtime.trust.profiles import measurements
from state.runtime.work import LINE_WORK, work_of
from state.transactions import Transaction
from state.trust_messages import Attest

GPUS_TRIED_MAX: Final = 1
"""GPUs whose evidence a dry run verifies: each costs four certificates of P-384, on the event loop and for nothing."""
_MANY_GPUS: Final = "send the transaction: its fee pays for the verification of all its GPUs"
WORK_TRIED_MAX: Final = 9_000
"""Work units of the messages that a dry run tries, together: some 9 ms. Room for beats of 170 orders, for one order of the most
lines, for one GPU on any machine, and for a document three times as long as any that a vendor issues for a kind of processor."""
_MUCH_WORK: Final = (
    "nothing is known to be wrong: send the transaction, whose fee pays for its work; or try fewer or smaller messages"
)


class DryRunReason(StrEnum):
    """Why a dry run leaves a check out."""

    NOT_MADE = "not_made"
    """The check needs what another one did not find."""
    TOO_MANY_GPUS = "too_many_gpus"
    """More GPUs than a dry run verifies."""
    TOO_MUCH_WORK = "too_much_work"
    """More work than a dry run does: the message was not tried, nor any behind it."""


_NEEDED_FOR_GPUS: Final = ("hardware", "signature")
"""What must hold before evidence with GPUs is verified here, where nobody pays: each of them costs several milliseconds."""


class Check(Struct, frozen=True):
    """One check of the dry run."""

    name: str
    ok: bool
    reason: str = ""
    seen: str = ""
    bound: str = ""
    remedy: str = ""


def explain(ledger: Ledger, transaction: Transaction, wall_ms: int, tip: BlockReference | None = None) -> list[Check]:
    """Return every check of a transaction against a state, as of the wall clock: admission, signatures, then each message.

    The tip, if given, may be the challenge of an attestation: the next block puts it on record.
    """
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
    fits_block = all(check.ok for check in checks if check.name == "size")
    return checks + _run_messages(situation, transaction, tip) if fits_block else checks


def explain_attest(
    ledger: Ledger, sender: bytes, message: Attest, wall_ms: int, tip: BlockReference | None = None
) -> list[Check]:
    """Return every check of an attestation by this sender, with what was found also where it holds."""
    return _try_attest(_scratch_context(situation_at(ledger, wall_ms), tip), sender, message, "")


def _try_attest(context: Context, sender: bytes, message: Attest, prefix: str) -> list[Check]:
    """Make every check that can be made; one that needs what another did not find is told as not made."""
    attempt, passed = Attempt(context, sender, message), set[str]()
    checks: list[Check] = []
    for check in CHECKS:
        name = prefix + check.name
        costly = _NEEDED_FOR_GPUS if check.name == "evidence" and message.gpus else ()
        missing = [need for need in (*check.needs, *costly) if need not in passed]
        if missing:
            checks.append(Check(name, ok=False, reason=DryRunReason.NOT_MADE, seen=f"needs {' and '.join(missing)}"))
            continue
        if check.name == "evidence" and len(message.gpus) > GPUS_TRIED_MAX:
            seen, bound = str(len(message.gpus)), str(GPUS_TRIED_MAX)
            checks.append(Check(name, False, DryRunReason.TOO_MANY_GPUS, seen, bound, _MANY_GPUS))
            continue
        try:
            check.run(attempt)
        except TransactionRejected as rejection:
            checks.append(_refusal(name, rejection))
        else:
            passed.add(check.name)
            checks.append(Check(name, ok=True, seen=_describe(attempt, check.name)))
    return checks


def _try_message(context: Context, sender: bytes, message: Message, prefix: str) -> list[Check]:
    """Make every check of a message whose checks are told one by one; none of others."""
    if isinstance(message, Attest):
        return _try_attest(context, sender, message, prefix)
    if not isinstance(message, PlaceOrder | Accept):
        return []
    passed, checks = set[str](), list[Check]()
    for check in order_checks(context, sender, message):
        name, missing = prefix + check.name, [need for need in check.needs if need not in passed]
        if missing:
            checks.append(Check(name, ok=False, reason=DryRunReason.NOT_MADE, seen=f"needs {' and '.join(missing)}"))
            continue
        try:
            seen, bound = check.run()
        except TransactionRejected as rejection:
            checks.append(_refusal(name, rejection))
        else:
            passed.add(check.name)
            checks.append(Check(name, ok=True, seen=str(seen), bound=str(bound)))
    return checks


def _describe(attempt: Attempt, name: str) -> str:
    """Return what a check found, in words; nothing where there is no more to say than that it holds."""
    match name:
        case "challenge":
            return f"block {attempt.message.challenge_height} of {attempt.challenge.time_ms}"
        case "evidence":
            answer = attempt.answer
            simulated = "SIMULATED, " if answer.is_simulated else ""
            return f"{simulated}valid from {answer.valid_from_s} to {answer.valid_until_s}, {len(answer.gpus)} GPUs"
        case "measurements":
            registers = measurements(attempt.message.tee, attempt.answer.claims)
            return " ".join(f"{register}={measured.hex()}" for register, measured in registers)
        case "platform":
            return attempt.proven.platform.hex()
        case "judgement":
            judgement = attempt.judgement
            simulated = "SIMULATED, " if attempt.answer.is_simulated else ""
            state = judgement.state.name.lower()
            return f"{simulated}{state}, level {judgement.level}, standing {judgement.standing}"
        case _:
            return ""


def _run_messages(situation: Situation, transaction: Transaction, tip: BlockReference | None) -> list[Check]:
    """Run the messages on a scratch overlay, after taking the fee if there is enough; stop at the first that fails."""
    context = _scratch_context(situation, tip)
    body = transaction.body
    account = context.ledger.find(ACCOUNTS, body.sender)
    if account is None:
        return []
    fee = min(account.balance, body.fee)
    context.ledger.put(ACCOUNTS, body.sender, replace(account, balance=account.balance - fee))
    checks: list[Check] = []
    context.nonce, work = body.nonce, 0
    for index, message in enumerate(body.messages):
        context.message_index = index
        name = _message_name(index, message)
        work += _tried_work(message)
        if work > WORK_TRIED_MAX:
            bound = str(WORK_TRIED_MAX)
            return [*checks, Check(name, False, DryRunReason.TOO_MUCH_WORK, str(work), bound, _MUCH_WORK)]
        tried = _try_message(context, body.sender, message, f"{name}: ")
        checks += tried
        failed = next((check for check in tried if not check.ok), None)
        if failed is not None:
            return [*checks, replace(failed, name=name)]
        try:
            HANDLERS[type(message)].apply(context, body.sender, message)
        except TransactionRejected as rejection:
            return [*checks, _refusal(name, rejection)]
        checks.append(Check(name, ok=True))
    return checks


def _tried_work(message: Message) -> int:
    """Return the work of trying a message.

    Orders and acceptances count twice, because their checks are made one by one before they run; an acceptance judges as many
    policies as its order has lines, of which it does not tell. Evidence is verified once, and not at all with more GPUs than these.
    """
    match message:
        case Attest():
            return work_of(replace(message, gpus=message.gpus[:GPUS_TRIED_MAX]))
        case Accept():
            return 2 * max(work_of(message), LINES_MAX * LINE_WORK)
        case PlaceOrder():
            return 2 * work_of(message)
        case _:
            return work_of(message)


def _scratch_context(situation: Situation, tip: BlockReference | None) -> Context:
    """Return the context of a block that would follow this state now, with the tip on record if it is known."""
    ledger = situation.ledger
    chain, identity = ledger.get(CHAIN_STATE, ONLY), ledger.get(CHAIN_IDENTITY, ONLY)
    time_ms = max(situation.time_ms, chain.time_ms + 1)
    overlay = Overlay(ledger)
    if tip is not None:
        overlay.put(RECENT_BLOCKS, number_key(tip.height), RecentBlock(block_hash=tip.block_hash, time_ms=tip.time_ms))
    return Context(overlay, situation.params, identity.chain_id, chain.epoch, chain.height + 1, time_ms)


def _message_name(index: int, message: Message) -> str:
    return f"message {index} {message_name(type(message))}"


def _refusal(name: str, rejection: Rejected) -> Check:
    seen = "" if rejection.seen is None else str(rejection.seen)
    bound = "" if rejection.bound is None else str(rejection.bound)
    return Check(
        name, ok=False, reason=str(rejection.reason), seen=seen, bound=bound, remedy=remedy_of(rejection.reason)
    )
