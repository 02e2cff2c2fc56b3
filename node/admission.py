"""Admission to the mempool: its own reasons of refusal, what it asks of the runtime, and how the runtime answers.

The pool treats ledgers as opaque values that it passes on, so its tests need no state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Protocol, TypeVar

from msgspec import Struct

from state.errors import TransactionRejected
from state.governance_messages import Propose
from state.ledger import Ledger
from state.messages import Bond, BondAction, Transfer
from state.order_messages import Fund, PlaceOrder
from state.records import ACCOUNTS, NEW_ACCOUNT, Account
from state.runtime.execute import check_admission
from state.runtime.nonces import find_nonce_problem
from state.runtime.rules import VALIDITY_RULES, are_signers_authorised, check_fee, check_size, situation_at
from state.transactions import Transaction


class MempoolReason(StrEnum):
    """Why the pool refuses a transaction that the chain itself would take."""

    DUPLICATE = "duplicate"
    """It is pending already."""
    ALREADY_FINAL = "already_final"
    """It was included a short while ago."""
    EXPIRED = "expired"
    """It waited here until it expired."""
    REPLACEMENT_FEE_TOO_LOW = "replacement_fee_too_low"
    """Another transaction with this sender and nonce is pending; replacing it takes 10 % more fee."""
    SENDER_LIMIT = "sender_limit"
    """The sender has too many pending transactions."""
    MEMPOOL_FULL = "mempool_full"
    """The pool is full of transactions that pay at least as much per byte."""


class Source(StrEnum):
    """Where a transaction came from, for counting."""

    LOCAL = "local"
    PEER = "peer"


class SenderState(Protocol):
    """What state says about a sender; an absent account has no money and no used nonce."""

    @property
    def balance(self) -> int:
        """Money in ubocc."""

    @property
    def highest_nonce(self) -> int:
        """Highest nonce used; nothing above it is used."""

    def is_nonce_used(self, nonce: int) -> bool:
        """Tell whether this nonce is used or counts as used."""


BlockWork = Callable[[Transaction], int | None]
LedgerType = TypeVar("LedgerType")
LedgerType_contra = TypeVar("LedgerType_contra", contravariant=True)


class AdmissionRules(Protocol[LedgerType_contra]):
    """What the pool asks of the runtime; ledgers pass through unread."""

    def check_admission(
        self, ledger: LedgerType_contra, transaction: Transaction, wall_ms: int, reserved_fees: int
    ) -> None:
        """Check a transaction against the newest state, cheap rules first; reserved_fees are those of the sender's other ones.

        Raises:
            TransactionRejected: with the reason of the rule.
        """

    def block_work(self, ledger: LedgerType_contra, block_time_ms: int) -> BlockWork:
        """Return what tells the work units of a transaction, or None if a block on this state at this time may not contain it."""

    def sender_state(self, ledger: LedgerType_contra, sender: bytes) -> SenderState:
        """Return what a sender has and used."""

    def outgoing(self, transaction: Transaction) -> int:
        """Return the most that a transaction takes from its sender's balance: fee and amounts."""

    def is_authorised(self, ledger: LedgerType_contra, transaction: Transaction) -> bool:
        """Tell whether the signers may act for the sender."""


class AccountState(Struct, frozen=True):
    """A sender as its account record says."""

    account: Account

    @property
    def balance(self) -> int:
        """Money in ubocc."""
        return self.account.balance

    @property
    def highest_nonce(self) -> int:
        """Highest nonce used; -1 if none was."""
        return self.account.next_nonce - 1

    def is_nonce_used(self, nonce: int) -> bool:
        """Tell whether the account can no longer use this nonce."""
        return find_nonce_problem(self.account, nonce) is not None


class RuntimeRules:
    """The rules of the accounts runtime on real ledgers."""

    def check_admission(self, ledger: Ledger, transaction: Transaction, wall_ms: int, reserved_fees: int) -> None:
        """Check a transaction against the newest state.

        Raises:
            TransactionRejected: with the reason of the rule.
        """
        check_admission(ledger, transaction, wall_ms, reserved_fees)

    def block_work(self, ledger: Ledger, block_time_ms: int) -> BlockWork:
        """Return what tells the work of a transaction in a block on this state, or None if it is not valid there."""
        situation = situation_at(ledger, block_time_ms)
        checks = [rule.check for rule in VALIDITY_RULES]
        spent: dict[bytes, int] = {}

        def work(transaction: Transaction) -> int | None:
            sender, fee = transaction.body.sender, transaction.body.fee
            before = spent.get(sender, 0)
            try:
                for check in checks:
                    check(situation, transaction)
            except TransactionRejected:
                return None
            account = ledger.find(ACCOUNTS, sender)
            if account is None or account.balance < before + fee or not are_signers_authorised(ledger, transaction):
                return None  # the block may contain it, but nobody would pay for it
            spent[sender] = before + self.outgoing(transaction)
            return situation.prices.work(transaction)

        return work

    def outgoing(self, transaction: Transaction) -> int:
        """Return fee, transfers to others, bonds and deposits. What resources and orders lock for their bytes is left out."""
        body = transaction.body
        total = body.fee
        for message in body.messages:
            match message:
                case Transfer(to=to, amount=amount) if to != body.sender:
                    total += amount
                case Bond(action=BondAction.ADD, amount=amount) | Fund(amount=amount):
                    total += amount
                case PlaceOrder(deposit=deposit) | Propose(deposit=deposit):
                    total += deposit
                case _:
                    pass
        return total

    def is_authorised(self, ledger: Ledger, transaction: Transaction) -> bool:
        """Tell whether the signers may act for the sender."""
        return are_signers_authorised(ledger, transaction)

    def sender_state(self, ledger: Ledger, sender: bytes) -> AccountState:
        """Return what a sender has and used."""
        return AccountState(ledger.find(ACCOUNTS, sender) or NEW_ACCOUNT)


def find_outdated(ledger: Ledger, transactions: Iterable[Transaction]) -> list[tuple[Transaction, TransactionRejected]]:
    """Return which transactions pay too little or are too large by the parameters of this state, with the refusal of each."""
    situation = situation_at(ledger, 0)
    outdated: list[tuple[Transaction, TransactionRejected]] = []
    for transaction in transactions:
        try:
            check_size(situation, transaction)
            check_fee(situation, transaction)
        except TransactionRejected as rejection:
            outdated.append((transaction, rejection))
    return outdated
