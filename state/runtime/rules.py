"""The rules that a transaction obeys before it runs, one by one, cheapest first.

Block validity, admission and the dry run use the same functions; only the set of rules differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from state.address import AddressKind
from state.errors import TransactionRejected
from state.ledger import Ledger
from state.messages import Message, Scope, SetAuth
from state.params import Params
from state.records import ACCOUNTS, AUTHS, NEW_ACCOUNT, ONLY, PARAMS
from state.resource_messages import Assign
from state.runtime.accounts.authorisation import (
    has_guardian_quorum,
    has_weight,
    is_authorised,
    without_guardian_keys,
    without_keys_of,
)
from state.runtime.dispatch import required_scope
from state.runtime.nonces import find_nonce_problem
from state.runtime.prices import PriceTable, price_table
from state.runtime.reasons import TransactionReason
from state.runtime.work import WORK
from state.transactions import Transaction


class Situation(Struct, frozen=True):
    """Against what a transaction is checked."""

    ledger: Ledger
    params: Params
    prices: PriceTable
    time_ms: int
    """Block time, or the wall clock at admission."""
    reserved_fees: int = 0
    """ubocc that pending transactions of the same sender will pay."""


def situation_at(ledger: Ledger, time_ms: int, reserved_fees: int = 0) -> Situation:
    """Return the situation after a state, at a time."""
    params = ledger.get(PARAMS, ONLY)
    return Situation(ledger, params, price_table(params), time_ms, reserved_fees)


def check_size(situation: Situation, transaction: Transaction) -> None:
    """ENVELOPE_TOO_LARGE, TOO_MANY_LARGE_MESSAGES."""
    blocks, messages = situation.params.blocks, transaction.body.messages
    if len(messages) > 1:
        large_count = sum(WORK[type(message)].is_large for message in messages)
        if large_count > 1:
            raise TransactionRejected(TransactionReason.TOO_MANY_LARGE_MESSAGES, large_count, 1)
    size = len(transaction.encoded)
    if size > blocks.envelope_bytes_max:
        is_large = any(WORK[type(message)].is_large for message in messages)
        bound = blocks.large_envelope_bytes_max if is_large else blocks.envelope_bytes_max
        if size > bound:
            raise TransactionRejected(TransactionReason.ENVELOPE_TOO_LARGE, size, bound)


def check_sender(_situation: Situation, transaction: Transaction) -> None:
    """NOT_AN_ACCOUNT."""
    if transaction.body.sender[0] != AddressKind.ACCOUNT:
        raise TransactionRejected(TransactionReason.NOT_AN_ACCOUNT, transaction.body.sender.hex())


def check_not_expired(situation: Situation, transaction: Transaction) -> None:
    """EXPIRED."""
    if transaction.body.expires_at_ms < situation.time_ms:
        raise TransactionRejected(TransactionReason.EXPIRED, transaction.body.expires_at_ms, situation.time_ms)


def check_expires_soon(situation: Situation, transaction: Transaction) -> None:
    """EXPIRES_TOO_LATE."""
    bound = situation.time_ms + situation.params.blocks.expiry_ahead_ms_max
    if transaction.body.expires_at_ms > bound:
        raise TransactionRejected(TransactionReason.EXPIRES_TOO_LATE, transaction.body.expires_at_ms, bound)


def check_fee(situation: Situation, transaction: Transaction) -> None:
    """FEE_TOO_LOW."""
    price = situation.prices.fee(transaction)
    if transaction.body.fee < price:
        raise TransactionRejected(TransactionReason.FEE_TOO_LOW, transaction.body.fee, price)


def check_nonce(situation: Situation, transaction: Transaction) -> None:
    """NONCE_USED, NONCE_TOO_HIGH."""
    account = situation.ledger.find(ACCOUNTS, transaction.body.sender) or NEW_ACCOUNT
    problem = find_nonce_problem(account, transaction.body.nonce)
    if problem is not None:
        raise TransactionRejected(problem, transaction.body.nonce, account.next_nonce)


def check_authorised(situation: Situation, transaction: Transaction) -> None:
    """UNAUTHORISED."""
    if not are_signers_authorised(situation.ledger, transaction):
        signers = " ".join(pair.public_key.hex() for pair in transaction.signatures)
        raise TransactionRejected(TransactionReason.UNAUTHORISED, signers)


def are_signers_authorised(ledger: Ledger, transaction: Transaction) -> bool:
    """Tell whether the signing keys may act for the sender in the scope of every message, and for all others that must agree.

    Others are the guardians of a recovery and the new owner of a resource. They count here and not when the message runs, so that
    nobody makes the sender pay by taking their signatures away. A stranger's key spoils the envelope: otherwise anybody could make
    another good one of a body by signing it too, which is longer, pays less for its bytes and goes by the same tx_id.
    """
    body, signatures = transaction.body, transaction.signatures
    account = ledger.find(ACCOUNTS, body.sender)
    if account is None or not account.has_auth:
        if body.sender not in transaction.signer_addresses:
            return False
    else:
        auth = ledger.get(AUTHS, body.sender)
        public_keys = [pair.public_key for pair in signatures]
        if not all(has_weight(auth, public_keys, required_scope(message, body.sender)) for message in body.messages):
            return False
    for message in body.messages:
        if not _do_others_agree(ledger, transaction, message):
            return False
    return len(signatures) == 1 or not _has_stranger(ledger, transaction)


def _do_others_agree(ledger: Ledger, transaction: Transaction, message: Message) -> bool:
    """Tell whether those agree whom a message concerns beside its sender: guardians of a recovery, the new owner of a resource."""
    if type(message) is SetAuth and message.account != transaction.body.sender:
        return has_guardian_quorum(ledger, message.account, [pair.public_key for pair in transaction.signatures])
    if type(message) is Assign:
        return is_authorised(ledger, message.to, [pair.public_key for pair in transaction.signatures], Scope.OWN)
    return True


def _has_stranger(ledger: Ledger, transaction: Transaction) -> bool:
    """Tell whether a signing key is neither the sender's nor of anybody else whose agreement a message needs."""
    body = transaction.body
    strangers = without_keys_of(ledger, body.sender, [pair.public_key for pair in transaction.signatures])
    for message in body.messages:
        if type(message) is SetAuth and message.account != body.sender:
            strangers = without_guardian_keys(ledger, message.account, strangers)
        elif type(message) is Assign:
            strangers = without_keys_of(ledger, message.to, strangers)
    return bool(strangers)


