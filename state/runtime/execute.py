"""Execution of a block, and the checks before it.

Execution is total: a transaction of a valid block never raises, whatever it asks for. Its outcome is a receipt:

- Keys that do not authorise the sender, or a recovery without a quorum of guardians: failed, nothing is charged, no nonce is
  consumed. Nobody can make an account pay or lose a nonce but its own keys. Anybody can make such an envelope with the tx_id of
  a properly signed one, so this receipt settles nothing: no index by tx_id and no proof of a transaction knows it
  (`Receipt.is_settling`).
- The sender cannot pay the fee: failed, the nonce is consumed, nothing is charged and nothing runs. An account that does not
  exist is not created by this.
- A message fails: failed, the fee is paid, the nonce is consumed, and all messages are undone.
- Otherwise: ok. The fee is paid, unless every message was news that all profit from (collateral): then its least fee goes back.

Source: DESIGN section 4, "Valid, authorised, payable".
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from state.block import EpochStart, Header
from state.errors import BlockRejected, TransactionRejected
from state.ledger import Ledger, Overlay
from state.params import Params
from state.receipts import Event, Receipt, ReceiptStatus
from state.records import ACCOUNTS, ONLY, PARAMS, Account
from state.runtime.block_edges import begin_block, end_block
from state.runtime.context import Context
from state.runtime.dispatch import HANDLERS
from state.runtime.nonces import find_nonce_problem, use_nonce
from state.runtime.prices import price_table
from state.runtime.reasons import BlockReason, TransactionReason
from state.runtime.rules import ADMISSION_RULES, VALIDITY_RULES, are_signers_authorised, situation_at
from state.transactions import Transaction
from state.validators import ValidatorSet


class Executed(Struct, frozen=True):
    """What a block gave."""

    receipts: tuple[Receipt, ...]
    """In the order of the transactions."""
    events: tuple[Event, ...]
    """In the order in which they happened."""
    next_validators: ValidatorSet
    """The very object that was given if the set does not change."""
    work_units: int


class BlockExecution:
    """The execution of one block on an overlay of its parent's state: construct, apply each transaction, finish."""

    __slots__ = ("_context", "_fees", "_prices", "_receipts", "_validators", "_work")

    def __init__(
        self,
        overlay: Overlay,
        header: Header,
        epoch_start: EpochStart,
        validators: ValidatorSet,
        params: Params | None = None,
    ) -> None:
        """Do the duties of a block's beginning. Parameters are the parent state's unless given."""
        params = params or overlay.get(PARAMS, ONLY)
        self._context = Context(overlay, params, header.chain_id, header.epoch, header.height, header.time_ms)
        self._prices = price_table(params)
        self._validators = validators
        self._receipts: list[Receipt] = []
        self._fees = 0
        self._work = 0
        begin_block(self._context, header, epoch_start.root.height, validators)

    def apply(self, transaction: Transaction) -> None:
        """Execute the next transaction of a block that has passed `check_block`, whose signatures verify."""
        context = self._context
        context.tx_index = len(self._receipts)
        receipt = run_transaction(context, transaction, self._prices.work(transaction))
        self._receipts.append(receipt)
        self._fees += receipt.fee
        self._work += receipt.work

    def finish(self) -> Executed:
        """Do the duties of the block's end and return what it gave. The overlay then holds the state after the block."""
        context = self._context
        context.tx_index = None
        next_validators = end_block(context, self._fees, self._validators)
        return Executed(tuple(self._receipts), tuple(context.events), next_validators, self._work)


def run_transaction(context: Context, transaction: Transaction, work: int) -> Receipt:
    """Execute one transaction on the context's ledger and return its receipt."""
    body, ledger = transaction.body, context.ledger
    if not are_signers_authorised(ledger, transaction):
        return _failed(transaction, work, TransactionReason.UNAUTHORISED)
    account = ledger.find(ACCOUNTS, body.sender)
    if account is None:
        return _failed(transaction, work, TransactionReason.CANNOT_PAY)
    problem = find_nonce_problem(account, body.nonce)
    if problem is not None:
        return _failed(transaction, work, problem)
    next_nonce, unused_nonces = use_nonce(account, body.nonce)
    fee = body.fee if account.balance >= body.fee else 0
    ledger.put(
        ACCOUNTS,
        body.sender,
        Account(
            balance=account.balance - fee,
            next_nonce=next_nonce,
            unused_nonces=unused_nonces,
            has_auth=account.has_auth,
        ),
    )
    if fee != body.fee:
        return _failed(transaction, work, TransactionReason.CANNOT_PAY)
    return _run_messages(context, transaction, work)


