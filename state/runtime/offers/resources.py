"""publish: new resources, and new releases of those that exist.

Everything that a resource keeps in the state, with keys and places in lists, is paid for by a bond per byte, from the owner's
balance, that the resource holds. Numbers that change later count at their largest. What is amended
(state/runtime/offers/amendments.py) moves the bond by the same count.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from state.address import AddressKind
from state.codec import INTEGER_MAX
from state.crypto import tag, tagged_hash
from state.errors import TransactionRejected
from state.ledger import Overlay
from state.lists import ListKind, add_member, list_name, member_bytes
from state.offers import NO_CAPACITY, Plan, ReleaseBody, ResourceKind
from state.order_records import ORDER_RUNS, OrderTerms
from state.order_terms import LineRole
from state.policies import OutputParty
from state.receipts import EventKind
from state.records import ONLY
from state.resource_records import (
    NO_USE,
    PLANS,
    RELEASES,
    RESOURCE_BOOKS,
    RESOURCE_USES,
    RESOURCES,
    PlanRecord,
    Release,
    ReleaseStatus,
    Resource,
    ResourceBooks,
    ResourceStatus,
    ResourceUse,
    numbered_key,
)
from state.runtime.accounts.money import credit, debit
from state.runtime.context import Context
from state.runtime.offers.checks import check_capacity, check_payees, check_plans, check_policy, check_vault
from state.runtime.offers.releases import change_release
from state.runtime.orders.books import find_order
from state.runtime.reasons import TransactionReason
from state.runtime.trust.profiles import check_profile
from state.trust_messages import SUPERSEDED_MAX, Publish, Supersede

_RESOURCE_TAG: Final = tag("resource")
GROWING: Final = (
    "plan_count",
    "release_count",
    "grant_epoch",
    "bond_locked",
    "drain_at_ms",
    "frozen_ms",
)
"""Numbers of a resource that change later."""
_MOST_USE: Final = ResourceUse(count=INTEGER_MAX, promised=INTEGER_MAX)


def apply_publish(context: Context, sender: bytes, message: Publish) -> None:
    """Create a resource of the sender's, or a release of one.

    Raises:
        TransactionRejected: UNEXPECTED_FIELD, POLICY_MALFORMED, NOT_AN_ACCOUNT, PAYEES_MALFORMED, NO_RESOURCE, WRONG_RESOURCE_KIND,
            PLANS_MALFORMED, PLAN_MALFORMED, CAPACITY_MALFORMED, UNKNOWN_TEE, PROFILE_MALFORMED, PROFILE_INCOMPLETE, NO_ORDER,
            NOT_OUTPUT, NOT_OWNER, RESOURCE_NOT_ACTIVE, NO_RELEASE, BALANCE_TOO_LOW.
    """
    _check_shape(message)
    _check_terms(context, message)
    if message.release is not None:
        _check_release(message.release)
    if message.derived_from:
        _check_origin(context, sender, message)
    if message.resource:
        address, resource = message.resource, find_changeable(context, sender, message.resource)
        if resource.kind is not message.kind:
            raise TransactionRejected(TransactionReason.WRONG_RESOURCE_KIND, message.kind.name, resource.kind.name)
        byte_count = 0
    else:
        address, resource, byte_count = _create(context, sender, message)
    if message.release is not None:
        _supersede(context, address, resource, message)
        resource, release_bytes = _add_release(context, address, resource, message.release)
        byte_count += release_bytes
    context.ledger.put(RESOURCES, address, move_bond(context, sender, resource, byte_count))


def find_changeable(context: Context, owner: bytes, address: bytes) -> Resource:
    """Return the resource at an address if it is this owner's and not retired.

    Raises:
        TransactionRejected: NO_RESOURCE, NOT_OWNER, RESOURCE_NOT_ACTIVE.
    """
    resource = context.ledger.find(RESOURCES, address)
    if resource is None:
        raise TransactionRejected(TransactionReason.NO_RESOURCE, address.hex())
    if resource.owner != owner:
        raise TransactionRejected(TransactionReason.NOT_OWNER, owner.hex(), resource.owner.hex())
    if resource.status is ResourceStatus.RETIRED:
        raise TransactionRejected(TransactionReason.RESOURCE_NOT_ACTIVE, resource.status.name.lower())
    return resource


def counted_bytes(address: bytes, resource: Resource) -> int:
    """Return how many bytes a resource's record takes at most, however its numbers grow."""
    largest = replace(resource, in_use=resource.capacity, **dict.fromkeys(GROWING, INTEGER_MAX))
    return RESOURCES.byte_count(address, largest)


