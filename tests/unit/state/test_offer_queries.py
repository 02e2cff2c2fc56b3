"""Readers of what is on offer: resources by what they are, the market by what an order needs, and how providers serve."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.ledger import Ledger
from state.offer_queries import OfferFilter, ResourceFilter, UsagePage, market, plans, provider, resources, usage
from state.offers import NO_CAPACITY, Capacity, GpuCount, PlanUnit, ResourceKind
from state.order_records import USAGE, usage_key
from state.policies import AnyOf, BetweenHeights, CustomerIn, Not, PurposeIs
from state.resource_records import PLANS, RELEASES, RESOURCES, ReleaseStatus, ResourceStatus, numbered_key
from state.trust_records import EnclaveState
from tee.evidence import EvidenceKind
from tests.support.attesting import PROVIDER, publish
from tests.support.chain_builders import account
from tests.support.ordering import BOND, MACHINE_PLAN, SLICE, Market

CAPACITY = Capacity(
    vcpus=16, memory_mib=65_536, disk_mib=65_536, network_mbps=1_000, gpus=(GpuCount(model="h100", count=4),)
)
GPU_PLAN = replace(
    MACHINE_PLAN, number=1, price=9_000, capacity=replace(SLICE, gpus=(GpuCount(model="h100", count=2),))
)


@pytest.fixture(scope="module")
def running() -> Market:
    """A market with an order that runs on the machine, which has GPUs; nothing is changed in it."""
    return market_with_order()


@pytest.fixture
def changing() -> Market:
    """Likewise, to be changed."""
    return market_with_order()


def market_with_order() -> Market:
    made = Market(stock=3)
    machine = publish(ResourceKind.HARDWARE, plans=(replace(MACHINE_PLAN), GPU_PLAN))
    made.gpu_machine = made.publish(PROVIDER, replace(machine, capacity=CAPACITY))
    made.order_id = made.running()
    return made


def change(world: Market, address: bytes, **changes: object) -> None:
    resource = replace(world.ledger.get(RESOURCES, address), **changes)
    world.govern(lambda context: context.ledger.put(RESOURCES, address, resource))


def found(ledger: Ledger, **wanted: object) -> set[bytes]:
    """Return what takes orders and fits, read one by one."""
    addresses, cursor = set(), None
    while True:
        page = market(ledger, OfferFilter(**wanted), 1, cursor)
        addresses |= {offer.address for offer in page.offers}
        cursor = page.next_cursor
        if cursor is None:
            return addresses


def test_resources_are_found_by_owner_kind_category_and_status(running):
    ledger = running.ledger

    def listed(**wanted: object) -> list[bytes]:
        return [view.address for view in resources(ledger, ResourceFilter(**wanted), 10).resources]

    everything = [running.gpu_machine, running.data, running.hardware, running.image]
    assert listed() == everything
    assert listed(owner=account(0)) == [running.gpu_machine, running.hardware]
    assert listed(kind=ResourceKind.DATA) == [running.data]
    assert listed(status=ResourceStatus.RETIRED) == listed(category="nothing") == []
    assert listed(owner=account(4)) == []


def test_resources_come_page_by_page_and_a_call_looks_at_few(running, monkeypatch):
    page = resources(running.ledger, ResourceFilter(), 3)
    rest = resources(running.ledger, ResourceFilter(), 3, page.next_cursor)
    assert ([view.address for view in rest.resources], rest.next_cursor) == ([running.image], None)
    monkeypatch.setattr("state.offer_queries.LOOKS_MAX", 2)
    page = resources(running.ledger, ResourceFilter(kind=ResourceKind.SOFTWARE), 3)
    assert (page.resources, page.next_cursor) == ((), 2)


def test_a_plan_has_free_what_stock_and_capacity_leave(running):
    ledger = running.ledger
    machine = ledger.get(RESOURCES, running.hardware)
    (view,) = plans(ledger, running.hardware, machine, 5)
    assert (view.record.in_use, view.free) == (1, 2)
    gpu_view, plain_view = plans(ledger, running.gpu_machine, ledger.get(RESOURCES, running.gpu_machine), 5)
    assert (gpu_view.record.plan, gpu_view.free) == (GPU_PLAN, 2)
    assert (plain_view.record.plan.number, plain_view.free) == (0, 8)
    (data_view,) = plans(ledger, running.data, ledger.get(RESOURCES, running.data), 5)
    assert data_view.free is None
    assert plans(ledger, running.gpu_machine, ledger.get(RESOURCES, running.gpu_machine), 1) == (gpu_view,)


def test_the_market_shows_what_takes_orders_with_enclaves_and_service(running):
    page = market(running.ledger, OfferFilter(), 10)
    offers = {offer.address: offer for offer in page.offers}
    assert set(offers) == {running.gpu_machine, running.data, running.hardware, running.image}
    machine = offers[running.hardware]
    assert ([view.enclave.level for view in machine.enclaves], machine.tees) == ([1], (EvidenceKind.TDX,))
    assert (machine.provider.orders_accepted, machine.release) == (1, None)
    assert (offers[running.gpu_machine].enclaves, offers[running.gpu_machine].provider) == ((), machine.provider)
    assert (offers[running.image].tees, offers[running.image].release) == ((EvidenceKind.TDX,), 0)
    assert (offers[running.data].tees, offers[running.data].provider) == ((), None)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"kind": ResourceKind.HARDWARE}, "hardware gpu_machine"),
        ({"category": "nothing"}, ""),
        ({"unit": PlanUnit.ONCE}, "image data"),
        ({"unit": PlanUnit.SECOND, "price_max": 1_000}, "hardware gpu_machine"),
        ({"unit": PlanUnit.SECOND, "price_max": 999}, ""),
        ({"level_min": 1}, "hardware image data"),
        ({"level_min": 2}, "image data"),
        ({"tee": EvidenceKind.TDX}, "hardware image data"),
        ({"tee": EvidenceKind.NITRO}, "data"),
        ({"kind": ResourceKind.HARDWARE, "capacity": SLICE}, "hardware gpu_machine"),
        ({"kind": ResourceKind.HARDWARE, "capacity": replace(SLICE, vcpus=3)}, ""),
        (
            {"kind": ResourceKind.HARDWARE, "capacity": replace(NO_CAPACITY, gpus=GPU_PLAN.capacity.gpus)},
            "gpu_machine",
        ),
        ({"kind": ResourceKind.HARDWARE, "price_max": 1_000, "capacity": GPU_PLAN.capacity}, ""),
        ({"customer": bytes(21)}, "hardware gpu_machine image data"),
    ],
    ids=str,
)
def test_offers_are_found_by_what_an_order_needs(running, wanted, names):
    assert found(running.ledger, **wanted) == {getattr(running, name) for name in names.split()}


@pytest.mark.parametrize(
    "changes",
    [
        {"status": ResourceStatus.PAUSED},
        {"status": ResourceStatus.RETIRED},
        {"frozen_ms": 1},
        {"drain_at_ms": 1},
        {"in_use": Capacity(vcpus=15, memory_mib=0, disk_mib=0, network_mbps=0, gpus=())},
    ],
    ids=str,
)
def test_what_takes_no_orders_is_not_on_the_market(changing, changes):
    change(changing, changing.hardware, **changes)
    assert changing.hardware not in found(changing.ledger)


def test_plans_that_are_closed_or_sold_out_are_not_on_the_market(changing):
    key = numbered_key(changing.hardware, 0)
    plan = changing.ledger.get(PLANS, key)
    for changed in (replace(plan, is_open=False), replace(plan, in_use=3)):
        changing.govern(lambda context, changed=changed: context.ledger.put(PLANS, key, changed))
        assert changing.hardware not in found(changing.ledger)


def test_software_needs_a_release_that_takes_orders(changing):
    key = numbered_key(changing.image, 0)
    revoked = replace(changing.ledger.get(RELEASES, key), status=ReleaseStatus.REVOKED)
    changing.govern(lambda context: context.ledger.put(RELEASES, key, revoked))
    assert changing.image not in found(changing.ledger)


@pytest.mark.parametrize(
    ("policy", "is_found"),
    [
        ((CustomerIn(accounts=(account(4),)),), True),
        ((CustomerIn(accounts=(account(1),)),), False),
        ((Not(), CustomerIn(accounts=(account(4),))), False),
        ((AnyOf(count=2), CustomerIn(accounts=(account(1),)), PurposeIs(purpose="research")), True),
        ((BetweenHeights(first=0, last=1),), False),
    ],
    ids=["named", "others", "excluded", "or", "over"],
)
def test_offers_whose_policy_rules_the_customer_out_are_left_out(changing, policy, is_found):
    change(changing, changing.data, policy=policy)
    assert (changing.data in found(changing.ledger, customer=account(4))) is is_found
    assert changing.data in found(changing.ledger)


def test_a_call_to_the_market_looks_at_few_records(running, monkeypatch):
    monkeypatch.setattr("state.offer_queries.LOOKS_MAX", 1)
    page = market(running.ledger, OfferFilter(kind=ResourceKind.SOFTWARE), 10)
    assert (page.offers, page.next_cursor) == ((), 3)
    assert found(running.ledger, kind=ResourceKind.SOFTWARE) == {running.image}


def test_the_ledger_of_use_has_every_start_and_a_known_end(changing):
    other = changing.running()
    rows = tuple(changing.ledger.get(USAGE, usage_key(changing.data, number)) for number in range(2))
    assert [row.order for row in rows] == [changing.order_id, other]
    numbered = tuple(enumerate(rows))
    assert usage(changing.ledger, changing.data, 0, None, 10) == UsagePage(2, numbered, None)
    assert usage(changing.ledger, changing.data, 0, None, 1) == UsagePage(2, numbered[:1], 1)
    assert usage(changing.ledger, changing.data, 1, 1, 10) == UsagePage(2, numbered[1:], None)
    assert usage(changing.ledger, changing.data, 0, 0, 10) == UsagePage(2, numbered[:1], None)
    assert usage(changing.ledger, changing.data, 7, 9, 10) == UsagePage(2, (), None)
    assert usage(changing.ledger, bytes(21), 0, None, 10) is None


def test_a_provider_is_told_with_bond_machines_enclaves_and_service(running):
    told = provider(running.ledger, account(0))
    locked = running.order(running.order_id).penalty_locked
    assert (told.bond, told.bond_locked, told.running_count) == (BOND - locked, locked, 1)
    assert told.hardware == (running.gpu_machine, running.hardware)
    assert (told.enclaves_by_state, told.enclave_count) == ({EnclaveState.TRUSTED: 1}, 1)
    assert (told.are_all_resources_seen, told.are_all_enclaves_seen) == (True, True)
    assert told.service.orders_accepted == 1


def test_a_provider_with_more_than_a_call_looks_at_is_told_in_part(running, monkeypatch):
    monkeypatch.setattr("state.offer_queries.LOOKS_MAX", 1)
    told = provider(running.ledger, account(0))
    assert (told.hardware, told.are_all_resources_seen) == ((running.gpu_machine,), False)


def test_who_never_provided_is_told_with_zeros(running):
    told = provider(running.ledger, account(4))
    assert (told.bond, told.bond_locked, told.running_count, told.hardware, told.enclave_count) == (0, 0, 0, (), 0)
    assert told.service.orders_accepted == 0
