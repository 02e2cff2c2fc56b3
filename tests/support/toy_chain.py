"""A chain with a runtime of a few lines, for the laws of storage: branches, batches, restarts, history.

A toy transaction writes or deletes account records as its memo says, emits one event, and can turn the validator set. Nothing is
signed and nothing is checked, so a test can put anything into a state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from state.block import EpochStart, Header, hash_header
from state.certificates import Certificate
from state.chain import Chain
from state.chain_branches import ExecutedBlock
from state.codec import encode
from state.genesis import genesis_state
from state.ledger import Overlay
from state.receipts import Event, EventKind, Receipt, ReceiptStatus
from state.records import ACCOUNTS, Account
from state.transactions import Body, Envelope, KeySignature, Transaction
from state.validators import ValidatorSet
from state.votes import VoteKind
from tests.support.chain_builders import account, make_genesis, transfer

GENESIS = make_genesis(4)
CHAIN_ID = GENESIS.chain_id
VALIDATORS = genesis_state(GENESIS)[1]
TURN = "turn"
"""Key of a toy transaction's memo that drops the first validator for the others, or brings it back."""


def address(index: int) -> bytes:
    """Return an address that no key has."""
    return b"\0" + index.to_bytes(20, "big")


def raw_key(index: int) -> bytes:
    """Return the state key of a toy account."""
    return ACCOUNTS.raw_key(address(index))


def record(balance: int) -> Account:
    """Return a toy account's record."""
    return Account(balance=balance, next_nonce=0, unused_nonces=(), has_auth=False)


def encoded(balance: int | None) -> bytes | None:
    """Return the bytes of a toy account's record."""
    return None if balance is None else encode(record(balance))


def toy_transaction(balances: Mapping[int | str, int | None], nonce: int = 0) -> Transaction:
    """Return a transaction that sets toy accounts, or deletes them (None)."""
    body = Body(
        sender=account(1),
        nonce=nonce,
        expires_at_ms=0,
        fee=0,
        messages=(transfer(account(1), 0),),
        memo=json.dumps(balances).encode(),
    )
    envelope = Envelope(body=body, signatures=(KeySignature(public_key=bytes(32), signature=bytes(64)),))
    return Transaction(envelope, encode(envelope), CHAIN_ID)


class _Outcome(Struct, frozen=True):
    receipts: tuple[Receipt, ...]
    events: tuple[Event, ...]
    next_validators: ValidatorSet


class ToyExecution:
    """Executes toy transactions."""

    def __init__(self, overlay: Overlay, header: Header, epoch_start: EpochStart, validators: ValidatorSet) -> None:
        assert (header.epoch, validators.members) == (epoch_start.epoch, epoch_start.validators)
        self._overlay = overlay
        self._validators = self._next_validators = validators
        self._receipts: list[Receipt] = []
        self._events: list[Event] = []

    def apply(self, transaction: Transaction) -> None:
        for index, balance in json.loads(transaction.body.memo).items():
            if index == TURN:
                is_whole = len(self._validators) == len(VALIDATORS)
                self._next_validators = ValidatorSet(VALIDATORS.members[1:]) if is_whole else VALIDATORS
            elif balance is None:
                self._overlay.delete(ACCOUNTS, address(int(index)))
            else:
                self._overlay.put(ACCOUNTS, address(int(index)), record(balance))
        attributes = (("nonce", transaction.body.nonce),)
        self._events.append(Event(kind=EventKind.TRANSFERRED, tx_index=len(self._receipts), attributes=attributes))
        self._receipts.append(
            Receipt(
                tx_id=transaction.tx_id,
                status=ReceiptStatus.OK,
                reason="",
                message_index=0,
                fee=0,
                work=0,
                event_count=1,
            )
        )

    def finish(self) -> _Outcome:
        return _Outcome(tuple(self._receipts), tuple(self._events), self._next_validators)


def make_header(chain: Chain, parent_hash: bytes, view: int, tx_count: int = 0, interval_ms: int = 1_000) -> Header:
    """Return the header of a block on the tip or an executed block."""
    tip = chain.tip.block
    parent = tip if parent_hash == tip.block_hash else chain.executed(parent_hash).reference
    return Header(
        version=1,
        chain_id=CHAIN_ID,
        epoch=chain.epoch_start.epoch,
        view=view,
        height=parent.height + 1,
        time_ms=parent.time_ms + interval_ms,
        parent_hash=parent_hash,
        parent_view=0,
        parent_result=parent.result,
        proposer=chain.validators.members[0].address,
        validators_hash=chain.validators.set_hash,
        tx_root=bytes(32),
        tx_count=tx_count,
    )


def execute(
    chain: Chain, parent_hash: bytes, transactions: Sequence[Transaction], view: int = 1, interval_ms: int = 1_000
) -> ExecutedBlock:
    """Execute a block on the tip or an executed block."""
    header = make_header(chain, parent_hash, view, len(transactions), interval_ms)
    pending = chain.begin(hash_header(header), header, transactions)
    assert pending.run(len(transactions))
    return chain.finish(pending)


def certify(block: ExecutedBlock, view: int | None = None) -> Certificate:
    """Return what passes for the finalization of a block; the chain does not verify it."""
    return Certificate(
        kind=VoteKind.FINALIZE,
        epoch=block.header.epoch,
        view=block.header.view if view is None else view,
        block_hash=block.block_hash,
        result=block.result_hash,
        signers=b"\x0f",
        signatures=(bytes(64),) * 4,
    )


def extend(chain: Chain, *blocks: Iterable[Mapping[int | str, int | None]], interval_ms: int = 1_000) -> None:
    """Execute blocks of toy transactions one after another, and make each final."""
    for block in blocks:
        height = chain.tip.block.height + 1
        transactions = [toy_transaction(balances, height * 100 + index) for index, balances in enumerate(block)]
        executed = execute(chain, chain.tip.block.block_hash, transactions, chain.tip.view + 1, interval_ms)
        chain.finalize([executed.block_hash], certify(executed))
