"""amend: an owner changes the terms of a resource, its releases and whether it takes orders.

Nothing here reaches into an order: each keeps its own copies of plans. What is withdrawn (a revoked release, a frozen resource) has
its orders reviewed at the end of the block (state/runtime/orders/reviews.py).
"""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.lists import count_members
from state.offers import PLANS_MAX, Capacity, ResourceKind
from state.receipts import EventKind
from state.resource_messages import Amend, ReleaseChange
from state.resource_records import (
    PLANS,
    RELEASES,
    RESOURCES,
    ReleaseStatus,
    Resource,
    ResourceStatus,
    numbered_key,
)
from state.runtime.capacities import check_capacity_fits
from state.runtime.context import Context
from state.runtime.life_tables import (
    RELEASE_CHANGES,
    RELEASE_STEPS,
    RESOURCE_CHANGES,
    RESOURCE_STEPS,
    ResourceTrigger,
    check_step,
)
from state.runtime.offers.checks import check_capacity, check_payees, check_plans, check_policy, check_vault
from state.runtime.offers.releases import change_release, is_over
from state.runtime.offers.resources import counted_bytes, find_changeable, move_bond, write_plan
from state.runtime.order_queue import ask_review, orders_of_resource
from state.runtime.reasons import TransactionReason


def apply_amend(context: Context, sender: bytes, message: Amend) -> None:
    """Change a resource of the sender's. The bond follows its bytes in the state.

    Raises:
        TransactionRejected: NO_RESOURCE, NOT_OWNER, RESOURCE_NOT_ACTIVE, UNEXPECTED_FIELD, POLICY_MALFORMED, NOT_AN_ACCOUNT,
            PAYEES_MALFORMED, WRONG_RESOURCE_KIND, CAPACITY_MALFORMED, CAPACITY_IN_USE, RESOURCE_IN_USE, NO_PLAN, PLANS_MALFORMED,
            PLAN_MALFORMED, NO_RELEASE, RELEASE_STATUS_FINAL, BALANCE_TOO_LOW.
    """
    address = message.resource
    before = find_changeable(context, sender, address)
    context.emit(EventKind.AMENDED, resource=address, owner=sender)
    after = _with_terms(context, message, before)
    after = _with_status(context, message, after)
    _close_plans(context, address, before, message.plans_closed)
    byte_count = _add_plans(context, before, message)
    after = replace(after, plan_count=before.plan_count + len(message.plans_added))
    has_changed = _change_releases(context, address, before, message.releases)
    if after == before and not message.plans_closed and not has_changed:
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "nothing", "a change")
    byte_count += counted_bytes(address, after) - counted_bytes(address, before)
    context.ledger.put(RESOURCES, address, move_bond(context, sender, after, byte_count))


def _with_terms(context: Context, message: Amend, resource: Resource) -> Resource:
    """Return the resource with what is replaced as a whole."""
    if message.policy is not None:
        check_policy(message.policy)
        resource = replace(resource, policy=message.policy)
    if message.payees is not None:
        check_payees(message.payees)
        resource = replace(resource, payees=message.payees)
    if message.vault is not None:
        check_vault(context, message.vault)
        resource = replace(resource, vault=message.vault)
    if message.capacity is not None:
        resource = _with_capacity(resource, message.capacity)
    if message.drain_at_ms is not None:
        _check_hardware(resource)
        resource = replace(resource, drain_at_ms=message.drain_at_ms)
    if message.bumps_grant_epoch:
        resource = replace(resource, grant_epoch=resource.grant_epoch + 1)
        context.emit(EventKind.GRANT_EPOCH, resource=message.resource, grant_epoch=resource.grant_epoch)
    return resource


def _with_capacity(resource: Resource, capacity: Capacity) -> Resource:
    _check_hardware(resource)
    check_capacity(capacity)
    assert resource.in_use is not None, "hardware counts what is in use"
    try:
        check_capacity_fits(resource.in_use, capacity)
    except TransactionRejected as rejection:
        raise TransactionRejected(TransactionReason.CAPACITY_IN_USE, rejection.bound, rejection.seen) from rejection
    return replace(resource, capacity=capacity)


def _check_hardware(resource: Resource) -> None:
    if resource.kind is not ResourceKind.HARDWARE:
        raise TransactionRejected(TransactionReason.WRONG_RESOURCE_KIND, resource.kind.name.lower(), "hardware")


