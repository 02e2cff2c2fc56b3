"""Execution of blocks: receipts, fees, nonces, atomicity; and validity and admission before it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from state import queries
from state.codec import INTEGER_MAX
from state.crypto import SigningKey
from state.errors import BlockRejected, Rejected, TransactionRejected
from state.ledger import Overlay
from state.receipts import EVENT_CODEC, RECEIPT_CODEC, Event, EventKind, Receipt, ReceiptStatus
from state.records import ACCOUNTS
from state.runtime.execute import BlockExecution, check_admission, check_block
from state.runtime.reasons import BlockReason, TransactionReason
from state.transactions import Envelope, Transaction, parse_transaction, sign_transaction
from tests.support.chain_builders import (
    FEE,
    World,
    account,
    account_key,
    delegate,
    make_genesis,
    operator,
    transfer,
    with_params,
)

ALICE, BOB = account(0), account(1)
START = 10**12
STRANGER = SigningKey(b"\x07" * 32)
POOR = SigningKey(b"\x08" * 32)


@pytest.fixture
def world() -> World:
    return World()


def test_a_transfer_moves_money_and_pays_its_fee(world: World) -> None:
    transaction = world.sign(account_key(0), transfer(BOB, 5))
    executed = world.apply(transaction)
    receipt = Receipt(
        tx_id=transaction.tx_id,
        status=ReceiptStatus.OK,
        reason="",
        message_index=0,
        fee=FEE,
        work=100,
        event_count=1,
    )
    event = Event(kind=EventKind.TRANSFERRED, tx_index=0, attributes=(("sender", ALICE), ("to", BOB), ("amount", 5)))
    assert (executed.receipts, executed.events, executed.work_units) == ((receipt,), (event,), 100)
    assert (world.balance(ALICE), world.balance(BOB)) == (START - 5 - FEE, START + 5)
    assert world.account(ALICE).next_nonce == 1
    assert RECEIPT_CODEC.decode(RECEIPT_CODEC.encode(receipt)) == receipt
    assert EVENT_CODEC.decode(EVENT_CODEC.encode(event)) == event


def test_an_unchanged_set_is_returned_as_the_very_object(world: World) -> None:
    assert world.apply().next_validators is world.validators


def test_messages_are_applied_in_order_and_all_or_none(world: World) -> None:
    messages = (transfer(BOB, 5), transfer(BOB, 7), transfer(BOB, START), transfer(BOB, 1))
    executed = world.apply(world.sign(account_key(0), *messages))
    (receipt,) = executed.receipts
    assert (receipt.status, receipt.reason) == (ReceiptStatus.FAILED, TransactionReason.BALANCE_TOO_LOW)
    assert (receipt.message_index, receipt.fee, receipt.event_count) == (2, FEE, 0)
    assert executed.events == ()
    assert (world.balance(ALICE), world.balance(BOB)) == (START - FEE, START)
    assert world.account(ALICE).next_nonce == 1


def test_an_unauthorised_transaction_charges_nobody_and_consumes_no_nonce(world: World) -> None:
    stolen = world.sign(STRANGER, transfer(account(2), 5), sender=ALICE)
    (receipt,) = world.apply(stolen).receipts
    assert (receipt.reason, receipt.fee) == (TransactionReason.UNAUTHORISED, 0)
    assert world.account(ALICE).next_nonce == 0
    assert world.balance(ALICE) == START
    (genuine,) = world.apply(sign_transaction(world.chain_id, stolen.body, (account_key(0),))).receipts
    assert (genuine.status, genuine.tx_id) == (ReceiptStatus.OK, receipt.tx_id)


def test_an_envelope_padded_with_a_strangers_signature_does_not_stand_in_the_way_of_its_owners(world: World) -> None:
    """Given an envelope that anybody can see, when a stranger signs its body too, then his envelope is the unauthorised one."""
    genuine = world.sign(account_key(0), transfer(BOB, 5))
    padded = sign_transaction(world.chain_id, genuine.body, (account_key(0), STRANGER))
    assert padded.tx_id == genuine.tx_id
    with pytest.raises(TransactionRejected) as rejection:
        check_admission(world.ledger, padded, world.time_ms, 0)
    assert rejection.value.reason is TransactionReason.UNAUTHORISED
    (receipt,) = world.apply(padded).receipts
    assert (receipt.reason, receipt.fee, receipt.is_settling) == (TransactionReason.UNAUTHORISED, 0, False)
    assert world.account(ALICE).next_nonce == 0
    assert world.apply(genuine).receipts[0].status is ReceiptStatus.OK


def fund_poor(world: World) -> bytes:
    address = world.sign(POOR, transfer(BOB, 1)).body.sender
    world.apply(world.sign(account_key(5), transfer(address, FEE - 1)))
    return address


def test_who_cannot_pay_loses_the_nonce_and_nothing_else(world: World) -> None:
    poor = fund_poor(world)
    (receipt,) = world.apply(world.sign(POOR, transfer(BOB, 1))).receipts
    assert (receipt.reason, receipt.fee) == (TransactionReason.CANNOT_PAY, 0)
    assert (world.balance(poor), world.account(poor).next_nonce) == (FEE - 1, 1)


def test_an_account_that_does_not_exist_is_not_made_by_a_transaction_it_cannot_pay(world: World) -> None:
    transaction = world.sign(POOR, transfer(BOB, 1))
    (receipt,) = world.apply(transaction).receipts
    assert receipt.reason == TransactionReason.CANNOT_PAY
    assert world.ledger.find(ACCOUNTS, transaction.body.sender) is None


def test_money_received_earlier_in_the_block_can_be_spent(world: World) -> None:
    poor = world.sign(POOR, transfer(BOB, 1)).body.sender
    executed = world.apply(world.sign(account_key(0), transfer(poor, FEE + 1)), world.sign(POOR, transfer(BOB, 1)))
    assert [receipt.status for receipt in executed.receipts] == [ReceiptStatus.OK] * 2
    assert world.balance(poor) == 0


def test_a_used_nonce_in_execution_is_a_failed_receipt_and_never_an_exception(world: World) -> None:
    transaction = world.sign(account_key(0), transfer(BOB, 5))
    world.apply(transaction)
    header = world.header(1)
    execution = BlockExecution(Overlay(world.ledger), header, world.epoch_start, world.validators)
    execution.apply(transaction)
    assert execution.finish().receipts[0].reason == TransactionReason.NONCE_USED


def test_all_fees_of_a_block_go_to_the_fee_pool(world: World) -> None:
    world.apply(world.sign(account_key(0), transfer(BOB, 5)), world.sign(account_key(1), transfer(BOB, START)))
    assert queries.money(world.ledger).fee_pool == 2 * FEE


Change = Callable[[World], Transaction]


def sized(world: World, extra: int) -> Transaction:
    """Return a transaction as large as an envelope may be, and so many bytes more."""
    bound = world.params.blocks.envelope_bytes_max
    padded = world.sign(account_key(0), transfer(BOB, 5), memo=bytes(256), fee=10**9)
    envelope = Envelope(body=padded.body, signatures=padded.signatures)
    return Transaction(envelope, padded.encoded + bytes(bound + extra - len(padded.encoded)), world.chain_id)


INVALID: list[tuple[str, Change, TransactionReason]] = [
    ("too large", lambda world: sized(world, 1), TransactionReason.ENVELOPE_TOO_LARGE),
    (
        "resource as sender",
        lambda world: world.sign(account_key(0), transfer(BOB, 5), sender=b"\x01" + ALICE[1:]),
        TransactionReason.NOT_AN_ACCOUNT,
    ),
    (
        "expired",
        lambda world: world.sign(account_key(0), transfer(BOB, 5), expires_at_ms=world.time_ms),
        TransactionReason.EXPIRED,
    ),
    ("cheap", lambda world: cheap(world, -1), TransactionReason.FEE_TOO_LOW),
    (
        "nonce beyond the window",
        lambda world: world.sign(account_key(0), transfer(BOB, 5), nonce=1 << 32),
        TransactionReason.NONCE_TOO_HIGH,
    ),
    (
        "used nonce",
        lambda world: world.sign(account_key(9), transfer(BOB, 5), nonce=0),
        TransactionReason.NONCE_USED,
    ),
]


def cheap(world: World, difference: int) -> Transaction:
    """Return a transaction whose fee differs from its price by so much."""
    transaction = world.sign(account_key(0), transfer(BOB, 5))
    for _ in range(3):
        transaction = world.sign(account_key(0), transfer(BOB, 5), fee=world.price(transaction) + difference)
    return transaction


@pytest.mark.parametrize(("change", "reason"), [row[1:] for row in INVALID], ids=[row[0] for row in INVALID])
def test_a_block_with_an_invalid_transaction_is_invalid(
    world: World, change: Change, reason: TransactionReason
) -> None:
    world.apply(world.sign(account_key(9), transfer(BOB, 5)))
    good, bad = world.sign(account_key(3), transfer(BOB, 5)), change(world)
    with pytest.raises(BlockRejected) as rejection:
        check_block(world.ledger, world.header(2), world.time_ms, [good, bad])
    assert (rejection.value.reason, rejection.value.seen) == (BlockReason.INVALID_TRANSACTION, 1)
    assert str(rejection.value.bound).startswith(reason)


@pytest.mark.parametrize(("change", "reason"), [row[1:] for row in INVALID], ids=[row[0] for row in INVALID])
def test_an_invalid_transaction_is_not_admitted(world: World, change: Change, reason: TransactionReason) -> None:
    world.apply(world.sign(account_key(9), transfer(BOB, 5)))
    with pytest.raises(Rejected) as rejection:
        check_admission(world.ledger, change(world), world.time_ms + 1, 0)
    assert rejection.value.reason is reason


def test_the_limits_themselves_are_allowed(world: World) -> None:
    for transaction in (
        sized(world, 0),
        cheap(world, 0),
        world.sign(account_key(0), transfer(BOB, 5), nonce=(1 << 32) - 1),
        world.sign(account_key(0), transfer(BOB, 5), expires_at_ms=world.time_ms + 1_000),
    ):
        check_block(world.ledger, world.header(1), world.time_ms, [transaction])


def block_reason(world: World, *transactions: Transaction, parent_time_ms: int | None = None) -> object:
    header = world.header(len(transactions))
    with pytest.raises(BlockRejected) as rejection:
        check_block(world.ledger, header, world.time_ms if parent_time_ms is None else parent_time_ms, transactions)
    return rejection.value.reason


def test_time_of_a_block_is_above_its_parent_s(world: World) -> None:
    assert block_reason(world, parent_time_ms=world.time_ms + 1_000) is BlockReason.TIME_NOT_ABOVE_PARENT


def test_one_sender_s_transactions_ascend_in_nonce(world: World) -> None:
    first, second = (world.sign(account_key(0), transfer(BOB, 5), nonce=nonce) for nonce in (0, 1))
    check_block(world.ledger, world.header(2), world.time_ms, [first, second])
    assert block_reason(world, second, first) is BlockReason.NONCE_ORDER
    assert block_reason(world, first, first) is BlockReason.NONCE_ORDER


def test_a_block_has_limits_of_bytes_count_and_work() -> None:
    world = World(with_params(make_genesis(), "blocks", transactions_max=3, work_max=1_000))
    few = [world.sign(account_key(index), transfer(BOB, 5)) for index in range(4)]
    heavy = [world.sign(account_key(index), *[transfer(BOB, 5)] * 12) for index in range(2)]
    assert block_reason(world, *few) is BlockReason.TOO_MANY_TRANSACTIONS
    assert block_reason(world, *heavy) is BlockReason.TOO_MUCH_WORK
    check_block(world.ledger, world.header(3), world.time_ms, few[:3])
    world = World(with_params(make_genesis(), "blocks", bytes_max=1 << 19))
    large = [replaced_bytes(world.sign(account_key(index), transfer(BOB, 5))) for index in range(9)]
    assert block_reason(world, *large) is BlockReason.TOO_MANY_BYTES


def replaced_bytes(transaction: Transaction) -> Transaction:
    """Return a transaction that claims to have 60,000 bytes."""
    transaction.encoded = bytes(60_000)
    return transaction


def test_admission_wants_an_expiry_within_the_hour(world: World) -> None:
    hour = world.params.blocks.expiry_ahead_ms_max
    check_admission(world.ledger, world.sign(account_key(0), transfer(BOB, 5), expires_at_ms=7 + hour), 7, 0)
    with pytest.raises(Rejected) as rejection:
        check_admission(world.ledger, world.sign(account_key(0), transfer(BOB, 5), expires_at_ms=8 + hour), 7, 0)
    assert (rejection.value.reason, rejection.value.seen) == (TransactionReason.EXPIRES_TOO_LATE, 8 + hour)


def test_admission_counts_the_fees_of_pending_transactions(world: World) -> None:
    transaction = world.sign(account_key(0), transfer(BOB, 5))
    check_admission(world.ledger, transaction, world.time_ms, START - FEE)
    with pytest.raises(Rejected) as rejection:
        check_admission(world.ledger, transaction, world.time_ms, START - FEE + 1)
    assert (rejection.value.reason, rejection.value.bound) == (TransactionReason.CANNOT_PAY, START + 1)


def test_admission_wants_the_sender_s_keys_and_an_existing_account(world: World) -> None:
    for transaction, reason in (
        (world.sign(STRANGER, transfer(BOB, 5), sender=ALICE), TransactionReason.UNAUTHORISED),
        (world.sign(STRANGER, transfer(BOB, 5)), TransactionReason.CANNOT_PAY),
    ):
        with pytest.raises(Rejected) as rejection:
            check_admission(world.ledger, transaction, world.time_ms, 0)
        assert rejection.value.reason is reason


def test_a_fee_above_the_price_is_charged_in_full(world: World) -> None:
    world.apply(world.sign(account_key(0), transfer(BOB, 5), fee=777_777))
    assert world.balance(ALICE) == START - 5 - 777_777


def test_a_fee_that_no_integer_could_hold_with_others_is_just_not_payable(world: World) -> None:
    (receipt,) = world.apply(world.sign(account_key(0), transfer(BOB, 5), fee=INTEGER_MAX)).receipts
    assert receipt.reason == TransactionReason.CANNOT_PAY


def test_the_same_transaction_parses_and_executes_alike(world: World) -> None:
    transaction = world.sign(account_key(0), delegate(operator(0), 5))
    parsed = parse_transaction(transaction.encoded, world.chain_id)
    assert (
        world.execute([parsed], world.header(1))[1].changes()
        == world.execute([transaction], world.header(1))[1].changes()
    )


def test_parameters_of_the_parent_state_price_the_block() -> None:
    genesis = make_genesis()
    world = World(replace(with_params(genesis, "fees", base=5_000_000), salt=bytes(32)))
    assert block_reason(world, world.sign(account_key(0), transfer(BOB, 5))) is BlockReason.INVALID_TRANSACTION
