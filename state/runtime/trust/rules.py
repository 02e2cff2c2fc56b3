"""What governance decides about trust: policy, platform lists, roots, numbers in force, brakes, the end of an old verifier's word.

Every change has the enclaves that it may concern judged again, and so has every date that a change names. Handlers of proposals
call these functions; until then the genesis' values hold.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.codec import INTEGER_MAX
from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.receipts import EventKind
from state.records import ONLY
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason
from state.runtime.trust.cohorts import enqueue_all
from state.runtime.trust.collateral import move_verification_root
from state.runtime.trust.documents import evaluation_of
from state.trust_records import (
    APPRAISAL_RULES,
    BRAKES,
    BRAKES_MAX,
    EVALUATIONS,
    NUMBERS_MAX,
    PLATFORM_LISTINGS,
    ROOTS_DISTRUSTED_MAX,
    TRUST_BOOKS,
    TRUSTED_ROOTS,
    VERIFIER_CHANGES_MAX,
    AppraisalRules,
    Brake,
    Brakes,
    PendingNumber,
    PlatformListing,
    PlatformVerdict,
    VerifierChange,
)

_ALL: Final = b""
"""Subject of deadlines that concern every enclave."""


def set_rules(context: Context, rules: AppraisalRules) -> None:
    """Put a policy into force. Dates in it have effect when they come; those beyond the largest time never do."""
    context.ledger.put(APPRAISAL_RULES, ONLY, rules)
    grace_s = context.params.attestation.tcb_grace_ms // 1_000
    dates_s = {waiver.until_s + 1 for waiver in rules.policy.waivers}
    for floor in rules.policy.snp_floors:
        dates_s |= {floor.since_s, floor.since_s + grace_s}
    for date_s in sorted(dates_s):
        if context.time_ms < date_s * 1_000 <= INTEGER_MAX:
            push_deadline(context.ledger, DeadlineKind.RULES_DUE, _ALL, date_s * 1_000)
    context.emit(EventKind.RULES_CHANGED, what=b"policy")
    enqueue_all(context)


def list_platform(context: Context, platform: bytes, verdict: PlatformVerdict | None) -> None:
    """Put a machine on a list, or take it off. Denied machines lose their enclaves for good."""
    if verdict is None:
        context.ledger.delete(PLATFORM_LISTINGS, platform)
    else:
        context.ledger.put(PLATFORM_LISTINGS, platform, PlatformListing(verdict=verdict))
    context.emit(EventKind.RULES_CHANGED, what=b"platforms")
    enqueue_all(context)


def distrust_root(context: Context, fingerprint: bytes) -> None:
    """Let nothing new be proven below a root, named by SHA-256 of its certificate.

    Raises:
        TransactionRejected: TOO_MANY_ROOTS.
    """
    check_distrust(context, fingerprint)
    roots = context.ledger.get(TRUSTED_ROOTS, ONLY)
    distrusted = tuple(sorted({*roots.distrusted, fingerprint}))
    context.ledger.put(TRUSTED_ROOTS, ONLY, replace(roots, distrusted=distrusted))
    move_verification_root(context.ledger, fingerprint)
    context.emit(EventKind.RULES_CHANGED, what=b"roots")
    enqueue_all(context)


def check_distrust(context: Context, fingerprint: bytes) -> None:
    """Check that one more root may be distrusted.

    Raises:
        TransactionRejected: TOO_MANY_ROOTS.
    """
    distrusted = {*context.ledger.get(TRUSTED_ROOTS, ONLY).distrusted, fingerprint}
    if len(distrusted) > ROOTS_DISTRUSTED_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_ROOTS, len(distrusted), ROOTS_DISTRUSTED_MAX)


def schedule_number(context: Context, root: bytes, number: int, due_ms: int) -> None:
    """Let an evaluation number come into force at another time than by its default delay; the highest of too many gives way.

    Raises:
        TransactionRejected: NUMBER_NOT_HIGHER.
    """
    check_number(context, root, number)
    evaluation = evaluation_of(context.ledger, root)
    others = [pending for pending in evaluation.pending if pending.number != number][: NUMBERS_MAX - 1]
    pending = sorted((*others, PendingNumber(number=number, due_ms=due_ms)), key=lambda each: each.number)
    context.ledger.put(EVALUATIONS, root, replace(evaluation, pending=tuple(pending)))
    push_deadline(context.ledger, DeadlineKind.NUMBER_DUE, root, due_ms)
    context.emit(EventKind.NUMBER_SEEN, root=root, number=number, due_ms=due_ms)


def check_number(context: Context, root: bytes, number: int) -> None:
    """Check that an evaluation number is above the one in force.

    Raises:
        TransactionRejected: NUMBER_NOT_HIGHER.
    """
    in_force = evaluation_of(context.ledger, root).number
    if number <= in_force:
        raise TransactionRejected(TransactionReason.NUMBER_NOT_HIGHER, number, in_force)


def set_brake(context: Context, brake: Brake) -> None:
    """Stop something at once, for as long as governance may. Brakes that have ended count no more.

    Raises:
        TransactionRejected: BRAKE_TOO_LONG, TOO_MANY_BRAKES.
    """
    check_brake(context, brake)
    context.ledger.put(BRAKES, ONLY, Brakes(brakes=(*_brakes_beside(context, brake), brake)))
    push_deadline(context.ledger, DeadlineKind.RULES_DUE, _ALL, brake.until_ms)
    context.emit(
        EventKind.BRAKED, scope=brake.scope.name.lower().encode(), subject=brake.subject, until_ms=brake.until_ms
    )
    enqueue_all(context)


def check_brake(context: Context, brake: Brake) -> None:
    """Check that a brake may hold for so long, beside those that hold.

    Raises:
        TransactionRejected: BRAKE_TOO_LONG, TOO_MANY_BRAKES.
    """
    latest_ms = context.time_ms + context.params.governance.brake_ms_max
    if brake.until_ms > latest_ms:
        raise TransactionRejected(TransactionReason.BRAKE_TOO_LONG, brake.until_ms, latest_ms)
    other_count = len(_brakes_beside(context, brake))
    if other_count >= BRAKES_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_BRAKES, other_count, BRAKES_MAX)


def note_verifier_change(context: Context) -> None:
    """Let every proof from before now end within `verifier_cap_ms`, so that no verdict of an old verifier lingers.

    Changes before this one keep their ends. One is forgotten when it has been over for as long again: by then none of its proofs
    waits to be judged.
    """
    books, cap_ms = context.ledger.get(TRUST_BOOKS, ONLY), context.params.attestation.verifier_cap_ms
    change = VerifierChange(changed_ms=context.time_ms, ends_ms=context.time_ms + cap_ms)
    recent = (each for each in books.verifier_changes if context.time_ms < each.ends_ms + cap_ms)
    changes = (*recent, change)[-VERIFIER_CHANGES_MAX:]
    context.ledger.put(TRUST_BOOKS, ONLY, replace(books, verifier_changes=changes))
    move_verification_root(context.ledger, context.time_ms.to_bytes(8, "big"))
    push_deadline(context.ledger, DeadlineKind.RULES_DUE, _ALL, change.ends_ms)
    context.emit(EventKind.RULES_CHANGED, what=b"verifier")


def finish_rules(context: Context, _deadline: Deadline) -> None:
    """Forget brakes that have ended, and judge every enclave again."""
    context.ledger.put(BRAKES, ONLY, Brakes(brakes=_holding_brakes(context)))
    enqueue_all(context)


def _holding_brakes(context: Context) -> tuple[Brake, ...]:
    return tuple(brake for brake in context.ledger.get(BRAKES, ONLY).brakes if brake.until_ms > context.time_ms)


def _brakes_beside(context: Context, brake: Brake) -> list[Brake]:
    """Return the brakes that hold, without one that this takes the place of."""
    holding = _holding_brakes(context)
    return [each for each in holding if (each.scope, each.subject) != (brake.scope, brake.subject)]
