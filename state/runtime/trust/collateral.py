"""put_collateral: a vendor's document comes in, once checked, and everything that rests on it is judged again in the same block.

Of one subject and evaluation number the later document replaces the earlier; numbers stand side by side. A number above the one in
force comes into force by itself after `promotion_delay_ms`; until then it feeds the forecast alone. A document that is not renewed
in time is overdue: its enclaves stay in grace for `collateral_grace_ms`, new ones are not admitted, then all are suspended.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from state.codec import encode
from state.crypto import tag, tagged_hash
from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.ledger import Overlay
from state.lists import ListKind, add_member, list_name, remove_member
from state.receipts import EventKind
from state.records import ONLY
from state.runtime.context import Concern, Context
from state.runtime.reasons import TransactionReason
from state.runtime.trust.cohorts import enqueue
from state.runtime.trust.documents import (
    ChainCollateral,
    evaluation_of,
    is_early,
    roots_of,
    simulated_roots,
    subject_of,
)
from state.trust_messages import PutCollateral
from state.trust_records import (
    COLLATERAL,
    COLLATERAL_BODIES,
    COLLATERAL_NUMBERS,
    EVALUATIONS,
    NUMBERS_MAX,
    TRUST_BOOKS,
    Collateral,
    CollateralBody,
    CollateralNumbers,
    PendingNumber,
    collateral_key,
    collateral_subject_key,
)
from tee.collateral import check_collateral
from tee.documents import CollateralKind, Parsed, QeIdentity, RevokedSerials, TcbInfo
from tee.errors import EvidenceRejected

_VERIFICATION_TAG: Final = tag("verification-root")


def apply_put_collateral(context: Context, _sender: bytes, message: PutCollateral) -> None:
    """Store a vendor's document that is news.

    Raises:
        TransactionRejected: UNKNOWN_COLLATERAL, COLLATERAL_NOT_NEWER, NUMBER_TOO_LOW, or the reason of tee/errors.py for which the
            document is refused.
    """
    document = _check(context, message)
    key = collateral_key(document.kind, subject_of(document), document.number)
    before = context.ledger.find(COLLATERAL, key)
    if before is not None and document.issued_s <= before.document.issued_s:
        raise TransactionRejected(
            TransactionReason.COLLATERAL_NOT_NEWER, document.issued_s, before.document.issued_s + 1
        )
    if before is None:
        _add_number(context, document)
    collateral = Collateral(
        document=document,
        body_hash=sha256(message.body).digest(),
        first_seen_ms=context.time_ms if before is None else before.first_seen_ms,
        stored_ms=context.time_ms,
    )
    context.ledger.put(COLLATERAL, key, collateral)
    context.ledger.put(COLLATERAL_BODIES, key, CollateralBody(body=message.body, chain=message.chain))
    move_verification_root(context.ledger, key + sha256(encode(document)).digest())
    _schedule_overdue(context, key, document)
    context.emit(
        EventKind.COLLATERAL_UPDATED,
        collateral=key,
        kind=document.kind.name.lower().encode(),
        number=document.number,
        is_early=int(is_early(context.ledger, document)),
        issued_ms=document.issued_s * 1_000,
        next_update_ms=document.next_update_s * 1_000,
    )
    enqueue(context, concerned_by(document))
    interval_s = context.params.attestation.news_interval_ms // 1_000
    is_news = before is None or document.issued_s >= before.document.issued_s + interval_s
    if is_news and document.root not in simulated_roots(context.ledger):
        context.fees_returned += 1


def _check(context: Context, message: PutCollateral) -> Parsed:
    if message.kind not in set(CollateralKind):
        raise TransactionRejected(TransactionReason.UNKNOWN_COLLATERAL, message.kind, len(CollateralKind))
    try:
        return check_collateral(
            CollateralKind(message.kind),
            message.body,
            message.chain,
            roots_of(context.ledger),
            ChainCollateral(context.ledger).root_crl,
            context.time_ms // 1_000,
        )
    except EvidenceRejected as rejection:
        raise TransactionRejected(rejection.reason, rejection.seen, rejection.bound) from rejection


def _add_number(context: Context, document: Parsed) -> None:
    """List a document of a new subject or number; drop the lowest number of too many; let a higher number come into force.

    Raises:
        TransactionRejected: NUMBER_TOO_LOW.
    """
    ledger = context.ledger
    subject_key = collateral_subject_key(document.kind, subject_of(document))
    record = ledger.find(COLLATERAL_NUMBERS, subject_key)
    numbers = sorted((*(record.numbers if record else ()), document.number))
    if len(numbers) > NUMBERS_MAX:
        lowest = numbers.pop(0)
        if lowest == document.number:
            raise TransactionRejected(TransactionReason.NUMBER_TOO_LOW, lowest, numbers[0])
        dropped = subject_key + lowest.to_bytes(8, "big")
        ledger.delete(COLLATERAL, dropped)
        ledger.delete(COLLATERAL_BODIES, dropped)
        remove_member(ledger, list_name(ListKind.COLLATERAL), dropped)
    ledger.put(COLLATERAL_NUMBERS, subject_key, CollateralNumbers(numbers=tuple(numbers)))
    add_member(ledger, list_name(ListKind.COLLATERAL), subject_key + document.number.to_bytes(8, "big"))
    if not isinstance(document, RevokedSerials):
        _note_number(context, document.root, document.number)


def _note_number(context: Context, root: bytes, number: int) -> None:
    """Let a number that was never seen come into force after its delay; the very first one of a simulated root does at once.

    Nobody answers for the order in which documents come: 0 stays in force below a vendor's root, so the lowest number counts.
    """
    ledger, evaluation = context.ledger, evaluation_of(context.ledger, root)
    if number <= evaluation.number or any(pending.number == number for pending in evaluation.pending):
        return
    if evaluation.number == 0 and root in simulated_roots(ledger):
        _promote(context, root, number)
        return
    due_ms = context.time_ms + context.params.attestation.promotion_delay_ms
    pending = (*evaluation.pending, PendingNumber(number=number, due_ms=due_ms))
    if len(pending) > NUMBERS_MAX:
        return
    ordered = tuple(sorted(pending, key=lambda each: each.number))
    ledger.put(EVALUATIONS, root, replace(evaluation, pending=ordered))
    push_deadline(ledger, DeadlineKind.NUMBER_DUE, root, due_ms)
    context.emit(EventKind.NUMBER_SEEN, root=root, number=number, due_ms=due_ms)


def finish_number(context: Context, deadline: Deadline) -> None:
    """Put the highest number into force whose delay is over."""
    root = deadline.subject
    due = [each.number for each in evaluation_of(context.ledger, root).pending if each.due_ms <= context.time_ms]
    if due:
        _promote(context, root, max(due))


def _promote(context: Context, root: bytes, number: int) -> None:
    """Put a number into force: machines that fall behind by it have a grace from now."""
    ledger, before = context.ledger, evaluation_of(context.ledger, root)
    pending = tuple(each for each in before.pending if each.number > number)
    evaluation = replace(before, number=number, since_ms=context.time_ms, number_before=before.number, pending=pending)
    ledger.put(EVALUATIONS, root, evaluation)
    move_verification_root(ledger, root + number.to_bytes(8, "big"))
    push_deadline(ledger, DeadlineKind.GRACE_OVER, root, context.time_ms + context.params.attestation.tcb_grace_ms)
    context.emit(EventKind.NUMBER_IN_FORCE, root=root, number=number)
    enqueue(context, lambda cohort: cohort.root == root)


def finish_grace(context: Context, deadline: Deadline) -> None:
    """Judge the machines of a vendor again when those that fell behind have had their grace."""
    enqueue(context, lambda cohort: cohort.root == deadline.subject)


def _schedule_overdue(context: Context, key: bytes, document: Parsed) -> None:
    push_deadline(context.ledger, DeadlineKind.COLLATERAL_DUE, key, (document.valid_until_s + 1) * 1_000)


def finish_collateral(context: Context, deadline: Deadline) -> None:
    """Tell that a document is overdue, and judge what rests on it: now, and once more when the grace is over."""
    collateral = context.ledger.find(COLLATERAL, deadline.subject)
    if collateral is None:
        return
    overdue_ms = (collateral.document.valid_until_s + 1) * 1_000
    if overdue_ms > context.time_ms:
        return
    grace_end_ms = overdue_ms + context.params.attestation.collateral_grace_ms
    if context.time_ms < grace_end_ms:
        push_deadline(context.ledger, DeadlineKind.COLLATERAL_DUE, deadline.subject, grace_end_ms)
    kind = collateral.document.kind.name.lower().encode()
    context.emit(EventKind.COLLATERAL_OVERDUE, collateral=deadline.subject, kind=kind, grace_end_ms=grace_end_ms)
    enqueue(context, concerned_by(collateral.document))


def concerned_by(document: Parsed) -> Concern:
    """Return which cohorts a document matters to."""
    match document:
        case TcbInfo(root=root, tee=tee, fmspc=fmspc):
            return lambda cohort: (cohort.root, cohort.tee, cohort.product) == (root, tee, fmspc)
        case QeIdentity(root=root, tee=tee):
            return lambda cohort: (cohort.root, cohort.tee) == (root, tee)
        case RevokedSerials(kind=CollateralKind.INTEL_PCK_CRL, root=root, issuer=issuer):
            issuer_hash = sha256(issuer).digest()
            return lambda cohort: (cohort.root, cohort.issuer) == (root, issuer_hash)
        case RevokedSerials(root=root):
            return lambda cohort: cohort.root == root


def move_verification_root(ledger: Overlay, change: bytes) -> None:
    """Note that a verifier's answers may differ from now on."""
    books = ledger.get(TRUST_BOOKS, ONLY)
    root = tagged_hash(_VERIFICATION_TAG, books.verification_root + change)
    ledger.put(TRUST_BOOKS, ONLY, replace(books, verification_root=root))
