"""Laws that hold after every block of any history."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from state import queries
from state.ledger import BaseLedger, Overlay
from state.receipts import ReceiptStatus
from state.records import (
    DELEGATIONS,
    HOLDINGS,
    ONLY,
    ROSTER,
    UNBONDINGS,
    VALIDATORS,
    Delegation,
    Holdings,
    Unbonding,
    ValidatorStatus,
)
from state.runtime.execute import BlockExecution
from state.store import MemoryStore
from tests.support.chain_builders import World, account, account_key, delegate, operator, store_state, undelegate
from tests.support.runtime_history import INTERVALS_MS, advance, digest_of_history, make_world, random_block
from tests.support.runtime_history import VALIDATORS as VALIDATOR_COUNT

SEEDS = range(6)
BLOCKS = 250


def decoded(world: World, prefix: bytes) -> dict[bytes, object]:
    """Return all records of a table by id."""
    return {raw_key[1:]: world.ledger.find_raw(raw_key) for raw_key in sorted(world.state) if raw_key[:1] == prefix}


def check_books(world: World) -> None:
    """Check money against a full scan, pools against their parts, and every index against what it lists."""
    money, scanned = queries.money(world.ledger), world.scan()
    classes = ("balances", "bonded", "unbonding", "provider_bonds")
    assert {name: getattr(money, name) for name in classes} == {name: scanned.get(name, 0) for name in classes}
    pools = money.fee_pool + money.treasury + money.burned
    assert sum(scanned.values()) + pools == money.issued == 10**15
    delegations: dict[bytes, Delegation] = decoded(world, DELEGATIONS.prefix)
    entries: dict[bytes, Unbonding] = decoded(world, UNBONDINGS.prefix)
    for address, validator in decoded(world, VALIDATORS.prefix).items():
        assert validator.shares == sum(part.shares for key, part in delegations.items() if key[:21] == address)
        waiting = [entry.amount for entry in entries.values() if entry.is_slashable and entry.validator == address]
        assert validator.unbonding_shares == sum(waiting)
        is_convict = validator.status is ValidatorStatus.TOMBSTONED
        assert is_convict or (validator.stake, validator.unbonding) == (validator.shares, validator.unbonding_shares)
        on_roster = validator.status not in (ValidatorStatus.UNBONDING, ValidatorStatus.TOMBSTONED)
        assert (address in world.ledger.get(ROSTER, ONLY).addresses) is on_roster
        member = world.validators.find_index(address)
        assert validator.power == (0 if member is None else world.validators.members[member].power)
    holdings: dict[bytes, Holdings] = decoded(world, HOLDINGS.prefix)
    assert sorted(key for key in delegations) == sorted(
        validator + owner for owner, held in holdings.items() for validator in held.delegations
    )
    assert sorted(entries) == sorted(
        number.to_bytes(8, "big") for held in holdings.values() for number in held.unbondings
    )


def claimable(world: World) -> int:
    """Return all rewards that delegators could claim now."""
    owners = decoded(world, HOLDINGS.prefix)
    views = [queries.find_account(world.ledger, owner) for owner in owners]
    return sum(part.rewards for view in views if view for part in view.delegations)


@pytest.mark.parametrize("seed", SEEDS)
def test_books_balance_after_every_block(seed: int) -> None:
    world, random = make_world(), Random(seed)
    for _ in range(BLOCKS):
        advance(world, random)
        check_books(world)
        assert claimable(world) <= queries.money(world.ledger).fee_pool


def test_histories_reach_what_they_are_for() -> None:
    reasons: set[str] = set()
    kinds: set[str] = set()
    for seed in SEEDS:
        world, random = make_world(), Random(seed)
        for _ in range(BLOCKS):
            transactions = random_block(world, random)
            executed = world.apply(*transactions, interval_ms=random.choice(INTERVALS_MS), skipped_views=2)
            reasons |= {receipt.reason for receipt in executed.receipts}
            kinds |= {event.kind for event in executed.events}
    assert len(reasons) >= 12
    assert {"slashed", "unbonded", "validators_changed", "rewards_claimed", "auth_set"} <= kinds


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cold_node_and_a_warm_one_make_the_same_changes(seed: int) -> None:
    world, random = make_world(), Random(seed)
    for _ in range(BLOCKS // 2):
        transactions = random_block(world, random)
        header = world.header(len(transactions))
        store = MemoryStore()
        store_state(store, world.state.items())
        cold = Overlay(BaseLedger(store, cached_max=1))
        execution = BlockExecution(cold, header, world.epoch_start, world.validators)
        for transaction in transactions:
            execution.apply(transaction)
        assert (execution.finish(), cold.changes()) == (
            (warm := world.execute(transactions, header))[0],
            warm[1].changes(),
        )
        advance(world, random)


@pytest.mark.parametrize("seed", SEEDS)
def test_to_delegate_and_withdraw_at_once_never_gains(seed: int) -> None:
    world, random = make_world(), Random(seed)
    for _ in range(BLOCKS // 2):
        advance(world, random)
        stranger, amount = 8, random.choice((1, 999, 10**6, 10**11))
        address = operator(random.randrange(VALIDATOR_COUNT))
        before = world.balance(account(stranger))
        trip = world.sign(account_key(stranger), delegate(address, amount), undelegate(address, amount))
        (receipt,) = world.apply(trip, interval_ms=1).receipts
        world.apply(interval_ms=world.params.staking.unbonding_ms + 256)
        came_back = world.balance(account(stranger)) - before + receipt.fee
        assert came_back == 0 or (came_back < 0 and receipt.status is ReceiptStatus.OK)


def test_changes_do_not_depend_on_the_hash_seed() -> None:
    script = "from tests.support.runtime_history import digest_of_history as d; print(d(3, 25))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for hash_seed in (0, 1, 4_242)
    }
    assert digests == {digest_of_history(3, 25)}
