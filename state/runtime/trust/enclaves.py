"""Enclaves: how a judgement changes one, when it expires and is forgotten, and the re-appraisal of whole cohorts.

An enclave that is trusted, in grace or suspended is a member of its cohort and holds its platform for its owner. When it expires or
is revoked it leaves both. Each enclave has one deadline on the wheel: the end of its proof, then the end of its memory.
A platform is forgotten when the notice after its last enclave is over: then it is anybody's, as one that was never seen.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import ensure
from state.lists import ListKind, count_members, list_name, member_at, remove_member
from state.receipts import EventKind
from state.records import ONLY
from state.runtime.context import Context
from state.runtime.life_tables import ENCLAVE_STEPS, EnclaveTrigger, check_step, ground_of
from state.runtime.order_queue import ask_review, orders_of_enclave
from state.runtime.reasons import EnclaveReason
from state.runtime.trust.cohorts import leave_cohort, members_list
from state.runtime.trust.judgement import GOOD_STATES, LIVE, Judge, Judgement, platforms_of, with_tcb
from state.trust_records import COHORT_BOOKS, COHORTS, ENCLAVES, PLATFORMS, Enclave, EnclaveState


def judge_of(context: Context) -> Judge:
    """Return the block's judge, a new one only if what it loaded has changed."""
    if context.judge is None or not context.judge.is_current(context.params):
        context.judge = Judge(context.ledger, context.params, context.time_ms)
    return context.judge


def judged(enclave: Enclave, judgement: Judgement) -> Enclave:
    """Return the enclave as a judgement leaves it."""
    claims = enclave.claims if judgement.tcb is None else with_tcb(enclave.claims, judgement.tcb)
    return replace(
        enclave,
        claims=claims,
        level=judgement.level,
        standing=judgement.standing,
        state=judgement.state,
        reason="" if judgement.reason is None else str(judgement.reason),
    )


def settle(context: Context, address: bytes, before: Enclave, after: Enclave) -> None:
    """Write an enclave that was judged, if it changed; tell so if its state or level did; give its places up if it is over."""
    if after == before:
        return
    if after.state is not before.state:
        check_step(ENCLAVE_STEPS, before.state, ground_of(after.reason), after.state)
    if before.state in LIVE and after.state not in LIVE:
        leave_cohort(context.ledger, address, before)
        for platform in platforms_of(before):
            release_platform(context, platform)
    context.ledger.put(ENCLAVES, address, after)
    review_if_worse(context, address, before, after)
    if (before.state, before.level, before.standing, before.reason) != (
        after.state,
        after.level,
        after.standing,
        after.reason,
    ):
        emit_changed(context, address, after)


def review_if_worse(context: Context, address: bytes, before: Enclave, after: Enclave) -> None:
    """Have an enclave's orders reviewed if it earns less trust than before, or runs something else."""
    is_fallen = before.state in GOOD_STATES and after.state not in GOOD_STATES
    has_changed = (before.image, before.release) != (after.image, after.release)
    if is_fallen or has_changed or after.level < before.level:
        ask_review(context.ledger, orders_of_enclave(address))


def emit_changed(context: Context, address: bytes, enclave: Enclave) -> None:
    """Tell the state and level of an enclave."""
    context.emit(
        EventKind.ENCLAVE_CHANGED,
        enclave=address,
        operator=enclave.operator,
        state=enclave.state.name.lower().encode(),
        level=enclave.level,
        standing=enclave.standing,
        reason=enclave.reason.encode(),
    )


def reappraise(context: Context, address: bytes, judge: Judge) -> None:
    """Judge an enclave by the state of this moment."""
    enclave = context.ledger.get(ENCLAVES, address)
    if enclave.state in LIVE:
        settle(context, address, enclave, judged(enclave, judge.judge(enclave)))


def release_platform(context: Context, platform: bytes) -> None:
    """Count an enclave off its platform; the last one leaves it to its owner for the time of the notice."""
    record = context.ledger.get(PLATFORMS, platform)
    ensure(record.enclave_count > 0, "a platform counts every enclave that holds it")
    count = record.enclave_count - 1
    free_from_ms = 0 if count else context.time_ms + context.params.attestation.platform_notice_ms
    context.ledger.put(PLATFORMS, platform, replace(record, enclave_count=count, free_from_ms=free_from_ms))
    if not count:
        push_deadline(context.ledger, DeadlineKind.PLATFORM_DUE, platform, free_from_ms)


