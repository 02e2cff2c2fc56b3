"""A mempool over a toy ledger: accounts are a dict, every transaction works 10 units per byte of memo plus 100."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from node.mempool import Mempool
from node.pool_entries import fee_rate
from state.address import account_address
from state.crypto import SigningKey
from state.errors import TransactionRejected
from state.messages import Transfer
from state.transactions import Body, Transaction, sign_transaction

CHAIN_ID = bytes(32)
KEYS = tuple(SigningKey(bytes([number]) * 32) for number in range(1, 9))
ADDRESSES = tuple(account_address(key.public_key) for key in KEYS)
NEVER = 1 << 60


class ToyReason(StrEnum):
    EXPIRED = "expired"
    NONCE_USED = "nonce_used"
    CANNOT_PAY = "cannot_pay"


class ToyAccount(msgspec.Struct):
    balance: int = 1_000_000
    used: set[int] = msgspec.field(default_factory=set)

    @property
    def highest_nonce(self) -> int:
        return max(self.used, default=0)

    def is_nonce_used(self, nonce: int) -> bool:
        return nonce in self.used


ToyLedger = dict[bytes, ToyAccount]


class ToyRules:
    """The admission rules on toy accounts."""

    def check_admission(self, ledger: ToyLedger, transaction: Transaction, wall_ms: int, reserved_fees: int) -> None:
        body = transaction.body
        account = self.sender_state(ledger, body.sender)
        if body.expires_at_ms < wall_ms:
            raise TransactionRejected(ToyReason.EXPIRED, body.expires_at_ms, wall_ms)
        if body.nonce in account.used:
            raise TransactionRejected(ToyReason.NONCE_USED, body.nonce)
        if body.fee + reserved_fees > account.balance:
            raise TransactionRejected(ToyReason.CANNOT_PAY, body.fee + reserved_fees, account.balance)

    def block_work(self, ledger: ToyLedger, block_time_ms: int):
        def work(transaction: Transaction) -> int | None:
            body = transaction.body
            if body.expires_at_ms < block_time_ms or body.nonce in self.sender_state(ledger, body.sender).used:
                return None
            return 100 + 10 * len(body.memo)

        return work

    def sender_state(self, ledger: ToyLedger, sender: bytes) -> ToyAccount:
        return ledger.get(sender) or ToyAccount(balance=0)

    def outgoing(self, transaction: Transaction) -> int:
        return transaction.body.fee

    def is_authorised(self, ledger: ToyLedger, transaction: Transaction) -> bool:
        return transaction.body.memo != b"foreign"


def toy_ledger() -> ToyLedger:
    return {address: ToyAccount() for address in ADDRESSES}


def transfer(sender: int = 0, nonce: int = 1, fee: int = 1_000, memo: bytes = b"", expires: int = NEVER) -> Transaction:
    """Return a signed transfer of one of the KEYS."""
    body = Body(
        sender=ADDRESSES[sender],
        nonce=nonce,
        expires_at_ms=expires,
        fee=fee,
        messages=(Transfer(to=ADDRESSES[-1], amount=1),),
        memo=memo,
    )
    return sign_transaction(CHAIN_ID, body, (KEYS[sender],))


def check_pool(pool: Mempool[ToyLedger]) -> None:
    """Assert every invariant of the pool's indexes."""
    entries = list(pool._by_hash.values())
    assert {entry.transaction.envelope_hash for entry in entries} == set(pool._by_hash)
    assert {tx_id: entry.order for tx_id, entry in pool._by_id.items()} == {
        e.transaction.tx_id: e.order for e in entries
    }
    assert {entry.order for entry in entries} == set(pool._by_order)
    assert pool._order == sorted(set(pool._order))
    assert set(pool._by_order) <= set(pool._order)
    assert set(pool._by_order) <= {order for _, order in pool._expiries}
    assert pool.byte_count == sum(len(entry.transaction.encoded) for entry in entries)
    queued = [entry for sender in pool._senders.values() for entry in sender.entries]
    assert {id(entry) for entry in queued} == {id(entry) for entry in entries}
    assert len(queued) == len(entries)
    for address, sender in pool._senders.items():
        assert sender.entries
        assert len(sender.entries) <= pool.limits.per_sender_max
        nonces = [entry.nonce for entry in sender.entries]
        assert nonces == sorted(set(nonces))
        assert all(entry.sender == address for entry in sender.entries)
        assert sender.reserved == sum(entry.outgoing for entry in sender.entries)
    assert len(entries) <= pool.limits.transactions_max
    assert pool.byte_count <= pool.limits.bytes_max
    ordered = pool.first(len(entries))
    assert [fee_rate(tx) for tx in ordered] == sorted((fee_rate(tx) for tx in ordered), reverse=True)
    assert len(ordered) == len(entries)
    assert not set(pool._seen) & set(pool._by_id)