def _with_status(context: Context, message: Amend, resource: Resource) -> Resource:
    """Return the resource with another status. To resume it lets orders in again; those that got notice keep it.

    No resource is retired while an order uses it. Hardware is not frozen: its provider pauses it and closes its orders one by one,
    with the penalty that each of them costs.
    """
    if message.freezes:
        if message.status is not None:
            raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "status", "none where orders are ended")
        if resource.kind is ResourceKind.HARDWARE:
            raise TransactionRejected(TransactionReason.WRONG_RESOURCE_KIND, "hardware", "data or software")
        return _frozen(context, message.resource, resource)
    if message.status is None or message.status is resource.status:
        return resource
    used_count = count_members(context.ledger, orders_of_resource(message.resource))
    if message.status is ResourceStatus.RETIRED and used_count:
        raise TransactionRejected(TransactionReason.RESOURCE_IN_USE, f"{used_count} orders", 0)
    check_step(RESOURCE_STEPS, resource.status, RESOURCE_CHANGES[message.status], message.status)
    _emit_status(context, message.resource, message.status)
    frozen_ms = 0 if message.status is ResourceStatus.ACTIVE else resource.frozen_ms
    return replace(resource, status=message.status, frozen_ms=frozen_ms)


def _frozen(context: Context, address: bytes, resource: Resource) -> Resource:
    """Return a resource that has all its orders ended: those that wait at once, the others after their notice."""
    if resource.frozen_ms:
        return resource
    check_step(RESOURCE_STEPS, resource.status, ResourceTrigger.FREEZE, ResourceStatus.PAUSED)
    context.emit(EventKind.FROZEN, resource=address)
    if resource.status is not ResourceStatus.PAUSED:
        _emit_status(context, address, ResourceStatus.PAUSED)
    ask_review(context.ledger, orders_of_resource(address))
    return replace(resource, status=ResourceStatus.PAUSED, frozen_ms=context.time_ms)


def _emit_status(context: Context, address: bytes, status: ResourceStatus) -> None:
    context.emit(EventKind.RESOURCE_STATUS, resource=address, status=status.name.lower().encode())


def _close_plans(context: Context, address: bytes, resource: Resource, numbers: tuple[int, ...]) -> None:
    """Let plans take no more orders; their records stay, for orders hold units of them."""
    if any(left >= right for left, right in pairwise(numbers)):
        raise TransactionRejected(TransactionReason.PLANS_MALFORMED, " ".join(map(str, numbers)), "ascending")
    for number in numbers:
        key = numbered_key(address, number)
        record = context.ledger.find(PLANS, key)
        if record is None or not record.is_open:
            raise TransactionRejected(TransactionReason.NO_PLAN, number, resource.plan_count)
        context.ledger.put(PLANS, key, replace(record, is_open=False))
        context.emit(EventKind.PLAN_STATUS, resource=address, plan=number, is_open=0)


def _add_plans(context: Context, resource: Resource, message: Amend) -> int:
    """Open plans, numbered on from the last one; return how many bytes they take. The number of a plan fits a byte."""
    plans = message.plans_added
    if not plans:
        return 0
    check_plans(context, resource.kind, plans, resource.plan_count)
    keys = (numbered_key(message.resource, number) for number in range(resource.plan_count))
    open_count = sum(context.ledger.get(PLANS, key).is_open for key in keys)
    if open_count + len(plans) > PLANS_MAX:
        raise TransactionRejected(TransactionReason.PLANS_MALFORMED, open_count + len(plans), f"{PLANS_MAX} open")
    for plan in plans:
        context.emit(EventKind.PLAN_STATUS, resource=message.resource, plan=plan.number, is_open=1)
    return sum(write_plan(context.ledger, message.resource, plan) for plan in plans)


def _change_releases(context: Context, address: bytes, resource: Resource, changes: tuple[ReleaseChange, ...]) -> bool:
    """Give releases another status; return whether one has another than before."""
    numbers = [change.release for change in changes]
    is_sorted = all(left < right for left, right in pairwise(numbers))
    if not is_sorted or (numbers and numbers[-1] >= resource.release_count):
        raise TransactionRejected(TransactionReason.NO_RELEASE, " ".join(map(str, numbers)), resource.release_count)
    has_changed = False
    for change in changes:
        key = numbered_key(address, change.release)
        release = context.ledger.get(RELEASES, key)
        if change.notice_ms and change.status is not ReleaseStatus.DEPRECATED:
            raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, f"notice_ms {change.notice_ms}", 0)
        if is_over(context, release):
            raise TransactionRejected(TransactionReason.RELEASE_STATUS_FINAL, change.release)
        if RELEASE_CHANGES[change.status] in RELEASE_STEPS[release.status]:
            change_release(context, key, change.status, change.notice_ms)
            has_changed = True
    return has_changed
