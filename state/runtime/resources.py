"""publish: new resources, and new releases of those that exist.

Everything that a resource keeps in the state, with keys and places in lists, is paid for by a bond per byte, from the owner's
balance, that the resource holds. Numbers that change later count at their largest.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from state.address import AddressKind
from state.codec import INTEGER_MAX
from state.crypto import tag, tagged_hash
from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.lists import ListKind, add_member, list_name, member_bytes
from state.offers import NO_CAPACITY, Capacity, Plan, ReleaseBody, ResourceKind
from state.params import BASIS_POINTS
from state.policies import is_well_formed
from state.receipts import EventKind
from state.records import ONLY
from state.resource_records import (
    PLANS,
    RELEASES,
    RESOURCE_BOOKS,
    RESOURCES,
    PlanRecord,
    Release,
    ReleaseStatus,
    Resource,
    ResourceBooks,
    ResourceStatus,
    numbered_key,
)
from state.runtime.accounts import debit
from state.runtime.cohorts import enqueue_all, has_runners
from state.runtime.context import Context
from state.runtime.profiles import check_profile
from state.runtime.reasons import TransactionReason
from state.trust_messages import SUPERSEDED_MAX, Publish, Supersede

_RESOURCE_TAG: Final = tag("resource")
GROWING: Final = (
    "plan_count",
    "release_count",
    "usage_count",
    "grant_epoch",
    "bond_locked",
    "drain_at_ms",
    "frozen_ms",
)
"""Numbers of a resource that change later."""


def apply_publish(context: Context, sender: bytes, message: Publish) -> None:
    """Create a resource of the sender's, or a release of one.

    Raises:
        TransactionRejected: UNEXPECTED_FIELD, POLICY_MALFORMED, PLANS_MALFORMED, PAYEES_MALFORMED, CAPACITY_MALFORMED, NO_ORDER,
            NO_RESOURCE, NOT_OWNER, WRONG_RESOURCE_KIND, RESOURCE_NOT_ACTIVE, NO_RELEASE, UNKNOWN_TEE, PROFILE_MALFORMED,
            PROFILE_INCOMPLETE, BALANCE_TOO_LOW.
    """
    _check_shape(message)
    if message.release is not None:
        _check_release(message.release)
    if message.resource:
        address, resource = message.resource, find_owned(context, sender, message.resource)
        if resource.status is ResourceStatus.RETIRED:
            raise TransactionRejected(TransactionReason.RESOURCE_NOT_ACTIVE, resource.status.name.lower())
        if resource.kind is not message.kind:
            raise TransactionRejected(TransactionReason.WRONG_RESOURCE_KIND, message.kind.name, resource.kind.name)
        byte_count = 0
    else:
        address, resource, byte_count = _create(context, sender, message)
    if message.release is not None:
        _supersede(context, address, resource, message)
        resource, release_bytes = _add_release(context, address, resource, message.release)
        byte_count += release_bytes
    bond = byte_count * context.params.market.storage_bond_per_byte
    if bond:
        debit(context, sender, bond)
    context.ledger.put(RESOURCES, address, replace(resource, bond_locked=resource.bond_locked + bond))


def find_owned(context: Context, owner: bytes, address: bytes) -> Resource:
    """Return the resource at an address if it is this owner's.

    Raises:
        TransactionRejected: NO_RESOURCE, NOT_OWNER.
    """
    resource = context.ledger.find(RESOURCES, address)
    if resource is None:
        raise TransactionRejected(TransactionReason.NO_RESOURCE, address.hex())
    if resource.owner != owner:
        raise TransactionRejected(TransactionReason.NOT_OWNER, owner.hex(), resource.owner.hex())
    return resource


def finish_release(context: Context, deadline: Deadline) -> None:
    """Revoke a deprecated release whose time is over, and judge enclaves again if one of them runs it."""
    release = context.ledger.get(RELEASES, deadline.subject)
    if release.status is ReleaseStatus.DEPRECATED and release.until_ms <= context.time_ms:
        context.ledger.put(RELEASES, deadline.subject, replace(release, status=ReleaseStatus.REVOKED, until_ms=0))
        _emit_status(context, deadline.subject, ReleaseStatus.REVOKED, 0)
        if has_runners(context.ledger, deadline.subject):
            enqueue_all(context)


def _check_shape(message: Publish) -> None:
    """Check that the fields which this kind of publication needs are filled, and no others."""
    is_hardware = message.kind is ResourceKind.HARDWARE
    has_terms = bool(message.policy or message.plans or message.payees or message.vault or message.derived_from)
    is_release = bool(message.resource)
    if is_release and (has_terms or message.capacity is not None or message.release is None):
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "terms with a release of an existing resource")
    if is_hardware is (message.release is not None) or (is_hardware is (message.capacity is None) and not is_release):
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "hardware has a capacity, all else a release")
    if (message.supersedes is Supersede.LISTED) is not bool(message.superseded):
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, len(message.superseded))
    if not is_release and message.supersedes is not Supersede.NONE:
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, message.supersedes.name.lower())
    if message.derived_from:
        raise TransactionRejected(TransactionReason.NO_ORDER, message.derived_from.hex())
    if len(message.vault) not in {0, 21} or (message.vault and message.vault[0] != AddressKind.RESOURCE):
        raise TransactionRejected(TransactionReason.NO_RESOURCE, message.vault.hex())
    if not is_well_formed(message.policy):
        raise TransactionRejected(TransactionReason.POLICY_MALFORMED, len(message.policy))
    _check_plans(message.plans)
    payees = [payee.account for payee in message.payees]
    shares = sum(payee.share_bp for payee in message.payees)
    if any(left >= right for left, right in pairwise(payees)) or shares not in {0, BASIS_POINTS}:
        raise TransactionRejected(TransactionReason.PAYEES_MALFORMED, shares, BASIS_POINTS)
    if message.capacity is not None:
        _check_capacity(message.capacity)


def _check_plans(plans: tuple[Plan, ...]) -> None:
    for index, plan in enumerate(plans):
        if plan.number != index:
            raise TransactionRejected(TransactionReason.PLANS_MALFORMED, f"number {plan.number}", index)
        if 0 < plan.max_term_ms < plan.min_term_ms:
            raise TransactionRejected(TransactionReason.PLANS_MALFORMED, plan.min_term_ms, plan.max_term_ms)
        _check_capacity(plan.capacity)


def _check_capacity(capacity: Capacity) -> None:
    models = [gpu.model for gpu in capacity.gpus]
    if any(left >= right for left, right in pairwise(models)):
        raise TransactionRejected(TransactionReason.CAPACITY_MALFORMED, " ".join(models), "sorted, distinct models")


def _check_release(release: ReleaseBody) -> None:
    """Check what a release says about itself; its content is elsewhere."""
    for digest in (release.sealed_root, release.key_commit, release.provenance.recipe_hash):
        if len(digest) not in {0, 32}:
            raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, digest.hex(), "32 bytes or none")
    _check_capacity(release.requirements)
    for profile in release.profiles:
        check_profile(profile)


def _create(context: Context, sender: bytes, message: Publish) -> tuple[bytes, Resource, int]:
    """Write a resource with its plans and its places in lists, return all their bytes; its releases and its bond come next."""
    ledger = context.ledger
    books = ledger.get(RESOURCE_BOOKS, ONLY)
    ledger.put(RESOURCE_BOOKS, ONLY, ResourceBooks(next_resource=books.next_resource + 1))
    name = context.chain_id + books.next_resource.to_bytes(8, "big")
    address = bytes((AddressKind.RESOURCE,)) + tagged_hash(_RESOURCE_TAG, name)[:20]
    resource = Resource(
        owner=sender,
        kind=message.kind,
        category=message.category,
        title=message.title,
        meta_hash=message.meta_hash,
        status=ResourceStatus.ACTIVE,
        policy=message.policy,
        plan_count=len(message.plans),
        release_count=0,
        payees=message.payees,
        vault=message.vault,
        derived_from=message.derived_from,
        usage_count=0,
        grant_epoch=0,
        bond_locked=0,
        capacity=message.capacity,
        in_use=None if message.capacity is None else NO_CAPACITY,
        drain_at_ms=0,
        created_ms=context.time_ms,
        frozen_ms=0,
    )
    largest = replace(resource, in_use=message.capacity, **dict.fromkeys(GROWING, INTEGER_MAX))
    byte_count = RESOURCES.byte_count(address, largest)
    for plan in message.plans:
        key, record = numbered_key(address, plan.number), PlanRecord(plan=plan, is_open=True, in_use=0)
        ledger.put(PLANS, key, record)
        byte_count += PLANS.byte_count(key, replace(record, in_use=INTEGER_MAX))
    for name in (list_name(ListKind.OWNER, sender), list_name(ListKind.RESOURCES)):
        add_member(ledger, name, address)
        byte_count += member_bytes(name, address)
    context.emit(EventKind.PUBLISHED, resource=address, owner=sender, kind=message.kind.name.lower().encode())
    return address, resource, byte_count


def _add_release(context: Context, address: bytes, resource: Resource, body: ReleaseBody) -> tuple[Resource, int]:
    """Write the next release; return the resource with it and how many bytes it takes."""
    number = resource.release_count
    key = numbered_key(address, number)
    release = Release(status=ReleaseStatus.CURRENT, until_ms=0, body=body, created_ms=context.time_ms)
    context.ledger.put(RELEASES, key, release)
    context.emit(EventKind.RELEASED, resource=address, release=number, content_root=body.content_root)
    byte_count = RELEASES.byte_count(key, replace(release, until_ms=INTEGER_MAX))
    return replace(resource, release_count=number + 1), byte_count


def _supersede(context: Context, address: bytes, resource: Resource, message: Publish) -> None:
    """Deprecate older releases until the notice is over; ALL reaches back as far as a list would."""
    numbers = message.superseded
    if any(left >= right for left, right in pairwise(numbers)) or (numbers and numbers[-1] >= resource.release_count):
        raise TransactionRejected(TransactionReason.NO_RELEASE, " ".join(map(str, numbers)), resource.release_count)
    if message.supersedes is Supersede.ALL:
        numbers = tuple(range(resource.release_count))[-SUPERSEDED_MAX:]
    until_ms = context.time_ms + message.notice_ms
    for number in numbers:
        key = numbered_key(address, number)
        release = context.ledger.get(RELEASES, key)
        if release.status is ReleaseStatus.CURRENT:
            context.ledger.put(RELEASES, key, replace(release, status=ReleaseStatus.DEPRECATED, until_ms=until_ms))
            push_deadline(context.ledger, DeadlineKind.RELEASE_DUE, key, until_ms)
            _emit_status(context, key, ReleaseStatus.DEPRECATED, until_ms)


def _emit_status(context: Context, key: bytes, status: ReleaseStatus, until_ms: int) -> None:
    context.emit(
        EventKind.RELEASE_STATUS,
        resource=key[:21],
        release=int.from_bytes(key[21:], "big"),
        status=status.name.lower().encode(),
        until_ms=until_ms,
    )