def _run_messages(context: Context, transaction: Transaction, work: int) -> Receipt:
    """Apply all messages of a transaction whose fee is paid, or none."""
    body, ledger = transaction.body, context.ledger
    savepoint = ledger.savepoint()
    events_before, concerns_before = len(context.events), len(context.concerns)
    context.fees_returned = context.message_index = 0
    context.nonce = body.nonce
    try:
        for message in body.messages:
            HANDLERS[type(message)].apply(context, body.sender, message)
            context.message_index += 1
    except TransactionRejected as rejection:
        ledger.rollback(savepoint)
        del context.events[events_before:]
        del context.concerns[concerns_before:]
        return _failed(transaction, work, rejection.reason, body.fee, context.message_index)
    fee = body.fee
    if fee and context.fees_returned == len(body.messages):
        returned = price_table(context.params).fee(transaction)
        fee -= returned
        account = ledger.get(ACCOUNTS, body.sender)
        ledger.put(ACCOUNTS, body.sender, replace(account, balance=account.balance + returned))
    return Receipt(
        tx_id=transaction.tx_id,
        status=ReceiptStatus.OK,
        reason="",
        message_index=0,
        fee=fee,
        work=work,
        event_count=len(context.events) - events_before,
    )


def _failed(transaction: Transaction, work: int, reason: str, fee: int = 0, message_index: int = 0) -> Receipt:
    return Receipt(
        tx_id=transaction.tx_id,
        status=ReceiptStatus.FAILED,
        reason=reason,
        message_index=message_index,
        fee=fee,
        work=work,
        event_count=0,
    )


def check_block(ledger: Ledger, header: Header, parent_time_ms: int, transactions: Sequence[Transaction]) -> None:
    """Check that a block's transactions make it valid on its parent's state. Their signatures are the caller's to verify.

    Transactions of one sender must ascend in nonce: so none repeats, and each stays usable until its turn (see nonces).

    Raises:
        BlockRejected: any BlockReason.
    """
    if header.time_ms <= parent_time_ms:
        raise BlockRejected(BlockReason.TIME_NOT_ABOVE_PARENT, header.time_ms, parent_time_ms)
    situation = situation_at(ledger, header.time_ms)
    blocks = situation.params.blocks
    if len(transactions) > blocks.transactions_max:
        raise BlockRejected(BlockReason.TOO_MANY_TRANSACTIONS, len(transactions), blocks.transactions_max)
    size = sum([len(transaction.encoded) for transaction in transactions])
    if size > blocks.bytes_max:
        raise BlockRejected(BlockReason.TOO_MANY_BYTES, size, blocks.bytes_max)
    work = sum([situation.prices.work(transaction) for transaction in transactions])
    if work > blocks.work_max:
        raise BlockRejected(BlockReason.TOO_MUCH_WORK, work, blocks.work_max)
    last_nonces: dict[bytes, int] = {}
    checks = [rule.check for rule in VALIDITY_RULES]
    for index, transaction in enumerate(transactions):
        body = transaction.body
        if body.nonce <= last_nonces.get(body.sender, -1):
            raise BlockRejected(BlockReason.NONCE_ORDER, f"{body.nonce} at {index}", last_nonces[body.sender] + 1)
        last_nonces[body.sender] = body.nonce
        try:
            for check in checks:
                check(situation, transaction)
        except TransactionRejected as rejection:
            raise BlockRejected(BlockReason.INVALID_TRANSACTION, index, str(rejection)) from rejection


def check_admission(ledger: Ledger, transaction: Transaction, wall_ms: int, reserved_fees: int) -> None:
    """Check whether a transaction may wait for a block: cheap rules first, signatures are the caller's to verify after.

    reserved_fees are the fees in ubocc of the sender's other pending transactions.

    Raises:
        TransactionRejected: ENVELOPE_TOO_LARGE, NOT_AN_ACCOUNT, EXPIRED, EXPIRES_TOO_LATE, FEE_TOO_LOW, NONCE_USED,
            NONCE_TOO_HIGH, UNAUTHORISED, CANNOT_PAY.
    """
    situation = situation_at(ledger, wall_ms, reserved_fees)
    for rule in ADMISSION_RULES:
        rule.check(situation, transaction)
