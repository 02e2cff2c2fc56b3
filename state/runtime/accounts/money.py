"""Accounts: money from one to another, and who may act for them."""

from __future__ import annotations

from msgspec.structs import replace

from state.address import AddressKind
from state.errors import TransactionRejected
from state.messages import Transfer
from state.receipts import EventKind
from state.records import ACCOUNTS, MONEY, NEW_ACCOUNT, ONLY, Account
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason


def apply_transfer(context: Context, sender: bytes, message: Transfer) -> None:
    """Move money from the sender to an account, which exists from then on.

    Raises:
        TransactionRejected: NOT_AN_ACCOUNT, ZERO_AMOUNT, BALANCE_TOO_LOW.
    """
    if message.to[0] != AddressKind.ACCOUNT:
        raise TransactionRejected(TransactionReason.NOT_AN_ACCOUNT, message.to.hex())
    if message.amount == 0:
        raise TransactionRejected(TransactionReason.ZERO_AMOUNT, 0, 1)
    debit(context, sender, message.amount)
    credit(context, message.to, message.amount)
    context.emit(EventKind.TRANSFERRED, sender=sender, to=message.to, amount=message.amount)


def debit(context: Context, address: bytes, amount: int) -> None:
    """Take money from an account that exists.

    Raises:
        TransactionRejected: BALANCE_TOO_LOW.
    """
    account = context.ledger.get(ACCOUNTS, address)
    if account.balance < amount:
        raise TransactionRejected(TransactionReason.BALANCE_TOO_LOW, account.balance, amount)
    context.ledger.put(ACCOUNTS, address, with_balance(account, account.balance - amount))


def credit(context: Context, address: bytes, amount: int) -> None:
    """Give money to an account, which exists from then on."""
    account = context.ledger.find(ACCOUNTS, address) or NEW_ACCOUNT
    context.ledger.put(ACCOUNTS, address, with_balance(account, account.balance + amount))


def credit_treasury(context: Context, amount: int) -> None:
    """Give money to the treasury."""
    if amount:
        money = context.ledger.get(MONEY, ONLY)
        context.ledger.put(MONEY, ONLY, replace(money, treasury=money.treasury + amount))


def with_balance(account: Account, balance: int) -> Account:
    """Return the account with another balance; faster than a general replacement of fields."""
    return Account(
        balance=balance,
        next_nonce=account.next_nonce,
        unused_nonces=account.unused_nonces,
        has_auth=account.has_auth,
    )
