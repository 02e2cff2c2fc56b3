"""publish: what a resource needs, what it costs, how releases follow one another."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from state import queries
from state.codec import INTEGER_MAX, encode
from state.ledger import Table
from state.lists import LIST_LENGTHS, LIST_PLACES, ListKind
from state.offers import (
    NO_CAPACITY,
    AttributeRule,
    GpuCount,
    Payee,
    Plan,
    PlanUnit,
    Register,
    ResourceKind,
    ServiceLevel,
)
from state.policies import AllOf, LevelAtLeast, Not
from state.receipts import EventKind
from state.records import RECENT_BLOCKS
from state.resource_records import (
    PLANS,
    RELEASES,
    RESOURCE_USES,
    RESOURCES,
    ReleaseStatus,
    ResourceStatus,
    numbered_key,
)
from state.runtime.offers.resources import GROWING
from state.runtime.reasons import TransactionReason
from state.trust_messages import Publish, Supersede
from state.trust_queries import release, resource
from tee.evidence import EvidenceKind
from tests.support.attesting import CUSTOMER, DAY_MS, EMPTY_RELEASE, FEE, POSTER, Lab, publish, td_profile
from tests.support.chain_builders import account

SOFTWARE, HARDWARE, DATA = ResourceKind.SOFTWARE, ResourceKind.HARDWARE, ResourceKind.DATA
PLAN = Plan(
    number=0,
    unit=PlanUnit.SECOND,
    price=5,
    min_term_ms=1_000,
    max_term_ms=2_000,
    capacity=NO_CAPACITY,
    stock=0,
    service_level=ServiceLevel(beat_every_ms=1_000, grace_ms=5_000, penalty_bp=100),
    notice_ms=0,
    keep_after_ms=0,
)


@pytest.fixture
def lab() -> Lab:
    return Lab(is_bare=True)


def with_profile(**changes: object) -> Publish:
    return publish(SOFTWARE, release=replace(EMPTY_RELEASE, profiles=(replace(td_profile(), **changes),)))


def byte_count(added: dict[bytes, bytes]) -> int:
    """Return how many bytes records take with their keys, where numbers that change later are at their largest."""
    numbers: dict[bytes, tuple[Table[Any], tuple[str, ...]]] = {
        table.prefix: (table, names)
        for table, names in (
            (RESOURCES, GROWING),
            (RESOURCE_USES, ("count", "promised")),
            (RELEASES, ("until_ms",)),
            (PLANS, ("in_use",)),
            (LIST_PLACES, ("number",)),
            (LIST_LENGTHS, ("count",)),
        )
    }
    for raw_key, encoded in added.items():
        if raw_key[:1] in numbers:
            table, names = numbers[raw_key[:1]]
            largest = replace(table.codec.decode(encoded), **dict.fromkeys(names, INTEGER_MAX))
            added = {**added, raw_key: encode(largest)}
    return sum(len(raw_key) + len(encoded) for raw_key, encoded in added.items())


def added_by(lab: Lab, message: Publish) -> dict[bytes, bytes]:
    """Publish, and return the records that are in the state since, beside the one that every block adds."""
    before = set(lab.state)
    assert lab.reason(CUSTOMER, message) == ""
    added = {raw_key: lab.state[raw_key] for raw_key in sorted(set(lab.state) - before)}
    return {raw_key: encoded for raw_key, encoded in added.items() if raw_key[:1] != RECENT_BLOCKS.prefix}


def test_a_bond_counts_every_byte_that_the_first_publication_of_an_owner_adds_to_the_state(lab: Lab) -> None:
    added = added_by(lab, publish(SOFTWARE, plans=(PLAN, replace(PLAN, number=1))))
    (address,) = lab.members(ListKind.RESOURCES)
    record = resource(lab.ledger, address)
    assert record is not None
    assert len({raw_key[:1] for raw_key in added}) == 7
    assert record.bond_locked == 10 * byte_count(added)


def test_a_release_adds_every_byte_of_its_record_to_the_bond(lab: Lab) -> None:
    address = lab.publish(CUSTOMER, publish(SOFTWARE))
    before = resource(lab.ledger, address)
    added = added_by(lab, next_release(address))
    after = resource(lab.ledger, address)
    assert before is not None
    assert after is not None
    assert [raw_key[:1] for raw_key in added] == [RELEASES.prefix]
    assert after.bond_locked - before.bond_locked == 10 * byte_count(added)


def test_a_resource_holds_a_bond_for_its_bytes(lab: Lab) -> None:
    before = lab.balance(account(1))
    message = publish(SOFTWARE, plans=(PLAN,))
    address = lab.publish(CUSTOMER, message)
    record = resource(lab.ledger, address)
    assert record is not None
    assert lab.balance(account(1)) == before - FEE - record.bond_locked
    assert queries.money(lab.ledger).storage_bonds == record.bond_locked
    assert (record.owner, record.status, record.release_count) == (account(1), ResourceStatus.ACTIVE, 1)
    assert lab.members(ListKind.OWNER, account(1)) == lab.members(ListKind.RESOURCES) == [address]
    assert lab.ledger.get(PLANS, numbered_key(address, 0)).plan == PLAN


def test_resources_of_equal_content_have_different_addresses(lab: Lab) -> None:
    assert lab.publish(CUSTOMER, publish(HARDWARE)) != lab.publish(CUSTOMER, publish(HARDWARE))


REFUSALS = [
    ("hardware without capacity", publish(HARDWARE, capacity=None), TransactionReason.UNEXPECTED_FIELD),
    ("hardware with release", publish(HARDWARE, release=EMPTY_RELEASE), TransactionReason.UNEXPECTED_FIELD),
    ("data without release", publish(DATA, release=None), TransactionReason.UNEXPECTED_FIELD),
    ("software with capacity", publish(SOFTWARE, capacity=NO_CAPACITY), TransactionReason.UNEXPECTED_FIELD),
    ("new one supersedes", publish(SOFTWARE, supersedes=Supersede.ALL), TransactionReason.UNEXPECTED_FIELD),
    ("list without word", publish(SOFTWARE, superseded=(0,)), TransactionReason.UNEXPECTED_FIELD),
    ("order that is none", publish(DATA, derived_from=b"\x02" + bytes(20)), TransactionReason.NO_ORDER),
    ("vault that is an account", publish(DATA, vault=account(0)), TransactionReason.NO_RESOURCE),
    (
        "policy cut short",
        publish(DATA, policy=(AllOf(count=2), LevelAtLeast(level=4))),
        TransactionReason.POLICY_MALFORMED,
    ),
    ("two policies", publish(DATA, policy=(LevelAtLeast(level=4),) * 2), TransactionReason.POLICY_MALFORMED),
    (
        "policy too deep",
        publish(DATA, policy=(Not(),) * 5 + (LevelAtLeast(level=4),)),
        TransactionReason.POLICY_MALFORMED,
    ),
    ("plan number", publish(DATA, plans=(replace(PLAN, number=1),)), TransactionReason.PLANS_MALFORMED),
    ("plan terms", publish(DATA, plans=(replace(PLAN, min_term_ms=3_000),)), TransactionReason.PLANS_MALFORMED),
    (
        "payee that is none",
        publish(DATA, payees=(Payee(account=b"\x01" + bytes(20), share_bp=10_000),)),
        TransactionReason.NOT_AN_ACCOUNT,
    ),
    ("vault that is nothing", publish(DATA, vault=b"\x01" + bytes(20)), TransactionReason.NO_RESOURCE),
    ("origin of hardware", publish(HARDWARE, derived_from=b"\x02" + bytes(20)), TransactionReason.UNEXPECTED_FIELD),
    ("shares", publish(DATA, payees=(Payee(account=account(0), share_bp=9_999),)), TransactionReason.PAYEES_MALFORMED),
    (
        "payee twice",
        publish(DATA, payees=(Payee(account=account(0), share_bp=5_000),) * 2),
        TransactionReason.PAYEES_MALFORMED,
    ),
    (
        "GPU twice",
        publish(HARDWARE, capacity=replace(NO_CAPACITY, gpus=(GpuCount(model="h100", count=1),) * 2)),
        TransactionReason.CAPACITY_MALFORMED,
    ),
    ("unknown TEE", with_profile(tee=77), TransactionReason.UNKNOWN_TEE),
    (
        "signer alone",
        with_profile(tee=EvidenceKind.SGX, registers=(Register(name="mr_signer", expected=bytes(32)),)),
        TransactionReason.PROFILE_INCOMPLETE,
    ),
    ("without kernel", with_profile(registers=td_profile().registers[:2]), TransactionReason.PROFILE_INCOMPLETE),
    (
        "unknown register",
        with_profile(registers=(*td_profile().registers, Register(name="rtmr9", expected=b"1"))),
        TransactionReason.PROFILE_MALFORMED,
    ),
    (
        "not sorted",
        with_profile(registers=td_profile().registers[::-1]),
        TransactionReason.PROFILE_MALFORMED,
    ),
    (
        "outside of its mask",
        with_profile(attributes=(AttributeRule(name="xfam", mask=bytes(8), expected=b"\x01" + bytes(7)),)),
        TransactionReason.PROFILE_MALFORMED,
    ),
    (
        "short digest",
        publish(SOFTWARE, release=replace(EMPTY_RELEASE, sealed_root=b"1")),
        TransactionReason.UNEXPECTED_FIELD,
    ),
    ("not a resource", publish(SOFTWARE, resource=b"\x01" + bytes(20)), TransactionReason.NO_RESOURCE),
]


@pytest.mark.parametrize(("message", "reason"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_what_is_not_whole_is_refused_by_its_reason(lab: Lab, message: Publish, reason: str) -> None:
    assert lab.reason(CUSTOMER, message) == reason


@pytest.mark.parametrize("beat_every_ms", [0, 999, 1_000])
@pytest.mark.parametrize("unit", PlanUnit)
@pytest.mark.parametrize("kind", ResourceKind)
def test_a_machine_whose_time_is_paid_beats_and_nothing_beats_too_often(
    lab: Lab, kind: ResourceKind, unit: PlanUnit, beat_every_ms: int
) -> None:
    service_level = replace(PLAN.service_level, beat_every_ms=beat_every_ms)
    message = publish(kind, plans=(replace(PLAN, unit=unit, service_level=service_level),))
    is_timed = kind is HARDWARE and unit in {PlanUnit.SECOND, PlanUnit.GB_SECOND}
    is_refused = beat_every_ms == 999 or (is_timed and beat_every_ms == 0)
    assert lab.reason(CUSTOMER, message) == (TransactionReason.PLAN_MALFORMED if is_refused else "")


def test_a_plan_without_a_longest_term_may_have_a_least_one(lab: Lab) -> None:
    assert lab.reason(CUSTOMER, publish(DATA, plans=(replace(PLAN, max_term_ms=0),))) == ""


def test_a_vault_is_software_that_is_there(lab: Lab) -> None:
    vault = lab.publish(CUSTOMER, publish(SOFTWARE))
    data = lab.publish(CUSTOMER, publish(DATA, vault=vault))
    assert lab.reason(CUSTOMER, publish(DATA, vault=data)) == TransactionReason.WRONG_RESOURCE_KIND


def next_release(address: bytes, **changes: object) -> Publish:
    return publish(SOFTWARE, resource=address, **changes)


def test_only_the_owner_adds_releases_of_the_same_kind(lab: Lab) -> None:
    address = lab.publish(CUSTOMER, publish(SOFTWARE))
    assert lab.reason(POSTER, next_release(address)) == TransactionReason.NOT_OWNER
    assert lab.reason(CUSTOMER, replace(next_release(address), kind=DATA)) == TransactionReason.WRONG_RESOURCE_KIND
    assert lab.reason(CUSTOMER, next_release(address, payees=(Payee(account=account(0), share_bp=10_000),))) == (
        TransactionReason.UNEXPECTED_FIELD
    )
    assert lab.reason(CUSTOMER, next_release(address)) == ""


def test_a_superseded_release_is_deprecated_and_revoked_after_its_notice(lab: Lab) -> None:
    address = lab.publish(CUSTOMER, publish(SOFTWARE))
    executed = lab.send(CUSTOMER, next_release(address, supersedes=Supersede.LISTED, superseded=(0,), notice_ms=DAY_MS))
    assert executed.receipts[0].reason == ""
    old, new = release(lab.ledger, address, 0), release(lab.ledger, address, 1)
    assert old is not None
    assert new is not None
    assert (old.status, old.until_ms) == (ReleaseStatus.DEPRECATED, lab.time_ms + DAY_MS)
    assert new.status is ReleaseStatus.CURRENT
    events = lab.apply(interval_ms=DAY_MS + 1_000).events
    assert [event.kind for event in events] == [EventKind.RELEASE_STATUS]
    old = release(lab.ledger, address, 0)
    assert old is not None
    assert old.status is ReleaseStatus.REVOKED


def test_releases_that_do_not_exist_cannot_be_superseded(lab: Lab) -> None:
    address = lab.publish(CUSTOMER, publish(SOFTWARE))
    message = next_release(address, supersedes=Supersede.LISTED, superseded=(0, 1))
    assert lab.reason(CUSTOMER, message) == TransactionReason.NO_RELEASE
