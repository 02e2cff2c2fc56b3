"""Releases: how one gets another status, and what revoking one does to the enclaves and orders that depend on it."""

from __future__ import annotations

from msgspec.structs import replace

from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.receipts import EventKind
from state.resource_records import RELEASES, Release, ReleaseStatus
from state.runtime.context import Context
from state.runtime.life_tables import RELEASE_CHANGES, RELEASE_STEPS, ReleaseTrigger, check_step
from state.runtime.order_queue import ask_review, orders_of_resource
from state.runtime.trust.cohorts import enqueue_all, has_runners


def is_over(context: Context, release: Release) -> bool:
    """Tell whether a release is revoked, or its notice is over and the wheel has not come to it yet."""
    is_late = release.status is ReleaseStatus.DEPRECATED and release.until_ms <= context.time_ms
    return is_late or release.status is ReleaseStatus.REVOKED


def change_release(context: Context, key: bytes, status: ReleaseStatus, notice_ms: int = 0) -> None:
    """Give a release the status that its owner wants, which may follow its present one. The notice is that of a deprecation."""
    _change(context, key, RELEASE_CHANGES[status], status, notice_ms)


def _change(context: Context, key: bytes, trigger: ReleaseTrigger, status: ReleaseStatus, notice_ms: int = 0) -> None:
    """Write a status, and tell it.

    A revoked release is trusted no more: if an enclave runs it, all enclaves are judged again, and orders of its resource reviewed.
    """
    release = context.ledger.get(RELEASES, key)
    check_step(RELEASE_STEPS, release.status, trigger, status)
    until_ms = context.time_ms + notice_ms if status is ReleaseStatus.DEPRECATED else 0
    context.ledger.put(RELEASES, key, replace(release, status=status, until_ms=until_ms))
    resource = key[:21]
    context.emit(
        EventKind.RELEASE_STATUS,
        resource=resource,
        release=int.from_bytes(key[21:], "big"),
        status=status.name.lower().encode(),
        until_ms=until_ms,
    )
    if status is ReleaseStatus.DEPRECATED:
        push_deadline(context.ledger, DeadlineKind.RELEASE_DUE, key, until_ms)
    if status is ReleaseStatus.REVOKED:
        if has_runners(context.ledger, key):
            enqueue_all(context)
        ask_review(context.ledger, orders_of_resource(resource))


def finish_release(context: Context, deadline: Deadline) -> None:
    """Revoke a deprecated release whose time is over; one that is current again, or has another notice, stays."""
    release = context.ledger.get(RELEASES, deadline.subject)
    if release.status is ReleaseStatus.DEPRECATED and is_over(context, release):
        _change(context, deadline.subject, ReleaseTrigger.NOTICE_OVER, ReleaseStatus.REVOKED)