def write_plan(ledger: Overlay, address: bytes, plan: Plan) -> int:
    """Write a plan that takes orders; return how many bytes it takes."""
    key, record = numbered_key(address, plan.number), PlanRecord(plan=plan, is_open=True, in_use=0)
    ledger.put(PLANS, key, record)
    return PLANS.byte_count(key, replace(record, in_use=INTEGER_MAX))


def move_bond(context: Context, owner: bytes, resource: Resource, byte_count: int) -> Resource:
    """Return the resource with the bond for so many bytes more, from its owner, or fewer, back to its owner.

    Each byte counts at the present price, so what goes back after a rise is at most what is there.

    Raises:
        TransactionRejected: BALANCE_TOO_LOW.
    """
    amount = max(-resource.bond_locked, byte_count * context.params.market.storage_bond_per_byte)
    if amount > 0:
        debit(context, owner, amount)
    elif amount < 0:
        credit(context, owner, -amount)
    return replace(resource, bond_locked=resource.bond_locked + amount)


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
    if is_hardware and message.derived_from:
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "an origin of hardware")


def _check_terms(context: Context, message: Publish) -> None:
    """Check what a new resource is offered for."""
    check_policy(message.policy)
    check_payees(message.payees)
    check_vault(context, message.vault)
    check_plans(context, message.kind, message.plans, 0)
    if message.capacity is not None:
        check_capacity(message.capacity)


def _check_release(release: ReleaseBody) -> None:
    """Check what a release says about itself; its content is elsewhere."""
    for digest in (release.sealed_root, release.key_commit, release.provenance.recipe_hash):
        if len(digest) not in {0, 32}:
            raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, digest.hex(), "32 bytes or none")
    check_capacity(release.requirements)
    for profile in release.profiles:
        check_profile(profile)


def _check_origin(context: Context, sender: bytes, message: Publish) -> None:
    """Check that the content is the output of the order named, and that the sender had a right to it.

    Raises:
        TransactionRejected: NO_ORDER, NOT_OUTPUT.
    """
    terms, _ = find_order(context.ledger, message.derived_from)
    if not _has_right(context, sender, terms):
        raise TransactionRejected(TransactionReason.NOT_OUTPUT, sender.hex(), terms.customer.hex())
    run = context.ledger.find(ORDER_RUNS, message.derived_from)
    root = b"" if run is None or run.output is None else run.output.root
    assert message.release is not None, "only what has a release has an origin"
    if message.release.content_root != root:
        raise TransactionRejected(TransactionReason.NOT_OUTPUT, message.release.content_root.hex(), root.hex())


def _has_right(context: Context, sender: bytes, terms: OrderTerms) -> bool:
    """Tell whether an account is the customer of an order, or owns data whose owner may open the output."""
    if sender == terms.customer:
        return True
    data = (line.resource for line in terms.lines if line.role is LineRole.DATA)
    is_owner = any(context.ledger.get(RESOURCES, address).owner == sender for address in data)
    return is_owner and terms.output_to is not OutputParty.CUSTOMER


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
        grant_epoch=0,
        bond_locked=0,
        capacity=message.capacity,
        in_use=None if message.capacity is None else NO_CAPACITY,
        drain_at_ms=0,
        created_ms=context.time_ms,
        frozen_ms=0,
    )
    ledger.put(RESOURCE_USES, address, NO_USE)
    byte_count = counted_bytes(address, resource) + RESOURCE_USES.byte_count(address, _MOST_USE)
    byte_count += sum(write_plan(ledger, address, plan) for plan in message.plans)
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
    for number in numbers:
        key = numbered_key(address, number)
        if context.ledger.get(RELEASES, key).status is ReleaseStatus.CURRENT:
            change_release(context, key, ReleaseStatus.DEPRECATED, message.notice_ms)
