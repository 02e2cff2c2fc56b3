"""Conviction by two conflicting votes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from state import queries
from state.messages import BondAction, BondPurpose, Report
from state.receipts import EventKind
from state.records import EPOCH_ENDS, ONLY, ROSTER, VALIDATORS, ValidatorStatus
from state.runtime.reasons import TransactionReason
from state.votes import VoteKind
from tests.support.chain_builders import (
    FEE,
    World,
    account,
    account_key,
    bond,
    delegate,
    make_genesis,
    make_report,
    make_vote,
    operator,
    operator_key,
    undelegate,
    validator_key,
)

ALICE, REPORTER = account(0), account(5)
BOCC = 10**6
STAKE = 10_000_000 * BOCC
N, X, F = VoteKind.NOTARIZE, VoteKind.NULLIFY, VoteKind.FINALIZE


def report_of(
    world: World,
    index: int = 0,
    epoch: int = 0,
    first: tuple[VoteKind, int] = (N, 1),
    second: tuple[VoteKind, int] = (N, 2),
    view: int = 3,
) -> Report:
    """Return a report against a development validator, of two votes given as kind and block."""
    votes = [
        make_vote(world.chain_id, validator_key(index), kind, epoch, view, block) for kind, block in (first, second)
    ]
    return make_report(operator(index), *votes)


def reason_of(world: World, report: Report) -> str:
    (receipt,) = world.apply(world.sign(account_key(5), report)).receipts
    return receipt.reason


def test_a_convict_loses_its_share_and_its_place_for_ever() -> None:
    world = World()
    executed = world.apply(world.sign(account_key(5), report_of(world)))
    slashed, reward = STAKE // 20, STAKE // 400
    assert executed.events[0].kind is EventKind.SLASHED
    assert dict(executed.events[0].attributes) == {
        "validator": operator(0),
        "amount": slashed,
        "reporter": REPORTER,
        "reward": reward,
    }
    convict = world.ledger.get(VALIDATORS, operator(0))
    assert (convict.status, convict.stake, convict.power) == (ValidatorStatus.TOMBSTONED, STAKE - slashed, 0)
    assert executed.next_validators.find_index(operator(0)) is None
    assert operator(0) not in world.ledger.get(ROSTER, ONLY).addresses
    assert world.balance(REPORTER) == 10**12 - FEE + reward
    assert queries.money(world.ledger).burned == slashed - reward
    add = world.apply(world.sign(operator_key(0), bond(BondAction.ADD, BondPurpose.VALIDATOR, 5)))
    assert add.receipts[0].reason == TransactionReason.TOMBSTONED


@pytest.mark.parametrize(
    ("first", "second"),
    [((N, 1), (N, 2)), ((X, 0), (F, 1)), ((F, 1), (F, 2)), ((N, 1), (F, 2))],
    ids=["N N", "X F", "F F", "N F"],
)
def test_each_conflicting_pair_convicts(first: tuple[VoteKind, int], second: tuple[VoteKind, int]) -> None:
    world = World()
    assert reason_of(world, report_of(world, first=first, second=second)) == ""


def test_nobody_is_convicted_twice() -> None:
    world = World()
    assert reason_of(world, report_of(world)) == ""
    assert reason_of(world, report_of(world, view=9)) == TransactionReason.TOMBSTONED


def test_delegated_and_unbonding_stake_are_slashed_in_proportion() -> None:
    world = World()
    world.apply(world.sign(account_key(0), delegate(operator(0), 3_000)))
    world.apply(world.sign(account_key(0), undelegate(operator(0), 1_001)))
    assert reason_of(world, report_of(world, epoch=world.epoch_start.epoch)) == ""
    view = queries.find_account(world.ledger, ALICE)
    assert view is not None
    assert (view.delegations[0].worth, view.unbondings[0].amount) == (1_899, 951)
    before = world.balance(ALICE)
    world.apply(world.sign(account_key(0), undelegate(operator(0), 1_899)))
    world.apply(interval_ms=world.params.staking.unbonding_ms + 256)
    assert world.balance(ALICE) == before - FEE + 951 + 1_899


def test_stake_unbonded_after_the_conviction_is_not_slashed_again() -> None:
    world = World()
    world.apply(world.sign(account_key(0), delegate(operator(0), 1_000)))
    reason_of(world, report_of(world, epoch=world.epoch_start.epoch))
    world.apply(world.sign(account_key(0), undelegate(operator(0), 950)))
    view = queries.find_account(world.ledger, ALICE)
    assert view is not None
    assert [entry.amount for entry in view.unbondings] == [950]


def swapped(report: Report) -> Report:
    return replace(report, first=report.second, second=report.first)


def forged(report: Report) -> Report:
    return replace(report, first=replace(report.first, signature=bytes(64)))


def misshapen(report: Report) -> Report:
    return replace(report, second=replace(report.second, result=bytes(32)))


REFUSED: list[tuple[str, Callable[[World], Report], TransactionReason]] = [
    ("unknown", lambda w: replace(report_of(w), validator=ALICE), TransactionReason.NO_VALIDATOR),
    ("another's votes", lambda w: replace(report_of(w), validator=operator(1)), TransactionReason.BAD_VOTE),
    ("swapped", lambda w: swapped(report_of(w)), TransactionReason.VOTES_NOT_SORTED),
    (
        "one vote twice",
        lambda w: replace(report_of(w), second=report_of(w).first),
        TransactionReason.VOTES_NOT_SORTED,
    ),
    ("forged", lambda w: forged(report_of(w)), TransactionReason.BAD_VOTE),
    ("field of another kind", lambda w: misshapen(report_of(w)), TransactionReason.BAD_VOTE),
    ("allowed pair", lambda w: report_of(w, first=(N, 1), second=(F, 1)), TransactionReason.NOT_CONFLICTING),
    ("nullify", lambda w: report_of(w, first=(N, 1), second=(X, 0)), TransactionReason.NOT_CONFLICTING),
    ("future", lambda w: report_of(w, epoch=1), TransactionReason.EVIDENCE_FROM_FUTURE),
]


@pytest.mark.parametrize(("build", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_proves_nothing_convicts_nobody(build: Callable[[World], Report], reason: TransactionReason) -> None:
    world = World()
    assert reason_of(world, build(world)) == reason
    assert world.ledger.get(VALIDATORS, operator(0)).status is ValidatorStatus.ACTIVE


def test_votes_for_another_chain_convict_nobody() -> None:
    world, other = World(), World(make_genesis(4, salt=b"\1" * 32))
    assert reason_of(world, report_of(other)) == TransactionReason.BAD_VOTE


def test_votes_of_an_ended_epoch_convict_within_the_window_and_are_forgotten_after_it() -> None:
    window = World().params.staking.evidence_age_ms
    for wait_ms, reason in ((window - 1_000, ""), (window, TransactionReason.EVIDENCE_TOO_OLD)):
        world = World()
        world.apply(world.sign(account_key(0), delegate(operator(1), BOCC)))
        assert world.epoch_start.epoch == 1
        assert world.ledger.get(EPOCH_ENDS, bytes(8)).ended_ms == world.time_ms
        world.apply(interval_ms=wait_ms)
        assert reason_of(world, report_of(world)) == reason


def test_the_end_of_an_epoch_is_forgotten_by_the_wheel() -> None:
    world = World()
    world.apply(world.sign(account_key(0), delegate(operator(1), BOCC)))
    world.apply(interval_ms=world.params.staking.evidence_age_ms + 256)
    assert world.ledger.find(EPOCH_ENDS, bytes(8)) is None
