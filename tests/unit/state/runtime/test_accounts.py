"""Transfers."""

from __future__ import annotations

import pytest

from state.codec import INTEGER_MAX
from state.receipts import ReceiptStatus
from state.runtime.reasons import TransactionReason
from tests.support.chain_builders import FEE, World, account, account_key, transfer

ALICE, BOB = account(0), account(1)
START = 10**12
NOBODY = b"\x00" + b"\x42" * 20


def test_an_account_exists_once_money_arrives() -> None:
    world = World()
    world.apply(world.sign(account_key(0), transfer(NOBODY, 1)))
    assert world.balance(NOBODY) == 1


def test_a_transfer_to_oneself_costs_the_fee_alone() -> None:
    world = World()
    world.apply(world.sign(account_key(0), transfer(ALICE, START - FEE)))
    assert world.balance(ALICE) == START - FEE


def test_the_whole_balance_after_the_fee_can_be_moved() -> None:
    world = World()
    world.apply(world.sign(account_key(0), transfer(BOB, START - FEE)))
    assert (world.balance(ALICE), world.balance(BOB)) == (0, 2 * START - FEE)


@pytest.mark.parametrize(
    ("to", "amount", "reason"),
    [
        pytest.param(BOB, START - FEE + 1, TransactionReason.BALANCE_TOO_LOW, id="one too many"),
        pytest.param(ALICE, START - FEE + 1, TransactionReason.BALANCE_TOO_LOW, id="to oneself"),
        pytest.param(BOB, INTEGER_MAX, TransactionReason.BALANCE_TOO_LOW, id="largest"),
        pytest.param(BOB, 0, TransactionReason.ZERO_AMOUNT, id="nothing"),
        pytest.param(b"\x01" + BOB[1:], 1, TransactionReason.NOT_AN_ACCOUNT, id="a resource"),
    ],
)
def test_a_transfer_that_cannot_be_changes_nothing_but_the_fee(
    to: bytes, amount: int, reason: TransactionReason
) -> None:
    world = World()
    (receipt,) = world.apply(world.sign(account_key(0), transfer(to, amount))).receipts
    assert (receipt.status, receipt.reason, receipt.fee) == (ReceiptStatus.FAILED, reason, FEE)
    assert (world.balance(ALICE), world.balance(BOB)) == (START - FEE, START)
