"""Rewards: fees reach validators by power and delegators by shares, rounded down, never more than was paid."""

from __future__ import annotations

from msgspec.structs import replace

from state import queries
from state.messages import BondAction, BondPurpose
from state.records import NO_REWARDS, REWARD_SCALE, VALIDATORS, Delegation, ValidatorStatus
from state.runtime.staking.bonding import blank_validator
from state.runtime.staking.rewards import settle_delegation, settled_rewards
from tests.support.chain_builders import (
    World,
    account,
    account_key,
    bond,
    delegate,
    make_genesis,
    operator,
    operator_key,
    transfer,
)

ALICE = account(0)
BOCC = 10**6
STAKE = 10_000_000 * BOCC
CLAIM = bond(BondAction.CLAIM, BondPurpose.VALIDATOR)


def rewards(world: World, owner: bytes) -> int:
    view = queries.find_account(world.ledger, owner)
    assert view is not None
    return sum(delegation.rewards for delegation in view.delegations)


def pay(world: World, fee: int) -> None:
    """Apply a block that pays so much in fees."""
    world.apply(world.sign(account_key(9), transfer(account(8), 1), fee=fee))


def test_fees_are_shared_by_power() -> None:
    world = World(make_genesis(4))
    pay(world, 4_000_000)
    assert [rewards(world, operator(index)) for index in range(4)] == [1_000_000] * 4


def test_a_claim_moves_exactly_what_was_earned() -> None:
    world = World(make_genesis(4))
    pay(world, 4_000_000)
    before = world.balance(operator(0))
    world.apply(world.sign(operator_key(0), CLAIM, fee=100_000))
    assert world.balance(operator(0)) == before + 1_000_000 - 100_000
    assert queries.money(world.ledger).fee_pool == 3_100_000
    assert rewards(world, operator(0)) == 25_000


def test_a_delegator_earns_by_its_shares_from_its_first_block_on() -> None:
    world = World(make_genesis(1))
    pay(world, 1_000_000)
    world.apply(world.sign(account_key(0), delegate(operator(0), 900_000 * BOCC), fee=100_000))
    assert (rewards(world, operator(0)), rewards(world, ALICE)) == (1_000_000 + 91_743, 8_256)
    pay(world, 10_900_000)
    assert (rewards(world, operator(0)), rewards(world, ALICE)) == (11_000_000 + 91_743, 908_256)


def test_rewards_follow_the_power_of_their_time() -> None:
    world = World(make_genesis(2))
    pay(world, 2_000_000)
    world.apply(world.sign(operator_key(0), bond(BondAction.REMOVE, BondPurpose.VALIDATOR, STAKE // 2), fee=100_000))
    assert [member.power for member in world.validators.members if member.address == operator(0)] == [5_000_000]
    pay(world, 3_000_000)
    assert (rewards(world, operator(0)), rewards(world, operator(1))) == (2_050_000, 3_050_000)


def test_what_divisions_leave_over_is_carried_on_and_not_lost() -> None:
    world = World(make_genesis(3))
    for _ in range(300):
        pay(world, 100_001)
    assert [rewards(world, operator(index)) for index in range(3)] == [10_000_100] * 3


def test_rewards_of_a_validator_without_shares_go_to_the_treasury() -> None:
    world = World(make_genesis(2))
    leave = bond(BondAction.REMOVE, BondPurpose.VALIDATOR, STAKE)
    treasury = queries.money(world.ledger).treasury
    world.apply(world.sign(operator_key(0), leave, fee=2_000_000))
    assert world.ledger.get(VALIDATORS, operator(0)).status is ValidatorStatus.UNBONDING
    assert queries.money(world.ledger).treasury == treasury + 1_000_000
    assert rewards(world, operator(1)) == 1_000_000


def test_settling_again_adds_nothing() -> None:
    paid = (7 * REWARD_SCALE // 3).to_bytes(16, "big")
    validator = replace(blank_validator(bytes(32)), power=3, shares=11, stake=11)
    settled, unowned = settled_rewards(paid, validator)
    assert unowned == 0
    assert settled_rewards(paid, settled) == (settled, 0)
    delegation = settle_delegation(settled, Delegation(shares=11, reward_paid=NO_REWARDS, rewards=0))
    assert delegation.rewards == 6
    assert settle_delegation(settled, delegation) == delegation


def test_a_reader_sees_what_a_claim_would_pay() -> None:
    world = World(make_genesis(4))
    world.apply(world.sign(account_key(0), delegate(operator(0), 12_345_678), fee=100_000))
    for fee in (1_234_567, 999_999, 100_003):
        pay(world, fee)
    seen, before = rewards(world, ALICE), world.balance(ALICE)
    claim = bond(BondAction.CLAIM, BondPurpose.DELEGATE, 0, operator(0))
    world.apply(world.sign(account_key(0), claim, fee=100_000))
    assert world.balance(ALICE) == before + seen - 100_000
