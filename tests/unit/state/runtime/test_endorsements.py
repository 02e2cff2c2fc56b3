"""endorse: claims with a date, by anybody, about anything that can be named; replaced and taken back by their endorser alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state import queries
from state.deadlines import DEADLINES, find_next_deadline_ms
from state.lists import LIST_LENGTHS, LIST_MEMBERS, LIST_PLACES, ListKind
from state.policies import SubjectKind
from state.receipts import EventKind
from state.resource_records import ENDORSEMENTS, endorsement_key, subject_name
from state.runtime.reasons import TransactionReason
from state.trust_messages import Endorse
from state.trust_queries import endorsement
from tests.support.attesting import CUSTOMER, DAY_MS, FEE, PROVIDER, Lab
from tests.support.chain_builders import account, make_genesis, transfer, with_params

PLATFORM = b"\x01" + bytes(16)
HOUR_MS = 3_600_000


@pytest.fixture
def lab() -> Lab:
    return Lab(is_bare=True)


def endorse(lab: Lab, **changes: object) -> Endorse:
    plain = Endorse(
        subject_kind=SubjectKind.PLATFORM,
        subject=PLATFORM,
        claim="data-centre",
        statement_hash=b"",
        until_ms=lab.time_ms + HOUR_MS,
    )
    return replace(plain, **changes)


def find(lab: Lab, endorser: bytes = b"") -> object:
    return endorsement(lab.ledger, endorser or account(0), SubjectKind.PLATFORM, PLATFORM, "data-centre")


def count(lab: Lab, prefix: bytes) -> int:
    return sum(raw_key[:1] == prefix for raw_key in lab.state)


def test_an_endorsement_counts_until_its_date(lab: Lab) -> None:
    assert lab.reason(PROVIDER, endorse(lab)) == ""
    assert find(lab) is not None
    assert find(lab, account(1)) is None
    lab.apply(interval_ms=HOUR_MS)
    assert find(lab) is None


def test_an_endorsement_leaves_the_state_when_it_no_longer_counts(lab: Lab) -> None:
    until_ms = lab.time_ms + HOUR_MS
    lab.send(PROVIDER, endorse(lab, until_ms=until_ms))
    lab.apply(interval_ms=until_ms - lab.time_ms)
    assert find(lab) is not None
    (event,) = lab.apply(interval_ms=256).events
    assert event.kind is EventKind.ENDORSEMENT_ENDED
    assert dict(event.attributes) == {
        "endorser": account(0),
        "subject_kind": b"platform",
        "subject": PLATFORM,
        "claim": b"data-centre",
        "until_ms": until_ms,
    }
    assert count(lab, ENDORSEMENTS.prefix) == count(lab, DEADLINES.prefix) == 0


def test_an_endorsement_has_one_deadline_however_often_it_is_replaced(lab: Lab) -> None:
    start_ms = lab.time_ms
    for hours in (2, 4, 1, 3):
        lab.send(PROVIDER, endorse(lab, until_ms=start_ms + hours * HOUR_MS))
    assert count(lab, DEADLINES.prefix) == 1
    lab.apply(interval_ms=2 * HOUR_MS + 1_000)
    assert (find(lab) is not None, count(lab, DEADLINES.prefix)) == (True, 1)
    lab.apply(interval_ms=HOUR_MS)
    assert count(lab, ENDORSEMENTS.prefix) == count(lab, DEADLINES.prefix) == 0


def test_the_deadline_of_an_endorsement_that_was_taken_back_ends_no_later_one(lab: Lab) -> None:
    start_ms = lab.time_ms
    lab.send(PROVIDER, endorse(lab))
    lab.send(PROVIDER, endorse(lab, until_ms=0))
    lab.send(PROVIDER, endorse(lab, until_ms=start_ms + 2 * HOUR_MS))
    assert lab.apply(interval_ms=HOUR_MS + 1_000).events == ()
    assert (find(lab) is not None, count(lab, DEADLINES.prefix)) == (True, 1)
    lab.send(PROVIDER, endorse(lab, until_ms=0))
    assert lab.apply(interval_ms=HOUR_MS).events == ()


def test_an_endorsement_stands_in_the_lists_of_endorser_and_subject_while_it_is_on_record(lab: Lab) -> None:
    until_ms = lab.time_ms + HOUR_MS
    lab.send(PROVIDER, endorse(lab), endorse(lab, subject_kind=SubjectKind.ACCOUNT, subject=account(2)))
    lab.send(CUSTOMER, endorse(lab, until_ms=until_ms))
    key, other, third = (
        endorsement_key(account(0), SubjectKind.PLATFORM, PLATFORM, "data-centre"),
        endorsement_key(account(0), SubjectKind.ACCOUNT, account(2), "data-centre"),
        endorsement_key(account(1), SubjectKind.PLATFORM, PLATFORM, "data-centre"),
    )
    subject = subject_name(SubjectKind.PLATFORM, PLATFORM)

    def listed() -> list[list[bytes]]:
        names = ((ListKind.ENDORSER, account(0)), (ListKind.ENDORSER, account(1)), (ListKind.SUBJECT, subject))
        return [lab.members(*name) for name in names]

    assert listed() == [[key, other], [third], [key, third]]
    lab.send(PROVIDER, endorse(lab, until_ms=until_ms + HOUR_MS))
    assert listed() == [[key, other], [third], [key, third]]
    lab.apply(interval_ms=HOUR_MS)
    assert listed() == [[key], [], [key]]
    lab.send(PROVIDER, endorse(lab, until_ms=0))
    assert listed() == [[], [], []]
    assert count(lab, LIST_LENGTHS.prefix) == count(lab, LIST_MEMBERS.prefix) == count(lab, LIST_PLACES.prefix) == 0


def test_an_endorsement_locks_a_bond_for_its_bytes_until_it_leaves(lab: Lab) -> None:
    before = lab.balance(account(0))

    def state_bytes() -> int:
        return sum(
            len(raw_key) + len(record)
            for raw_key, record in lab.state.items()
            if raw_key[0] in {table.prefix[0] for table in (ENDORSEMENTS, LIST_LENGTHS, LIST_MEMBERS, LIST_PLACES)}
        )

    lab.send(PROVIDER, endorse(lab))
    record = find(lab)
    bond = record.bond_locked
    assert state_bytes() < bond // lab.params.market.storage_bond_per_byte < state_bytes() + 100
    assert lab.balance(account(0)) == before - FEE - bond
    assert queries.money(lab.ledger).storage_bonds == bond
    lab.send(PROVIDER, endorse(lab, statement_hash=bytes(32), until_ms=lab.time_ms + 2 * HOUR_MS))
    assert state_bytes() <= bond // lab.params.market.storage_bond_per_byte
    assert find(lab).bond_locked == bond
    lab.send(PROVIDER, endorse(lab, until_ms=0))
    assert lab.balance(account(0)) == before - 3 * FEE
    lab.send(PROVIDER, endorse(lab))
    lab.apply(interval_ms=2 * HOUR_MS)
    assert lab.balance(account(0)) == before - 4 * FEE
    assert queries.money(lab.ledger).storage_bonds == 0


def test_who_cannot_pay_the_bond_endorses_nothing(lab: Lab) -> None:
    lab.send(PROVIDER, transfer(account(1), lab.balance(account(0)) - 2 * FEE - 1_000))
    assert lab.reason(PROVIDER, endorse(lab)) == TransactionReason.BALANCE_TOO_LOW
    assert lab.members(ListKind.ENDORSER, account(0)) == []


def test_endorsements_that_end_together_leave_the_state_within_the_budget_of_each_block() -> None:
    lab = Lab(with_params(make_genesis(), "blocks", deadlines_max=3), is_bare=True)
    lab.send(PROVIDER, *(endorse(lab, claim=f"claim-{number}") for number in range(8)))
    left = []
    for interval_ms in (HOUR_MS, 1_000, 1_000, 1_000):
        lab.apply(interval_ms=interval_ms)
        left.append(count(lab, ENDORSEMENTS.prefix))
    assert left == [5, 2, 0, 0]
    assert find_next_deadline_ms(lab.ledger) is None


def test_only_its_endorser_takes_an_endorsement_back(lab: Lab) -> None:
    lab.send(PROVIDER, endorse(lab))
    assert lab.reason(CUSTOMER, endorse(lab, until_ms=0)) == TransactionReason.NOT_ENDORSED
    assert lab.reason(PROVIDER, endorse(lab, until_ms=0)) == ""
    assert find(lab) is None


def test_the_same_claim_again_replaces_the_one_before(lab: Lab) -> None:
    lab.send(PROVIDER, endorse(lab))
    lab.send(PROVIDER, endorse(lab, statement_hash=bytes(32)))
    record = endorsement(lab.ledger, account(0), SubjectKind.PLATFORM, PLATFORM, "data-centre")
    assert record is not None
    assert record.statement_hash == bytes(32)


def test_an_endorsement_counts_for_five_years_at_most(lab: Lab) -> None:
    interval_ms = 1_000
    latest_ms = lab.time_ms + interval_ms + 5 * 365 * DAY_MS
    late = endorse(lab, until_ms=latest_ms + 1)
    assert lab.reason(PROVIDER, late, interval_ms=interval_ms) == TransactionReason.UNTIL_TOO_LATE
    assert find(lab) is None
    assert lab.reason(PROVIDER, endorse(lab, until_ms=latest_ms), interval_ms=interval_ms) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"subject": b"\x09" + bytes(16)}, TransactionReason.BAD_SUBJECT, id="class of platform"),
        pytest.param({"subject": b"\x01" + bytes(65)}, TransactionReason.BAD_SUBJECT, id="long platform"),
        pytest.param({"subject_kind": SubjectKind.ENCLAVE}, TransactionReason.BAD_SUBJECT, id="not an enclave"),
        pytest.param(
            {"subject_kind": SubjectKind.RELEASE, "subject": b"\x01" + bytes(20)},
            TransactionReason.BAD_SUBJECT,
            id="release without number",
        ),
        pytest.param({"statement_hash": b"1"}, TransactionReason.UNEXPECTED_FIELD, id="short digest"),
        pytest.param({"until_ms": 1}, TransactionReason.UNTIL_PAST, id="past"),
    ],
)
def test_what_cannot_be_meant_is_refused(lab: Lab, changes: dict[str, object], reason: str) -> None:
    assert lab.reason(PROVIDER, endorse(lab, **changes)) == reason


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (SubjectKind.RELEASE, b"\x01" + bytes(28)),
        (SubjectKind.RESOURCE, b"\x01" + bytes(20)),
        (SubjectKind.ENCLAVE, b"\x03" + bytes(20)),
        (SubjectKind.ACCOUNT, bytes(21)),
    ],
)
def test_everything_that_has_a_name_can_be_endorsed(lab: Lab, kind: SubjectKind, subject: bytes) -> None:
    assert lab.reason(PROVIDER, endorse(lab, subject_kind=kind, subject=subject)) == ""
