"""The choice of the next validator set."""

from __future__ import annotations

from state import queries
from state.genesis import Genesis
from state.messages import BondAction, BondPurpose
from state.receipts import EventKind
from state.records import CHAIN_STATE, CURRENT_SET, EPOCH_ENDS, ONLY, VALIDATORS, ValidatorStatus
from state.votes import VoteKind
from tests.support.chain_builders import (
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
    register,
    transfer,
    undelegate,
    validator_key,
    with_params,
)

BOCC = 10**6


def genesis(count: int = 4, **consensus: int) -> Genesis:
    return with_params(make_genesis(count), "consensus", **consensus)


def convict(world: World, index: int) -> None:
    votes = [
        make_vote(world.chain_id, validator_key(index), VoteKind.NOTARIZE, world.epoch_start.epoch, 1, block)
        for block in (1, 2)
    ]
    assert world.apply(world.sign(account_key(5), make_report(operator(index), *votes))).receipts[0].reason == ""


def test_a_change_waits_for_the_interval_after_the_last_one() -> None:
    world = World(genesis(validator_update_interval_ms=10_000))
    executed = world.apply(world.sign(account_key(0), delegate(operator(0), BOCC)), interval_ms=9_999)
    assert executed.next_validators is world.validators
    assert queries.next_work_ms(world.ledger) == world.genesis.time_ms + 10_000
    executed = world.apply(interval_ms=1)
    assert executed.next_validators.total_power == 40_000_001
    assert [event.kind for event in executed.events] == [EventKind.VALIDATORS_CHANGED]
    world.apply(world.sign(account_key(0), delegate(operator(0), BOCC)), interval_ms=9_999)
    assert world.validators.total_power == 40_000_001
    world.apply(interval_ms=1)
    assert world.validators.total_power == 40_000_002


def test_a_change_ends_the_epoch_and_is_on_record() -> None:
    world = World()
    executed = world.apply(world.sign(account_key(0), delegate(operator(0), BOCC)))
    chain = world.ledger.get(CHAIN_STATE, ONLY)
    assert (chain.epoch, chain.set_changed_ms, chain.is_set_stale) == (1, world.time_ms, False)
    assert world.ledger.get(CURRENT_SET, ONLY).members == executed.next_validators.members
    assert queries.validator_set(world.ledger) == executed.next_validators
    assert world.ledger.get(EPOCH_ENDS, bytes(8)).ended_ms == world.time_ms


def test_stake_below_one_unit_of_power_changes_nothing() -> None:
    world = World()
    before = world.validators
    executed = world.apply(world.sign(account_key(0), delegate(operator(0), BOCC - 1)))
    assert executed.next_validators is before
    assert not world.ledger.get(CHAIN_STATE, ONLY).is_set_stale


def test_a_change_that_is_undone_before_its_time_ends_no_epoch() -> None:
    world = World(genesis(validator_update_interval_ms=10_000))
    before = world.validators
    world.apply(world.sign(account_key(0), delegate(operator(0), BOCC)))
    world.apply(world.sign(account_key(0), undelegate(operator(0), BOCC)))
    executed = world.apply(interval_ms=10_000)
    assert executed.next_validators is before
    assert queries.next_work_ms(world.ledger) == queries.find_next_deadline_ms(world.ledger)


def test_the_most_powerful_are_chosen_and_ties_go_to_the_lower_address() -> None:
    amount = 10_000_000 * BOCC
    world = World(with_params(make_genesis(3), "consensus", validators_max=3))
    newcomers = [
        world.sign(account_key(index), register(world.chain_id, account(index), validator_key(9 + index), amount // 20))
        for index in (1, 2)
    ]
    world.apply(*newcomers)
    assert [member.address for member in world.validators.members] == sorted(operator(index) for index in range(3))
    statuses = {world.ledger.get(VALIDATORS, account(index)).status for index in (1, 2)}
    assert statuses == {ValidatorStatus.CANDIDATE}
    leave = bond(BondAction.REMOVE, BondPurpose.VALIDATOR, amount)
    world.apply(world.sign(operator_key(1), leave))
    assert world.validators.find_index(min(account(1), account(2))) is not None
    assert world.validators.find_index(max(account(1), account(2))) is None


def test_a_pushed_out_member_becomes_a_candidate() -> None:
    world = World(genesis(2, validators_max=2))
    newcomer = register(world.chain_id, account(1), validator_key(9), 900_000 * BOCC)
    world.apply(world.sign(account_key(1), newcomer))
    for index in (0, 2, 3, 4, 5, 6, 7, 8, 9):
        world.apply(world.sign(account_key(index), delegate(account(1), 999_000 * BOCC)))
    assert world.ledger.get(VALIDATORS, account(1)).status is ValidatorStatus.CANDIDATE
    world.apply(world.sign(operator_key(0), bond(BondAction.REMOVE, BondPurpose.VALIDATOR, 5_000_000 * BOCC)))
    record = world.ledger.get(VALIDATORS, operator(0))
    assert (record.status, record.power) == (ValidatorStatus.CANDIDATE, 0)
    assert world.validators.find_index(account(1)) is not None


def test_the_set_stays_when_too_few_are_eligible() -> None:
    world = World(genesis(2, validators_min=2))
    before = world.validators
    convict(world, 0)
    assert world.validators is before
    assert not world.ledger.get(CHAIN_STATE, ONLY).is_set_stale
    newcomer = register(world.chain_id, account(1), validator_key(9), 900_000 * BOCC)
    world.apply(world.sign(account_key(1), newcomer))
    assert {member.address for member in world.validators.members} == {operator(1), account(1)}


def test_every_validator_may_be_convicted_and_the_chain_goes_on() -> None:
    world = World(genesis(2))
    convict(world, 0)
    convict(world, 1)
    assert [member.address for member in world.validators.members] == [operator(1)]
    world.apply(world.sign(account_key(0), transfer(account(1), 1)))
