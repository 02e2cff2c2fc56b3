"""Duties at the edges of a block: recent blocks, deadlines within a budget, conservation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from state import queries
from state.block import genesis_block_hash
from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.errors import TransactionRejected
from state.ledger import Overlay
from state.messages import BondAction, BondPurpose
from state.receipts import EventKind
from state.records import ACCOUNTS, CHAIN_STATE, MONEY, ONLY, RECENT_BLOCKS, RecentBlock, number_key
from state.runtime import block_edges
from state.runtime.block_edges import fire_deadlines
from state.runtime.conservation import settle_totals
from state.runtime.context import Context
from state.runtime.execute import BlockExecution
from state.runtime.reasons import TransactionReason
from tests.support.chain_builders import World, account, account_key, bond, make_genesis, transfer, with_params

ALICE = account(0)


def test_parents_are_on_record_for_the_challenge_window() -> None:
    world = World(with_params(make_genesis(), "attestation", challenge_window_ms=5_000))
    times = {0: world.time_ms}
    hashes = {0: genesis_block_hash(world.chain_id)}
    for _ in range(20):
        world.apply()
        times[world.height], hashes[world.height] = world.time_ms, world.parent_hash
    on_record = {
        height: RecentBlock(block_hash=hashes[height], time_ms=times[height])
        for height in range(20)
        if times[height] >= world.time_ms - 5_000
    }
    for height in range(21):
        assert world.ledger.find(RECENT_BLOCKS, number_key(height)) == on_record.get(height)
    assert world.ledger.get(CHAIN_STATE, ONLY).recent_first == min(on_record)


def test_the_record_of_recent_blocks_shrinks_by_a_few_each_block_after_a_burst() -> None:
    world = World(with_params(make_genesis(), "attestation", challenge_window_ms=1_000))
    for _ in range(30):
        world.apply(interval_ms=1)
    world.apply(interval_ms=10_000)
    assert world.ledger.get(CHAIN_STATE, ONLY).recent_first == block_edges.RECENT_DROPPED_MAX
    for _ in range(10):
        world.apply(interval_ms=2_000)
    assert len([raw_key for raw_key in world.state if raw_key[:1] == RECENT_BLOCKS.prefix]) == 1


def test_recent_blocks_have_a_bound_whatever_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_edges, "RECENT_BLOCKS_MAX", 8)
    world = World()
    for _ in range(20):
        world.apply(interval_ms=1)
    assert len([raw_key for raw_key in world.state if raw_key[:1] == RECENT_BLOCKS.prefix]) == 8


def test_deadlines_beyond_the_budget_carry_over() -> None:
    world = World(with_params(make_genesis(), "blocks", deadlines_max=3))
    remove = bond(BondAction.REMOVE, BondPurpose.PROVIDER, 1)
    world.apply(world.sign(account_key(0), bond(BondAction.ADD, BondPurpose.PROVIDER, 8), *[remove] * 8))
    counts = [len(world.apply(interval_ms=world.params.staking.unbonding_ms + 256).events)]
    assert queries.next_work_ms(world.ledger) <= world.time_ms
    counts += [len(world.apply().events) for _ in range(3)]
    assert counts == [3, 3, 2, 0]
    assert queries.next_work_ms(world.ledger) is None


def context_of(world: World) -> Context:
    return Context(Overlay(world.ledger), world.params, world.chain_id, 0, 1, world.time_ms)


def test_a_deadline_that_fails_is_undone_and_reported_and_the_others_fire(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(context: Context, deadline: Deadline) -> None:
        context.ledger.delete(ACCOUNTS, ALICE)
        context.emit(EventKind.AUTH_SET, account=ALICE)
        raise TransactionRejected(TransactionReason.NO_VALIDATOR)

    def working(context: Context, deadline: Deadline) -> None:
        context.emit(EventKind.AUTH_CANCELLED, account=deadline.subject)

    handlers: Mapping[DeadlineKind, object] = {
        DeadlineKind.AUTH_DUE: failing,
        DeadlineKind.EVIDENCE_OVER: working,
    }
    monkeypatch.setattr(block_edges, "DEADLINE_HANDLERS", handlers)
    context = context_of(World())
    for kind in (DeadlineKind.AUTH_DUE, DeadlineKind.EVIDENCE_OVER):
        push_deadline(context.ledger, kind, b"subject", 0)
    fire_deadlines(context)
    assert [event.kind for event in context.events] == [EventKind.DEADLINE_FAILED, EventKind.AUTH_CANCELLED]
    assert dict(context.events[0].attributes) == {
        "deadline": b"auth_due",
        "subject": b"subject",
        "reason": b"no_validator",
    }
    assert context.ledger.changes() == {}


def test_money_made_or_lost_by_any_record_stops_the_node() -> None:
    for difference in (1, -1):
        world = World()
        overlay = Overlay(world.ledger)
        execution = BlockExecution(overlay, world.header(0), world.epoch_start, world.validators)
        alice = overlay.get(ACCOUNTS, ALICE)
        overlay.put(ACCOUNTS, ALICE, replace(alice, balance=alice.balance + difference))
        with pytest.raises(AssertionError, match="not conserved"):
            execution.finish()


def test_a_class_of_money_below_zero_stops_the_node() -> None:
    world = World()
    overlay = Overlay(world.ledger)
    money = overlay.get(MONEY, ONLY)
    overlay.put(MONEY, ONLY, replace(money, fee_pool=-1, treasury=money.treasury + 1))
    with pytest.raises(AssertionError, match="negative"):
        settle_totals(overlay)


def test_running_totals_equal_a_full_scan() -> None:
    world = World()
    world.apply(
        world.sign(account_key(0), transfer(account(1), 5), bond(BondAction.ADD, BondPurpose.PROVIDER, 77)),
        world.sign(account_key(1), transfer(b"\x00" + b"\x42" * 20, 9)),
    )
    money, scanned = queries.money(world.ledger), world.scan()
    assert {name: getattr(money, name) for name in scanned} == scanned


def test_conservation_is_checked_when_python_optimises() -> None:
    script = (
        "from state.records import Money; from state.runtime.conservation import check_conserved;"
        "check_conserved(Money(balances=5, bonded=0, unbonding=0, provider_bonds=0, fee_pool=0,"
        "storage_bonds=0, escrows=0, deposits=0, treasury=0, burned=0, issued=1))"
    )
    finished = subprocess.run([sys.executable, "-O", "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert "money is not conserved" in finished.stderr
