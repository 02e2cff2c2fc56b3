"""amend: what may be changed of a resource, and how the bond follows the bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from state import queries
from state.lists import add_member
from state.offers import NO_CAPACITY, PLANS_MAX, Capacity, GpuCount, Payee, Plan, ResourceKind
from state.params import Params
from state.policies import AllOf, LevelAtLeast
from state.receipts import EventKind
from state.records import ONLY, PARAMS
from state.resource_messages import Amend
from state.resource_records import (
    PLANS,
    RELEASES,
    RESOURCES,
    PlanRecord,
    Release,
    ReleaseStatus,
    Resource,
    ResourceStatus,
    numbered_key,
)
from state.runtime.offers.resources import counted_bytes
from state.runtime.order_queue import orders_of_resource
from state.runtime.reasons import TransactionReason
from tests.support.amending import amend, release_change
from tests.support.attesting import CUSTOMER, DAY_MS, FEE, POSTER, Lab, publish
from tests.support.chain_builders import account
from tests.support.ordering import DATA_PLAN, MACHINE_PLAN, SLICE

DATA, SOFTWARE, HARDWARE = ResourceKind.DATA, ResourceKind.SOFTWARE, ResourceKind.HARDWARE
ACTIVE, PAUSED, RETIRED = ResourceStatus.ACTIVE, ResourceStatus.PAUSED, ResourceStatus.RETIRED
CURRENT, DEPRECATED, REVOKED = ReleaseStatus.CURRENT, ReleaseStatus.DEPRECATED, ReleaseStatus.REVOKED
CAPACITY = Capacity(vcpus=4, memory_mib=4_096, disk_mib=4_096, network_mbps=100, gpus=())
HALVES = tuple(Payee(account=each, share_bp=5_000) for each in sorted((account(1), account(2))))


class Offers(Lab):
    """A lab with data that has two plans and two releases, software without plans, and a machine of which a slice is in use."""

    def __init__(self) -> None:
        super().__init__(is_bare=True)
        self.data = self.publish(CUSTOMER, publish(DATA, plans=(DATA_PLAN, replace(DATA_PLAN, number=1))))
        assert self.reason(CUSTOMER, publish(DATA, resource=self.data)) == ""
        self.software = self.publish(CUSTOMER, publish(SOFTWARE))
        self.machine = self.publish(CUSTOMER, publish(HARDWARE, plans=(MACHINE_PLAN,)))
        self.set_resource(self.machine, in_use=SLICE)

    def set_resource(self, address: bytes, **changes: object) -> None:
        """Put a resource into another state."""
        changed = replace(self.resource(address), **changes)
        self.govern(lambda context: context.ledger.put(RESOURCES, address, changed))

    def set_release(self, number: int, status: ReleaseStatus, until_ms: int = 0) -> None:
        """Put a release of the data into another state."""
        key = numbered_key(self.data, number)
        changed = replace(self.ledger.get(RELEASES, key), status=status, until_ms=until_ms)
        self.govern(lambda context: context.ledger.put(RELEASES, key, changed))

    def set_bond_price(self, price: int) -> None:
        """Give a stored byte another price."""
        params: Params = self.params
        changed = replace(params, market=replace(params.market, storage_bond_per_byte=price))
        self.govern(lambda context: context.ledger.put(PARAMS, ONLY, changed))

    def resource(self, address: bytes) -> Resource:
        return self.ledger.get(RESOURCES, address)

    def release(self, number: int) -> Release:
        return self.ledger.get(RELEASES, numbered_key(self.data, number))

    def plan(self, number: int) -> PlanRecord:
        return self.ledger.get(PLANS, numbered_key(self.data, number))


@pytest.fixture
def lab() -> Offers:
    return Offers()


def told(lab: Offers, message: Amend) -> list[tuple[EventKind, dict[str, int | bytes]]]:
    """Amend, which must succeed, and return what is told, without the resource that all of it is about."""
    executed = lab.send(CUSTOMER, message)
    assert executed.receipts[0].reason == ""
    rows = [(event.kind, dict(event.attributes)) for event in executed.events]
    assert {row.pop("resource") for _, row in rows} == {message.resource}
    return rows


AMENDED = (EventKind.AMENDED, {"owner": account(1)})


def test_an_amendment_replaces_what_it_names_and_leaves_the_rest(lab: Offers) -> None:
    before = lab.resource(lab.data)
    message = amend(
        lab.data,
        policy=(LevelAtLeast(level=4),),
        payees=HALVES,
        vault=lab.software,
        plans_added=(replace(DATA_PLAN, number=2),),
        plans_closed=(0,),
        releases=(release_change(0, DEPRECATED, DAY_MS), release_change(1, REVOKED)),
        status=PAUSED,
        bumps_grant_epoch=True,
    )
    rows = told(lab, message)
    assert rows == [
        AMENDED,
        (EventKind.GRANT_EPOCH, {"grant_epoch": 1}),
        (EventKind.RESOURCE_STATUS, {"status": b"paused"}),
        (EventKind.PLAN_STATUS, {"plan": 0, "is_open": 0}),
        (EventKind.PLAN_STATUS, {"plan": 2, "is_open": 1}),
        (EventKind.RELEASE_STATUS, {"release": 0, "status": b"deprecated", "until_ms": lab.time_ms + DAY_MS}),
        (EventKind.RELEASE_STATUS, {"release": 1, "status": b"revoked", "until_ms": 0}),
    ]
    after = lab.resource(lab.data)
    assert after == replace(
        before,
        policy=(LevelAtLeast(level=4),),
        payees=HALVES,
        vault=lab.software,
        plan_count=3,
        status=PAUSED,
        grant_epoch=1,
        bond_locked=after.bond_locked,
    )
    assert [lab.plan(number).is_open for number in range(3)] == [False, True, True]
    assert [lab.release(number).status for number in range(2)] == [DEPRECATED, REVOKED]


def test_hardware_gets_another_capacity_and_a_date_from_which_it_takes_no_orders(lab: Offers) -> None:
    before = lab.resource(lab.machine)
    assert told(lab, amend(lab.machine, capacity=CAPACITY, drain_at_ms=lab.time_ms + DAY_MS)) == [AMENDED]
    after = lab.resource(lab.machine)
    assert after == replace(
        before, capacity=CAPACITY, drain_at_ms=lab.time_ms - 1_000 + DAY_MS, bond_locked=after.bond_locked
    )


def test_terms_are_taken_back_by_what_says_none(lab: Offers) -> None:
    assert (
        lab.reason(CUSTOMER, amend(lab.data, policy=(LevelAtLeast(level=4),), payees=HALVES, vault=lab.software)) == ""
    )
    assert lab.reason(CUSTOMER, amend(lab.data, policy=(), payees=(), vault=b"")) == ""
    after = lab.resource(lab.data)
    assert (after.policy, after.payees, after.vault) == ((), (), b"")


def test_the_bond_follows_every_byte_and_comes_back_with_it(lab: Offers) -> None:
    bond, balance = lab.resource(lab.data).bond_locked, lab.balance(account(1))
    size = counted_bytes(lab.data, lab.resource(lab.data))
    assert lab.reason(CUSTOMER, amend(lab.data, payees=HALVES, plans_added=(replace(DATA_PLAN, number=2),))) == ""
    grown = lab.resource(lab.data)
    key = numbered_key(lab.data, 2)
    plan_bytes = PLANS.byte_count(key, replace(lab.plan(2), in_use=2**63 - 1))
    added = counted_bytes(lab.data, grown) - size
    assert added > 0
    assert grown.bond_locked == bond + 10 * (added + plan_bytes)
    assert lab.balance(account(1)) == balance - FEE - 10 * (added + plan_bytes)
    assert lab.reason(CUSTOMER, amend(lab.data, payees=())) == ""
    assert lab.resource(lab.data).bond_locked == bond + 10 * plan_bytes
    assert lab.balance(account(1)) == balance - 2 * FEE - 10 * plan_bytes
    total = sum(lab.resource(each).bond_locked for each in (lab.data, lab.software, lab.machine))
    assert queries.money(lab.ledger).storage_bonds == total


def test_no_more_of_a_bond_comes_back_than_is_there(lab: Offers) -> None:
    assert lab.reason(CUSTOMER, amend(lab.data, payees=HALVES)) == ""
    bond, balance = lab.resource(lab.data).bond_locked, lab.balance(account(1))
    lab.set_bond_price(10**6)
    assert lab.reason(CUSTOMER, amend(lab.data, payees=())) == ""
    assert lab.resource(lab.data).bond_locked == 0
    assert lab.balance(account(1)) == balance - FEE + bond


def many_plans(first: int, count: int) -> tuple[Plan, ...]:
    return tuple(replace(DATA_PLAN, number=number) for number in range(first, first + count))


def retired(lab: Offers) -> Amend:
    lab.set_resource(lab.data, status=RETIRED)
    return amend(lab.data, status=ACTIVE)


def used_by_an_order(lab: Offers) -> Amend:
    lab.govern(lambda context: add_member(context.ledger, orders_of_resource(lab.data), b"\x02" + bytes(20)))
    return amend(lab.data, status=RETIRED)


def release_in_its_last_moment(lab: Offers) -> Amend:
    lab.set_release(0, DEPRECATED, lab.time_ms + 1_000)
    return amend(lab.data, releases=(release_change(0, CURRENT),))


def revoked_already(lab: Offers) -> Amend:
    lab.set_release(0, REVOKED)
    return amend(lab.data, releases=(release_change(0, REVOKED),))


def closed_already(lab: Offers) -> Amend:
    assert lab.reason(CUSTOMER, amend(lab.data, plans_closed=(0,))) == ""
    return amend(lab.data, plans_closed=(0,))


def too_dear(lab: Offers) -> Amend:
    lab.set_bond_price(10**12)
    return amend(lab.data, payees=HALVES)


def numbers_used_up(lab: Offers) -> Amend:
    lab.set_resource(lab.data, plan_count=256)
    return amend(lab.data, plans_added=many_plans(255, 1))


Build = Callable[[Offers], Amend]
R = TransactionReason
REFUSALS: list[tuple[str, Build, str]] = [
    ("nothing", lambda lab: amend(lab.data), R.UNEXPECTED_FIELD),
    ("what is so already", lambda lab: amend(lab.data, policy=(), status=ACTIVE), R.UNEXPECTED_FIELD),
    ("current stays", lambda lab: amend(lab.data, releases=(release_change(0, CURRENT),)), R.UNEXPECTED_FIELD),
    ("no resource", lambda _: amend(b"\x01" + bytes(20), status=PAUSED), R.NO_RESOURCE),
    ("retired", retired, R.RESOURCE_NOT_ACTIVE),
    ("policy", lambda lab: amend(lab.data, policy=(AllOf(count=2), LevelAtLeast(level=4))), R.POLICY_MALFORMED),
    ("shares", lambda lab: amend(lab.data, payees=HALVES[:1]), R.PAYEES_MALFORMED),
    ("payees unsorted", lambda lab: amend(lab.data, payees=HALVES[::-1]), R.PAYEES_MALFORMED),
    (
        "payee is a resource",
        lambda lab: amend(lab.data, payees=(Payee(account=lab.data, share_bp=10_000),)),
        R.NOT_AN_ACCOUNT,
    ),
    ("vault is nothing", lambda lab: amend(lab.data, vault=b"\x01" + bytes(20)), R.NO_RESOURCE),
    ("vault is data", lambda lab: amend(lab.data, vault=lab.data), R.WRONG_RESOURCE_KIND),
    ("capacity of data", lambda lab: amend(lab.data, capacity=CAPACITY), R.WRONG_RESOURCE_KIND),
    ("end of data", lambda lab: amend(lab.data, drain_at_ms=1), R.WRONG_RESOURCE_KIND),
    ("capacity in use", lambda lab: amend(lab.machine, capacity=NO_CAPACITY), R.CAPACITY_IN_USE),
    (
        "GPU twice",
        lambda lab: amend(lab.machine, capacity=replace(CAPACITY, gpus=(GpuCount(model="h100", count=1),) * 2)),
        R.CAPACITY_MALFORMED,
    ),
    ("frozen hardware", lambda lab: amend(lab.machine, freezes=True), R.WRONG_RESOURCE_KIND),
    ("frozen and resumed", lambda lab: amend(lab.data, freezes=True, status=ACTIVE), R.UNEXPECTED_FIELD),
    ("retired in use", used_by_an_order, R.RESOURCE_IN_USE),
    ("plan number", lambda lab: amend(lab.data, plans_added=many_plans(3, 1)), R.PLANS_MALFORMED),
    ("plan number of another", lambda lab: amend(lab.data, plans_added=many_plans(0, 1)), R.PLANS_MALFORMED),
    ("too many open plans", lambda lab: amend(lab.data, plans_added=many_plans(2, 15)), R.PLANS_MALFORMED),
    ("numbers of plans used up", numbers_used_up, R.PLANS_MALFORMED),
    (
        "machine without beats",
        lambda lab: amend(
            lab.machine,
            plans_added=(replace(MACHINE_PLAN, number=1, service_level=DATA_PLAN.service_level),),
        ),
        R.PLAN_MALFORMED,
    ),
    ("no plan", lambda lab: amend(lab.data, plans_closed=(2,)), R.NO_PLAN),
    ("plan closed already", closed_already, R.NO_PLAN),
    ("plans unsorted", lambda lab: amend(lab.data, plans_closed=(1, 0)), R.PLANS_MALFORMED),
    ("no release", lambda lab: amend(lab.data, releases=(release_change(2, REVOKED),)), R.NO_RELEASE),
    ("release of hardware", lambda lab: amend(lab.machine, releases=(release_change(0, REVOKED),)), R.NO_RELEASE),
    ("release twice", lambda lab: amend(lab.data, releases=(release_change(0, REVOKED),) * 2), R.NO_RELEASE),
    (
        "notice of what is revoked",
        lambda lab: amend(lab.data, releases=(release_change(0, REVOKED, 1),)),
        R.UNEXPECTED_FIELD,
    ),
    ("revoked for ever", revoked_already, R.RELEASE_STATUS_FINAL),
    ("over although the wheel is late", release_in_its_last_moment, R.RELEASE_STATUS_FINAL),
    ("bond", too_dear, R.BALANCE_TOO_LOW),
]


@pytest.mark.parametrize(("build", "reason"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_an_amendment_that_cannot_be_is_refused_and_changes_nothing(lab: Offers, build: Build, reason: str) -> None:
    message = build(lab)
    records = {key: value for key, value in lab.state.items() if key[0] in range(0x40, 0x44)}
    assert lab.reason(CUSTOMER, message) == reason
    assert {key: value for key, value in lab.state.items() if key[0] in range(0x40, 0x44)} == records


def test_only_the_owner_amends(lab: Offers) -> None:
    assert lab.reason(POSTER, amend(lab.data, status=PAUSED)) == TransactionReason.NOT_OWNER


def test_as_many_plans_are_open_as_may_be_and_a_closed_one_makes_room(lab: Offers) -> None:
    assert lab.reason(CUSTOMER, amend(lab.data, plans_added=many_plans(2, PLANS_MAX - 2))) == ""
    more = amend(lab.data, plans_added=many_plans(PLANS_MAX, 1))
    assert lab.reason(CUSTOMER, more) == TransactionReason.PLANS_MALFORMED
    assert lab.reason(CUSTOMER, replace(more, plans_closed=(3,))) == ""


@pytest.mark.parametrize("before", [ACTIVE, PAUSED])
def test_a_frozen_resource_is_paused_until_it_is_resumed(lab: Offers, before: ResourceStatus) -> None:
    lab.set_resource(lab.data, status=before)
    changes = [] if before is PAUSED else [(EventKind.RESOURCE_STATUS, {"status": b"paused"})]
    assert told(lab, amend(lab.data, freezes=True)) == [AMENDED, (EventKind.FROZEN, {}), *changes]
    assert (lab.resource(lab.data).status, lab.resource(lab.data).frozen_ms) == (PAUSED, lab.time_ms)
    assert lab.reason(CUSTOMER, amend(lab.data, freezes=True)) == TransactionReason.UNEXPECTED_FIELD
    assert told(lab, amend(lab.data, status=ACTIVE))[1:] == [(EventKind.RESOURCE_STATUS, {"status": b"active"})]
    assert (lab.resource(lab.data).status, lab.resource(lab.data).frozen_ms) == (ACTIVE, 0)


def test_a_release_that_is_current_again_outlives_the_notice_that_was_taken_back(lab: Offers) -> None:
    assert lab.reason(CUSTOMER, amend(lab.data, releases=(release_change(0, DEPRECATED, DAY_MS),))) == ""
    assert lab.reason(CUSTOMER, amend(lab.data, releases=(release_change(0, CURRENT),))) == ""
    assert lab.apply(interval_ms=DAY_MS + 1_000).events == ()
    assert lab.release(0).status is CURRENT


def test_the_last_notice_of_a_release_counts(lab: Offers) -> None:
    for notice_ms in (DAY_MS, 3 * DAY_MS):
        assert lab.reason(CUSTOMER, amend(lab.data, releases=(release_change(0, DEPRECATED, notice_ms),))) == ""
    lab.apply(interval_ms=DAY_MS + 1_000)
    assert lab.release(0).status is DEPRECATED
    lab.apply(interval_ms=2 * DAY_MS)
    assert (lab.release(0).status, lab.release(0).until_ms) == (REVOKED, 0)
