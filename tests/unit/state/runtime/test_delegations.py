"""Shares of a slashed stake: nobody gains from the rounding of their price."""

from __future__ import annotations

from itertools import cycle

import pytest
from msgspec.structs import replace

from state.deadlines import Deadline, DeadlineKind
from state.ledger import Overlay
from state.records import (
    DELEGATIONS,
    HOLDINGS,
    NEW_HOLDINGS,
    NO_REWARDS,
    UNBONDINGS,
    VALIDATORS,
    Delegation,
    Unbonding,
    ValidatorStatus,
    number_key,
)
from state.runtime.context import Context
from state.runtime.staking import unbonding
from state.runtime.staking.bonding import blank_validator
from state.runtime.staking.delegations import remove_stake
from state.runtime.staking.unbonding import finish_unbonding
from tests.support.chain_builders import World, account

VALIDATOR = account(7)
OWNERS = [account(index) for index in range(3)]


@pytest.fixture
def context() -> Context:
    world = World()
    return Context(Overlay(world.ledger), world.params, world.chain_id, 0, 1, world.time_ms)


def put_stake(context: Context, stake: int, shares: tuple[int, ...]) -> None:
    """Give a convicted validator a stake in shares of the owners."""
    blank = replace(blank_validator(bytes(32)), status=ValidatorStatus.TOMBSTONED)
    context.ledger.put(VALIDATORS, VALIDATOR, replace(blank, stake=stake, shares=sum(shares)))
    for owner, part in zip(OWNERS, shares, strict=True):
        context.ledger.put(DELEGATIONS, VALIDATOR + owner, Delegation(shares=part, reward_paid=NO_REWARDS, rewards=0))
        context.ledger.put(HOLDINGS, owner, replace(NEW_HOLDINGS, delegations=(VALIDATOR,)))


def worth(context: Context, owner: bytes) -> int:
    validator = context.ledger.get(VALIDATORS, VALIDATOR)
    delegation = context.ledger.find(DELEGATIONS, VALIDATOR + owner)
    return delegation.shares * validator.stake // validator.shares if delegation else 0


def withdraw(context: Context, owner: bytes, amount: int) -> None:
    remove_stake(context, owner, VALIDATOR, context.ledger.get(VALIDATORS, VALIDATOR), amount, b"delegate")


@pytest.mark.parametrize("stake", [1, 7, 95, 189, 299])
def test_a_withdrawal_never_lowers_what_the_others_own(
    context: Context, monkeypatch: pytest.MonkeyPatch, stake: int
) -> None:
    monkeypatch.setattr(unbonding, "UNBONDINGS_MAX", 1_000)
    put_stake(context, stake, (100, 100, 100))
    withdrawn = 0
    for owner in cycle(OWNERS):
        if not worth(context, owner):
            break
        others = [other for other in OWNERS if other != owner]
        before = [worth(context, other) for other in others]
        withdraw(context, owner, 1)
        withdrawn += 1
        assert all(worth(context, other) >= worth_before for other, worth_before in zip(others, before, strict=True))
    assert withdrawn <= stake


@pytest.mark.parametrize("stake", [0, 1, 95, 299, 300])
def test_what_all_owners_withdraw_at_once_is_the_stake_or_less(context: Context, stake: int) -> None:
    put_stake(context, stake, (1, 100, 199))
    for owner in OWNERS:
        if amount := worth(context, owner):
            withdraw(context, owner, amount)
    assert 0 <= context.ledger.get(VALIDATORS, VALIDATOR).stake <= 2


@pytest.mark.parametrize("held", [0, 1, 56, 57, 59])
def test_entries_share_what_a_slash_left_and_the_last_takes_the_rest(context: Context, held: int) -> None:
    amounts = (10, 20, 30)
    blank = replace(blank_validator(bytes(32)), status=ValidatorStatus.TOMBSTONED)
    context.ledger.put(VALIDATORS, VALIDATOR, replace(blank, unbonding=held, unbonding_shares=60))
    paid = []
    for number, (owner, amount) in enumerate(zip(OWNERS, amounts, strict=True)):
        entry = Unbonding(owner=owner, validator=VALIDATOR, amount=amount, is_slashable=True, due_ms=0)
        context.ledger.put(UNBONDINGS, number_key(number), entry)
        context.ledger.put(HOLDINGS, owner, replace(NEW_HOLDINGS, unbondings=(number,)))
        deadline = Deadline(kind=DeadlineKind.UNBONDING_DUE, subject=number_key(number), due_ms=0)
        finish_unbonding(context, deadline)
        paid.append(dict(context.events[-1].attributes)["amount"])
    assert sum(paid) == held
    assert all(abs(part - amount * held / 60) <= 1 for part, amount in zip(paid, amounts, strict=True))
    assert context.ledger.get(VALIDATORS, VALIDATOR).unbonding == 0
