"""Readers of what is on offer: resources, their plans, the market by what an order needs, and how providers serve.

Lists are read downwards by cursor, the newest first. A page may be short although more follows, because a filter skips members and
a call looks at a bounded number of records. What is free now may be taken when an order comes: the dry run of it tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from state.errors import TransactionRejected
from state.ledger import Ledger
from state.lists import ListKind, count_members, list_name, member_at
from state.market_queries import may_be_customer
from state.offers import NO_CAPACITY, Capacity, Plan, PlanUnit, ResourceKind
from state.order_records import NO_SERVICE, PROVIDERS, USAGE, ProviderRecord, UsageRow, usage_key
from state.records import CHAIN_STATE, HOLDINGS, NEW_HOLDINGS, ONLY
from state.resource_records import (
    PLANS,
    RELEASES,
    RESOURCE_USES,
    RESOURCES,
    PlanRecord,
    Release,
    ReleaseStatus,
    Resource,
    ResourceStatus,
    ResourceUse,
    numbered_key,
)
from state.runtime.capacities import SCALARS, check_capacity_fits
from state.runtime.trust.cohorts import enclaves_on
from state.trust_queries import EnclaveView, enclave
from state.trust_records import ENCLAVES, EnclaveState

LOOKS_MAX: Final = 100
"""Records that one call looks at, some thirty microseconds each, beside those of the resource that it has begun."""
NEWEST_MAX: Final = 8
"""Newest releases among which a current one is looked for, and newest enclaves of a machine that are looked at."""


class ResourceFilter(Struct, frozen=True):
    """Which resources to list; None: whatever."""

    owner: bytes | None = None
    kind: ResourceKind | None = None
    category: str | None = None
    status: ResourceStatus | None = None


class ResourceView(Struct, frozen=True):
    """One resource."""

    address: bytes
    resource: Resource
    use: ResourceUse


class ResourcePage(Struct, frozen=True):
    """Some resources."""

    resources: tuple[ResourceView, ...]
    next_cursor: int | None
    """Where to go on; None at the end."""


class PlanView(Struct, frozen=True):
    """One plan, and how much of it is free."""

    record: PlanRecord
    free: int | None
    """Units that stock and capacity leave; None if nothing bounds them."""


class OfferFilter(Struct, frozen=True):
    """What an order needs; None: whatever."""

    kind: ResourceKind | None = None
    category: str | None = None
    tee: int | None = None
    """Of machines a usable enclave's, of software a profile's; no matter for data, and for software without profiles."""
    level_min: int = 0
    """Of machines: the level of a usable enclave, of that TEE."""
    unit: PlanUnit | None = None
    price_max: int | None = None
    capacity: Capacity = NO_CAPACITY
    """Of machines: what one unit gives at least."""
    customer: bytes | None = None
    """Whose orders the policy must not rule out."""


class Offer(Struct, frozen=True):
    """A resource that takes orders, with the plans that fit."""

    address: bytes
    resource: Resource
    plans: tuple[PlanView, ...]
    release: int | None
    """Its newest current one; None of machines."""
    tees: tuple[int, ...]
    """Kinds of TEE, ascending: of a machine's usable enclaves, or of the profiles of that release."""
    enclaves: tuple[EnclaveView, ...]
    """Usable ones of a machine, the best first."""
    provider: ProviderRecord | None
    """How a machine's owner has served."""


class OfferPage(Struct, frozen=True):
    """Some offers."""

    offers: tuple[Offer, ...]
    next_cursor: int | None
    """Where to go on; None at the end."""


class UsagePage(Struct, frozen=True):
    """A part of a resource's ledger of use."""

    count: int
    """Rows there are, numbered from 0."""
    rows: tuple[tuple[int, UsageRow], ...]
    next_number: int | None
    """Where to go on; None when nothing more was asked for."""


class ProviderView(Struct, frozen=True):
    """How an account provides, and how it has served."""

    service: ProviderRecord
    bond: int
    bond_locked: int
    running_count: int
    hardware: tuple[bytes, ...]
    are_all_resources_seen: bool
    enclaves_by_state: dict[EnclaveState, int]
    enclave_count: int
    are_all_enclaves_seen: bool


