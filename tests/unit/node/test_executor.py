"""Laws of executing blocks: in order, in slices, and not at all once they no longer matter."""

from __future__ import annotations

import pytest

from node import executor as executor_module
from node.executor import Executor
from state.block import hash_header
from state.messages import Transfer
from state.runtime.work import WORK
from tests.support.fixture_chain import FixtureChain, account, transfer


def pay(fixture, nonce, amount=1):
    return fixture.sign(0, transfer(account(1), amount), nonce=nonce)


class Machine:
    """An executor on a chain at genesis, and what came of its jobs."""

    def __init__(self):
        self.fixture = FixtureChain()
        self.chain = self.fixture.chain
        self.executor = Executor(self.chain)
        self.executed = []

    def submit(self, block):
        header, transactions = block
        self.executor.submit(hash_header(header), header, transactions, self.executed.append)

    @property
    def hashes(self):
        return [block.block_hash for block in self.executed]


def blocks_of(*bodies, view=0):
    """Return blocks one on the other from genesis, made elsewhere: header and transactions, and the block as executed there."""
    elsewhere = FixtureChain()
    elsewhere.view = view
    made = []
    for body in bodies:
        transactions = [pay(elsewhere, nonce) for nonce in body]
        parent_hash = made[-1][1].block_hash if made else None
        made.append((transactions, elsewhere.execute(*transactions, parent_hash=parent_hash)))
    return [(block.header, transactions) for transactions, block in made], [block for _, block in made]


def finalize(machine, *blocks):
    machine.chain.finalize([block.block_hash for block in blocks], machine.fixture.certificate(blocks[-1]))


def test_idle_executor_has_nothing_to_do():
    machine = Machine()
    assert machine.executor.is_idle
    assert not machine.executor.run_slice()


def test_blocks_are_executed_one_after_another_in_the_order_in_which_they_came():
    (first, second), expected = blocks_of([0, 1], [2])
    machine = Machine()
    machine.submit(first)
    machine.submit(second)
    assert not machine.executor.is_idle
    assert machine.executor.run_slice()
    assert machine.hashes == [expected[0].block_hash]
    assert not machine.executor.run_slice()
    assert machine.executor.is_idle
    assert [block.result_hash for block in machine.executed] == [block.result_hash for block in expected]
    assert machine.chain.executed(expected[1].block_hash) is machine.executed[1]


def test_large_block_is_executed_in_slices(monkeypatch):
    monkeypatch.setattr(executor_module, "SLICE_TRANSACTIONS", 2)
    (block,), (expected,) = blocks_of([0, 1, 2, 3, 4])
    machine = Machine()
    machine.submit(block)
    assert [machine.executor.run_slice() for _ in range(2)] == [True, True]
    assert machine.executed == []
    assert not machine.executor.run_slice()
    assert [one.result_hash for one in machine.executed] == [expected.result_hash]


def test_costly_transactions_are_executed_one_by_one(monkeypatch):
    """Given transactions of which each counts as many as a slice has, then a slice has one; an empty block is a slice too."""
    monkeypatch.setattr(executor_module, "LIGHT_BYTES_MAX", 0)
    monkeypatch.setattr(executor_module, "ORDINARY_WORK", 1)
    monkeypatch.setattr(executor_module, "SLICE_TRANSACTIONS", WORK[Transfer].units)
    blocks, expected = blocks_of([0, 1, 2], [])
    machine = Machine()
    for block in blocks:
        machine.submit(block)
    assert [machine.executor.run_slice() for _ in range(4)] == [True, True, True, False]
    assert machine.hashes == [block.block_hash for block in expected]


@pytest.mark.parametrize(("weight_max", "is_done"), [(6, True), (5, False)])
def test_block_is_executed_at_once_if_it_is_light_and_nothing_waits(monkeypatch, weight_max, is_done):
    monkeypatch.setattr(executor_module, "SHORT_TRANSACTIONS_MAX", weight_max)
    monkeypatch.setattr(executor_module, "LIGHT_BYTES_MAX", 0)
    monkeypatch.setattr(executor_module, "ORDINARY_WORK", WORK[Transfer].units)
    (first, second), _ = blocks_of([0, 1, 2], [3])
    machine = Machine()
    machine.submit(first)
    assert machine.executor.run_short() is is_done
    assert machine.executor.is_idle is is_done
    machine.submit(first)
    machine.submit(second)
    assert not machine.executor.run_short()


def test_block_that_is_executed_already_is_told_again():
    (block,), (expected,) = blocks_of([0])
    machine = Machine()
    machine.submit(block)
    machine.submit(block)
    assert machine.executor.run_slice()
    assert not machine.executor.run_slice()
    assert machine.hashes == [expected.block_hash] * 2
    assert machine.executed[0] is machine.executed[1]


def test_block_that_became_final_while_it_waited_is_not_told():
    (block,), _ = blocks_of([0])
    machine = Machine()
    machine.submit(block)
    machine.submit(block)
    machine.executor.run_slice()
    finalize(machine, machine.executed[0])
    assert not machine.executor.run_slice()
    assert len(machine.executed) == 1


def test_block_whose_parent_was_passed_over_is_dropped():
    (parent, child), _ = blocks_of([0], [1])
    (rival,), _ = blocks_of([5], view=7)
    machine = Machine()
    machine.submit(parent)
    machine.submit(rival)
    machine.executor.run_slice()
    machine.executor.run_slice()
    finalize(machine, machine.executed[1])
    machine.submit(child)
    assert not machine.executor.run_slice()
    assert len(machine.executed) == 2


@pytest.mark.parametrize("slices", [0, 1, 2])
def test_block_under_execution_is_dropped_when_another_branch_becomes_final(monkeypatch, slices):
    """Given a block half executed on a branch, when a rival of its parent becomes final, then the next goes on without it."""
    monkeypatch.setattr(executor_module, "SLICE_TRANSACTIONS", 1)
    (parent, child), _ = blocks_of([0], [1, 2, 3])
    (rival, after), expected = blocks_of([5], [6], view=7)
    machine = Machine()
    for block in (parent, rival):
        machine.submit(block)
        machine.executor.run_slice()
    machine.submit(child)
    machine.submit(after)
    for _ in range(slices):
        assert machine.executor.run_slice()
    finalize(machine, machine.executed[1])
    assert machine.executor.run_slice()
    assert not machine.executor.run_slice()
    assert machine.hashes[2:] == [expected[1].block_hash]


def test_block_goes_on_when_its_parent_becomes_final_meanwhile(monkeypatch):
    monkeypatch.setattr(executor_module, "SLICE_TRANSACTIONS", 1)
    (parent, child), expected = blocks_of([0], [1, 2])
    machine = Machine()
    machine.submit(parent)
    machine.submit(child)
    machine.executor.run_slice()
    assert machine.executor.run_slice()
    finalize(machine, machine.executed[0])
    assert not machine.executor.run_slice()
    assert machine.executed[1].result_hash == expected[1].result_hash


def test_who_is_told_of_a_block_may_submit_the_next():
    (first, second), expected = blocks_of([0], [1])
    machine = Machine()
    header, transactions = first
    machine.executor.submit(hash_header(header), header, transactions, lambda _block: machine.submit(second))
    assert machine.executor.run_slice()
    assert not machine.executor.run_slice()
    assert machine.hashes == [expected[1].block_hash]