def forget_platform(context: Context, deadline: Deadline) -> None:
    """Delete a platform that its owner has left for the time of the notice; one that has an enclave again stays."""
    record = context.ledger.find(PLATFORMS, deadline.subject)
    if record is not None and not record.enclave_count and record.free_from_ms <= context.time_ms:
        context.ledger.delete(PLATFORMS, deadline.subject)


def schedule(context: Context, address: bytes, enclave: Enclave, due_ms: int) -> Enclave:
    """Put an enclave's deadline on the wheel, unless one waits there that fires earlier anyway; return it with its time."""
    if enclave.wheel_ms and context.time_ms < enclave.wheel_ms <= due_ms:
        return enclave
    push_deadline(context.ledger, DeadlineKind.ENCLAVE_DUE, address, due_ms)
    return replace(enclave, wheel_ms=due_ms)


def finish_enclave(context: Context, deadline: Deadline) -> None:
    """Expire an enclave whose proof is too old, and forget one that expired long ago; wait on if it was renewed."""
    address = deadline.subject
    enclave = context.ledger.find(ENCLAVES, address)
    if enclave is None or enclave.wheel_ms != deadline.due_ms:
        return
    next_ms = 0
    if enclave.state in LIVE:
        enclave, next_ms = _judge_at_end(context, address, enclave)
    if enclave.state is EnclaveState.REVOKED:
        context.ledger.put(ENCLAVES, address, replace(enclave, wheel_ms=0))
        return
    keep_until_ms = enclave.expires_ms + context.params.attestation.enclave_keep_ms
    if enclave.state is EnclaveState.EXPIRED and keep_until_ms <= context.time_ms:
        check_step(ENCLAVE_STEPS, enclave.state, EnclaveTrigger.KEEP_OVER, None)
        context.ledger.delete(ENCLAVES, address)
        remove_member(context.ledger, list_name(ListKind.OPERATOR, enclave.operator), address)
        context.emit(EventKind.ENCLAVE_FORGOTTEN, enclave=address, operator=enclave.operator)
        return
    if enclave.state is EnclaveState.EXPIRED:
        next_ms = keep_until_ms
    push_deadline(context.ledger, DeadlineKind.ENCLAVE_DUE, address, next_ms)
    context.ledger.put(ENCLAVES, address, replace(enclave, wheel_ms=next_ms))


def _judge_at_end(context: Context, address: bytes, enclave: Enclave) -> tuple[Enclave, int]:
    """Judge an enclave whose deadline fired; return it as it is now, and when its proof ends.

    One that its judgement leaves alive at its end is ended: a deadline that is not in the future would fire for ever.
    """
    judgement = judge_of(context).judge(enclave)
    after = judged(enclave, judgement)
    if after.state in LIVE and judgement.expires_ms <= context.time_ms:
        after = replace(after, state=EnclaveState.EXPIRED, level=0, standing=0, reason=str(EnclaveReason.EXPIRED))
    settle(context, address, enclave, after)
    return after, judgement.expires_ms


def run_reappraisals(context: Context) -> None:
    """Judge enclaves of the queue again, as many as the block may; the rest waits for the next block."""
    ledger = context.ledger
    books = ledger.get(COHORT_BOOKS, ONLY)
    if not books.queue:
        return
    judge = judge_of(context)
    budget, queue = context.params.blocks.reappraisals_max, list(books.queue)
    while queue and budget:
        budget -= _walk(context, judge, queue[0], budget)
        if not ledger.get(COHORTS, queue[0]).unseen_count:
            context.emit(EventKind.REAPPRAISED, cohort=queue.pop(0))
    ledger.put(COHORT_BOOKS, ONLY, replace(books, queue=tuple(queue)))


def _walk(context: Context, judge: Judge, cohort_id: bytes, budget: int) -> int:
    """Judge the next members of a cohort, downwards, and return how many."""
    ledger, name = context.ledger, members_list(cohort_id)
    cohort = ledger.get(COHORTS, cohort_id)
    unseen, seen = min(cohort.unseen_count, count_members(ledger, name)), 0
    while unseen and seen < budget:
        unseen, seen = unseen - 1, seen + 1
        reappraise(context, member_at(ledger, name, unseen), judge)
    ledger.put(COHORTS, cohort_id, replace(cohort, unseen_count=unseen))
    return seen