def resources(ledger: Ledger, wanted: ResourceFilter, limit: int, cursor: int | None = None) -> ResourcePage:
    """Return up to `limit` resources that a filter lets pass, from a cursor on."""
    found: list[ResourceView] = []
    for looks, (number, address) in enumerate(_places(ledger, wanted.owner, cursor)):
        if len(found) >= limit or looks >= LOOKS_MAX:
            return ResourcePage(tuple(found), number + 1)
        resource = ledger.get(RESOURCES, address)
        pairs = (
            (wanted.kind, resource.kind),
            (wanted.category, resource.category),
            (wanted.status, resource.status),
        )
        if all(asked is None or asked == seen for asked, seen in pairs):
            found.append(ResourceView(address, resource, ledger.get(RESOURCE_USES, address)))
    return ResourcePage(tuple(found), None)


def _places(ledger: Ledger, owner: bytes | None, cursor: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield number and address of an owner's resources, or of all, from a cursor downwards."""
    name = list_name(ListKind.RESOURCES) if owner is None else list_name(ListKind.OWNER, owner)
    count = count_members(ledger, name)
    for number in range((count if cursor is None else min(cursor, count)) - 1, -1, -1):
        yield number, member_at(ledger, name, number)


def plans(ledger: Ledger, address: bytes, resource: Resource, limit: int) -> tuple[PlanView, ...]:
    """Return up to `limit` plans of a resource, the newest first."""
    numbers = range(resource.plan_count - 1, max(0, resource.plan_count - limit) - 1, -1)
    records = (ledger.get(PLANS, numbered_key(address, number)) for number in numbers)
    return tuple(PlanView(record, _free_units(resource, record)) for record in records)


def _free_units(resource: Resource, record: PlanRecord) -> int | None:
    """Return how many more units of a plan stock and free capacity leave; None if nothing bounds them."""
    bounds = [record.plan.stock - record.in_use] if record.plan.stock else []
    if resource.capacity is not None and resource.in_use is not None:
        bounds += _fitting(record.plan.capacity, resource.capacity, resource.in_use)
    return max(0, min(bounds)) if bounds else None


def _fitting(unit: Capacity, capacity: Capacity, in_use: Capacity) -> list[int]:
    """Return for each thing that a unit takes how many units of it are free."""
    fitting = [
        (getattr(capacity, name) - getattr(in_use, name)) // getattr(unit, name)
        for name in SCALARS
        if getattr(unit, name)
    ]
    has, used = ({gpu.model: gpu.count for gpu in each.gpus} for each in (capacity, in_use))
    return fitting + [(has.get(gpu.model, 0) - used.get(gpu.model, 0)) // gpu.count for gpu in unit.gpus]


def market(ledger: Ledger, wanted: OfferFilter, limit: int, cursor: int | None = None) -> OfferPage:
    """Return up to `limit` resources that take orders and have a plan that fits, from a cursor on."""
    found: list[Offer] = []
    looks = 0
    for number, address in _places(ledger, None, cursor):
        if len(found) >= limit or looks >= LOOKS_MAX:
            return OfferPage(tuple(found), number + 1)
        resource = ledger.get(RESOURCES, address)
        looks += 1
        if not _takes_orders(ledger, resource, wanted):
            continue
        looks += resource.plan_count + NEWEST_MAX
        offer = _offer(ledger, address, resource, wanted)
        if offer is not None:
            found.append(offer)
    return OfferPage(tuple(found), None)


def _takes_orders(ledger: Ledger, resource: Resource, wanted: OfferFilter) -> bool:
    """Tell whether a resource takes orders at all, and is of the kind and category that is wanted."""
    if resource.status is not ResourceStatus.ACTIVE or resource.frozen_ms:
        return False
    if resource.drain_at_ms and resource.drain_at_ms <= ledger.get(CHAIN_STATE, ONLY).time_ms:
        return False
    pairs = ((wanted.kind, resource.kind), (wanted.category, resource.category))
    return all(asked is None or asked == seen for asked, seen in pairs)


def _offer(ledger: Ledger, address: bytes, resource: Resource, wanted: OfferFilter) -> Offer | None:
    """Return what a resource offers that fits, or None."""
    views = plans(ledger, address, resource, resource.plan_count)
    fitting = tuple(view for view in views if _is_plan_wanted(resource, view, wanted))
    if not fitting:
        return None
    if wanted.customer is not None and not may_be_customer(ledger, address, resource, wanted.customer):
        return None
    if resource.kind is ResourceKind.HARDWARE:
        return _machine(ledger, address, resource, fitting, wanted)
    number, release = _current_release(ledger, address, resource)
    if release is None:
        return None
    tees = tuple(sorted({profile.tee for profile in release.body.profiles}))
    if wanted.tee is not None and tees and wanted.tee not in tees:
        return None
    return Offer(address, resource, fitting, number, tees, (), None)


def _is_plan_wanted(resource: Resource, view: PlanView, wanted: OfferFilter) -> bool:
    plan: Plan = view.record.plan
    if not view.record.is_open or view.free == 0:
        return False
    if wanted.unit not in {None, plan.unit} or (wanted.price_max is not None and plan.price > wanted.price_max):
        return False
    return resource.kind is not ResourceKind.HARDWARE or _fits(wanted.capacity, plan.capacity)


def _fits(needed: Capacity, limit: Capacity) -> bool:
    try:
        check_capacity_fits(needed, limit)
    except TransactionRejected:
        return False
    return True


def _machine(
    ledger: Ledger, address: bytes, resource: Resource, fitting: tuple[PlanView, ...], wanted: OfferFilter
) -> Offer | None:
    usable = sorted(_usable_enclaves(ledger, address), key=lambda view: -view.enclave.level)
    asks = wanted.tee is not None or wanted.level_min > 0
    if asks and not any(
        wanted.tee in {None, view.enclave.tee} and view.enclave.level >= wanted.level_min for view in usable
    ):
        return None
    tees = tuple(sorted({view.enclave.tee for view in usable}))
    provider = ledger.find(PROVIDERS, resource.owner) or NO_SERVICE
    return Offer(address, resource, fitting, None, tees, tuple(usable), provider)


def _usable_enclaves(ledger: Ledger, hardware: bytes) -> Iterator[EnclaveView]:
    """Yield those of the newest enclaves of a machine that are usable."""
    name = enclaves_on(hardware)
    count = count_members(ledger, name)
    for number in range(count - 1, max(0, count - NEWEST_MAX) - 1, -1):
        view = enclave(ledger, member_at(ledger, name, number))
        if view is not None and view.is_usable:
            yield view


def _current_release(ledger: Ledger, address: bytes, resource: Resource) -> tuple[int, Release | None]:
    """Return the newest release that takes orders, with its number."""
    last = resource.release_count - 1
    for number in range(last, max(-1, last - NEWEST_MAX), -1):
        release = ledger.get(RELEASES, numbered_key(address, number))
        if release.status is ReleaseStatus.CURRENT:
            return number, release
    return 0, None


def usage(ledger: Ledger, address: bytes, first: int, last: int | None, limit: int) -> UsagePage | None:
    """Return up to `limit` rows of a resource's ledger, from one number to another or the end; None if there is no resource."""
    use = ledger.find(RESOURCE_USES, address)
    if use is None:
        return None
    count = use.count
    end = count if last is None else min(count, last + 1)
    stop = max(first, min(end, first + limit))
    rows = tuple((number, ledger.get(USAGE, usage_key(address, number))) for number in range(first, stop))
    return UsagePage(count, rows, stop if stop < end else None)


def provider(ledger: Ledger, account: bytes) -> ProviderView:
    """Return how an account provides; nothing but zeros for one that never did."""
    holdings = ledger.find(HOLDINGS, account) or NEW_HOLDINGS
    owned = list(islice(_addresses(ledger, ListKind.OWNER, account), LOOKS_MAX))
    mine = list(islice(_addresses(ledger, ListKind.OPERATOR, account), LOOKS_MAX))
    enclave_count = count_members(ledger, list_name(ListKind.OPERATOR, account))
    return ProviderView(
        service=ledger.find(PROVIDERS, account) or NO_SERVICE,
        bond=holdings.provider_bond,
        bond_locked=holdings.provider_locked,
        running_count=count_members(ledger, list_name(ListKind.PROVIDER, account)),
        hardware=tuple(address for address in owned if ledger.get(RESOURCES, address).kind is ResourceKind.HARDWARE),
        are_all_resources_seen=len(owned) == count_members(ledger, list_name(ListKind.OWNER, account)),
        enclaves_by_state=dict(Counter(ledger.get(ENCLAVES, address).state for address in mine)),
        enclave_count=enclave_count,
        are_all_enclaves_seen=len(mine) == enclave_count,
    )


def _addresses(ledger: Ledger, kind: ListKind, name: bytes) -> Iterator[bytes]:
    """Yield the members of a list, the newest first."""
    full_name = list_name(kind, name)
    for number in range(count_members(ledger, full_name) - 1, -1, -1):
        yield member_at(ledger, full_name, number)