def check_payable(situation: Situation, transaction: Transaction) -> None:
    """CANNOT_PAY."""
    account = situation.ledger.find(ACCOUNTS, transaction.body.sender) or NEW_ACCOUNT
    needed = transaction.body.fee + situation.reserved_fees
    if account.balance < needed or account is NEW_ACCOUNT:
        raise TransactionRejected(TransactionReason.CANNOT_PAY, account.balance, needed)


def check_signatures(_situation: Situation, transaction: Transaction) -> None:
    """BAD_SIGNATURE."""
    if not transaction.has_valid_signatures():
        raise TransactionRejected(TransactionReason.BAD_SIGNATURE, transaction.tx_id.hex())


class Rule(Struct, frozen=True):
    """A check by name."""

    name: str
    check: Callable[[Situation, Transaction], None]


VALIDITY_RULES: Final = (
    Rule("size", check_size),
    Rule("sender", check_sender),
    Rule("not_expired", check_not_expired),
    Rule("fee", check_fee),
    Rule("nonce", check_nonce),
)
"""What every transaction of a valid block obeys, against the parent's state and the header's time."""

ADMISSION_RULES: Final = (
    *VALIDITY_RULES,
    Rule("expires_soon", check_expires_soon),
    Rule("payable", check_payable),
    Rule("authorised", check_authorised),
)
"""What a node asks before it takes a transaction into its mempool; the caller verifies the signatures after it."""
