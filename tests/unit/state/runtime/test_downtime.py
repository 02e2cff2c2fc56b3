"""Downtime: who misses too many of the views it leads goes to jail, and comes back."""

from __future__ import annotations

from collections import Counter

import pytest

from state.genesis import Genesis
from state.messages import BondAction, BondPurpose
from state.records import DOWNTIMES, VALIDATORS, Downtime, ValidatorStatus
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason
from state.runtime.staking.downtime import SKIPPED_VIEWS_MAX, note_leaders
from tests.support.chain_builders import (
    World,
    account_key,
    bond,
    delegate,
    make_genesis,
    operator,
    operator_key,
    transfer,
    with_params,
)
from tests.support.checked_overlay import CheckedOverlay

UNJAIL = bond(BondAction.UNJAIL, BondPurpose.VALIDATOR)
STAKE = 10_000_000 * 10**6


def strict_genesis(count: int = 4, window: int = 8, **consensus: int) -> Genesis:
    """Return a genesis where half of a window of 8 views led must be missed for jail."""
    return with_params(
        with_params(make_genesis(count), "staking", downtime_window=window, downtime_bp=5_000),
        "consensus",
        **{"validator_update_interval_ms": 10_000_000, **consensus},
    )


def leader(world: World, view: int) -> bytes:
    return world.validators.members[world.validators.leader_index(world.epoch_start.root.height, view)].address


def status(world: World, address: bytes) -> ValidatorStatus:
    return world.ledger.get(VALIDATORS, address).status


def miss(world: World, address: bytes, count: int) -> None:
    """Go on until this validator has missed so many views; all others lead theirs."""
    while count:
        absent = leader(world, world.view + 1) == address
        world.apply(skipped_views=int(absent))
        count -= absent


def test_an_undisturbed_chain_writes_nothing() -> None:
    world = World(strict_genesis())
    for _ in range(20):
        world.apply()
    assert not [raw_key for raw_key in world.state if raw_key[:1] == DOWNTIMES.prefix]


def test_skipped_views_count_against_their_leaders_and_the_block_for_its_own() -> None:
    world = World(strict_genesis(window=1_000))
    world.apply(skipped_views=6)
    missed = Counter(leader(world, view) for view in range(1, 7))
    led = missed + Counter([leader(world, 7)])
    for address, count in missed.items():
        assert world.ledger.get(DOWNTIMES, address) == Downtime(led=led[address], missed=count)


def test_half_a_window_missed_is_jail() -> None:
    world = World(strict_genesis())
    miss(world, operator(0), 3)
    assert status(world, operator(0)) is ValidatorStatus.ACTIVE
    miss(world, operator(0), 1)
    record = world.ledger.get(VALIDATORS, operator(0))
    assert record.status is ValidatorStatus.JAILED
    assert record.jailed_until_ms == world.time_ms + world.params.staking.jail_ms
    assert world.ledger.find(DOWNTIMES, operator(0)) is None
    assert all(status(world, operator(index)) is ValidatorStatus.ACTIVE for index in (1, 2, 3))


def test_a_full_window_counts_anew() -> None:
    world = World(strict_genesis())
    miss(world, operator(0), 3)
    for _ in range(4 * 5):
        world.apply()
    assert world.ledger.find(DOWNTIMES, operator(0)) is None
    miss(world, operator(0), 3)
    assert status(world, operator(0)) is ValidatorStatus.ACTIVE


def test_the_jailed_leave_the_set_and_return_when_their_time_is_over() -> None:
    world = World(strict_genesis(validator_update_interval_ms=0))
    miss(world, operator(0), 4)
    assert world.validators.find_index(operator(0)) is None
    (receipt,) = world.apply(world.sign(operator_key(0), UNJAIL)).receipts
    assert receipt.reason == TransactionReason.STILL_JAILED
    world.apply(interval_ms=world.params.staking.jail_ms)
    (receipt,) = world.apply(world.sign(operator_key(0), UNJAIL)).receipts
    assert receipt.reason == ""
    assert world.validators.find_index(operator(0)) is not None
    (receipt,) = world.apply(world.sign(operator_key(0), UNJAIL)).receipts
    assert receipt.reason == TransactionReason.NOT_JAILED


def test_leaving_the_roster_does_not_shorten_jail() -> None:
    world = World(strict_genesis(validator_update_interval_ms=0))
    miss(world, operator(0), 4)
    world.apply(world.sign(operator_key(0), bond(BondAction.REMOVE, BondPurpose.VALIDATOR, STAKE)))
    assert status(world, operator(0)) is ValidatorStatus.UNBONDING
    world.apply(world.sign(account_key(0), delegate(operator(0), STAKE // 100)))
    fund = bond(BondAction.ADD, BondPurpose.VALIDATOR, world.params.staking.own_stake_min)
    world.apply(world.sign(account_key(1), transfer(operator(0), 20_000 * 10**6)))
    world.apply(world.sign(operator_key(0), fund))
    assert status(world, operator(0)) is ValidatorStatus.JAILED
    assert world.validators.find_index(operator(0)) is None


def test_jail_never_makes_the_set_too_small() -> None:
    world = World(strict_genesis(count=2, validators_min=2))
    miss(world, operator(0), 5)
    assert status(world, operator(0)) is ValidatorStatus.ACTIVE
    alone = World(strict_genesis(count=1))
    alone.apply(skipped_views=100)
    assert status(alone, operator(0)) is ValidatorStatus.ACTIVE


def test_who_is_jailed_for_another_block_needs_no_view_looked_at_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(strict_genesis(window=10**6))
    looked_at: list[int] = []
    leader_index = world.validators.leader_index

    def counting(root_height: int, view: int) -> int:
        looked_at.append(view)
        return leader_index(root_height, view)

    header = world.header(0, skipped_views=10**9)
    monkeypatch.setattr(world.validators, "leader_index", counting)
    context = Context(CheckedOverlay(world.ledger), world.params, world.chain_id, 0, 1, header.time_ms)
    note_leaders(context, header, 0, world.validators)
    assert looked_at == list(range(1, SKIPPED_VIEWS_MAX + 1))


def test_leaders_are_those_of_the_epoch_s_schedule() -> None:
    world = World(strict_genesis(validator_update_interval_ms=0))
    for _ in range(3):
        world.apply()
    world.apply(world.sign(account_key(0), delegate(operator(1), 10**6)))
    assert world.epoch_start.root.height == 4
    first_leader = leader(world, 1)
    world.apply(skipped_views=1)
    assert world.ledger.get(DOWNTIMES, first_leader).missed == 1
