"""Builders of genesis, state, blocks and transactions, for tests of every package.

Keys are the public development keys, derived once: `account(3)` is the fourth development account. A `World` is a chain without
consensus: a ledger, a clock and a height, to which blocks are applied one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from msgspec.structs import replace

from bocc.wallet import development_key
from state.address import account_address
from state.block import BlockReference, EpochStart, Header, genesis_block_hash, hash_header
from state.codec import encode
from state.crypto import SigningKey
from state.development_genesis import development_genesis
from state.genesis import Genesis, genesis_state
from state.keyfile import KeyKind
from state.ledger import BaseLedger, Overlay
from state.messages import (
    Bond,
    BondAction,
    BondPurpose,
    Message,
    Report,
    Transfer,
    consensus_key_signing_bytes,
)
from state.params import Params
from state.records import ACCOUNTS, NEW_ACCOUNT, ONLY, PARAMS, Account
from state.runtime.conservation import sum_by_class
from state.runtime.execute import BlockExecution, Executed, check_block
from state.runtime.prices import price_table
from state.store import STATE, MemoryStore
from state.transactions import Body, Transaction, sign_transaction
from state.tree_shape import key_path
from state.validators import ValidatorSet
from state.votes import Vote, VoteKind, vote_signing_bytes
from tests.support.checked_overlay import CheckedOverlay

GENESIS_TIME_MS = 1_750_000_000_000
BLOCK_INTERVAL_MS = 1_000
FEE = 100_000
"""Enough for any transaction of these tests."""


@lru_cache(maxsize=128)
def key(kind: KeyKind, index: int) -> SigningKey:
    """Return a development key."""
    return development_key(kind, index)


def account_key(index: int) -> SigningKey:
    """Return the key of a development account."""
    return key(KeyKind.ACCOUNT, index)


def account(index: int) -> bytes:
    """Return the address of a development account."""
    return account_address(account_key(index).public_key)


def operator_key(index: int) -> SigningKey:
    """Return the key of the account that operates a development validator."""
    return key(KeyKind.OPERATOR, index)


def operator(index: int) -> bytes:
    """Return the address of the account that operates a development validator."""
    return account_address(operator_key(index).public_key)


def validator_key(index: int) -> SigningKey:
    """Return the consensus key of a development validator."""
    return key(KeyKind.VALIDATOR, index)


def make_genesis(validator_count: int = 4, salt: bytes = bytes(32), time_ms: int = GENESIS_TIME_MS) -> Genesis:
    """Return a development genesis."""
    return development_genesis("bocc-test-1", validator_count, salt, time_ms)


def with_params(genesis: Genesis, group: str, **values: object) -> Genesis:
    """Return a genesis with other values in one group of its parameters."""
    params = replace(genesis.params, **{group: replace(getattr(genesis.params, group), **values)})
    return replace(genesis, params=params)


def state_entry(raw_key: bytes, value: bytes) -> bytes:
    """Return a state record as the store holds it."""
    return len(raw_key).to_bytes(2, "big") + raw_key + value


def store_state(store: MemoryStore, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Write changes of the state into a store."""
    store.write(
        [
            (STATE + key_path(raw_key), None if value is None else state_entry(raw_key, value))
            for raw_key, value in changes
        ]
    )


def make_ledger(genesis: Genesis | None = None) -> BaseLedger:
    """Return the ledger of a state before the first block."""
    store = MemoryStore()
    store_state(store, genesis_state(genesis or make_genesis())[0].items())
    return BaseLedger(store)


def transfer(to: bytes, amount: int) -> Transfer:
    """Return a transfer."""
    return Transfer(to=to, amount=amount)


def bond(
    action: BondAction,
    purpose: BondPurpose,
    amount: int = 0,
    validator: bytes = b"",
    consensus_key: bytes = b"",
    proof: bytes = b"",
) -> Bond:
    """Return a bond message; fields not given are empty."""
    return Bond(
        action=action,
        purpose=purpose,
        amount=amount,
        validator=validator,
        consensus_key=consensus_key,
        proof=proof,
    )


def delegate(validator: bytes, amount: int) -> Bond:
    """Return a delegation to a validator."""
    return bond(BondAction.ADD, BondPurpose.DELEGATE, amount, validator)


def undelegate(validator: bytes, amount: int) -> Bond:
    """Return the start of unbonding a delegation."""
    return bond(BondAction.REMOVE, BondPurpose.DELEGATE, amount, validator)


def register(chain_id: bytes, sender: bytes, consensus_key: SigningKey, amount: int) -> Bond:
    """Return the first bond of a validator, with the proof that its key agrees."""
    proof = consensus_key.sign(consensus_key_signing_bytes(chain_id, sender))
    return bond(BondAction.ADD, BondPurpose.VALIDATOR, amount, b"", consensus_key.public_key, proof)


def make_vote(
    chain_id: bytes, signer: SigningKey, kind: VoteKind, epoch: int, view: int, block: int = 0, index: int = 0
) -> Vote:
    """Return a signed vote; `block` stands for the block hash, and for the result of a finalize vote."""
    block_hash = b"" if kind is VoteKind.NULLIFY else block.to_bytes(32, "big")
    result = block_hash if kind is VoteKind.FINALIZE else b""
    signature = signer.sign(vote_signing_bytes(chain_id, kind, epoch, view, block_hash, result))
    return Vote(
        kind=kind,
        epoch=epoch,
        view=view,
        block_hash=block_hash,
        result=result,
        validator=index,
        signature=signature,
    )


def make_report(validator: bytes, *votes: Vote) -> Report:
    """Return a report of two votes in their order."""
    first, second = sorted(votes, key=encode)
    return Report(validator=validator, first=first, second=second)


class World:
    """A chain without consensus. `apply` executes a block at the next height and makes it final at once."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.genesis = genesis or make_genesis()
        self.chain_id = self.genesis.chain_id
        records, self.validators = genesis_state(self.genesis)
        self.store = MemoryStore()
        store_state(self.store, records.items())
        self.ledger = BaseLedger(self.store)
        self.state: dict[bytes, bytes] = dict(records)
        """Every record of the state, encoded, by raw key."""
        self.height = 0
        self.time_ms = self.genesis.time_ms
        self.view = 0
        self.parent_hash = genesis_block_hash(self.chain_id)
        self.epoch_start = self._epoch_start(0)

    def _epoch_start(self, epoch: int) -> EpochStart:
        root = BlockReference(block_hash=self.parent_hash, height=self.height, time_ms=self.time_ms, result=bytes(32))
        return EpochStart(epoch=epoch, root=root, validators=self.validators.members)

    @property
    def params(self) -> Params:
        """The parameters in force."""
        return self.ledger.get(PARAMS, ONLY)

    def account(self, address: bytes) -> Account:
        """Return an account's record, a blank one if there is none."""
        return self.ledger.find(ACCOUNTS, address) or NEW_ACCOUNT

    def balance(self, address: bytes) -> int:
        """Return an account's balance in ubocc."""
        return self.account(address).balance

    def sign(
        self,
        signer: SigningKey | Sequence[SigningKey],
        *messages: Message,
        sender: bytes | None = None,
        nonce: int | None = None,
        fee: int = FEE,
        expires_at_ms: int | None = None,
        memo: bytes = b"",
    ) -> Transaction:
        """Return a signed transaction; by default of the first key's own account, with its next nonce, for the next hour."""
        keys = (signer,) if isinstance(signer, SigningKey) else tuple(signer)
        sender = sender or account_address(keys[0].public_key)
        body = Body(
            sender=sender,
            nonce=self.account(sender).next_nonce if nonce is None else nonce,
            expires_at_ms=self.time_ms + 3_600_000 if expires_at_ms is None else expires_at_ms,
            fee=fee,
            messages=messages,
            memo=memo,
        )
        return sign_transaction(self.chain_id, body, keys)

    def price(self, transaction: Transaction) -> int:
        """Return the least fee of a transaction."""
        return price_table(self.params).fee(transaction)

    def header(self, tx_count: int, interval_ms: int = BLOCK_INTERVAL_MS, skipped_views: int = 0) -> Header:
        """Return the header of the next block, in the view after the skipped ones, by its leader."""
        view = self.view + 1 + skipped_views
        leader = self.validators.leader_index(self.epoch_start.root.height, view)
        return Header(
            version=1,
            chain_id=self.chain_id,
            epoch=self.epoch_start.epoch,
            view=view,
            height=self.height + 1,
            time_ms=self.time_ms + interval_ms,
            parent_hash=self.parent_hash,
            parent_view=self.view,
            parent_result=bytes(32),
            proposer=self.validators.members[leader].address,
            validators_hash=self.validators.set_hash,
            tx_root=bytes(32),
            tx_count=tx_count,
        )

    def scan(self) -> dict[str, int]:
        """Return the money in all records by class, from a full scan."""
        return sum_by_class((raw_key, self.ledger.find_raw(raw_key)) for raw_key in sorted(self.state))

    def execute(self, transactions: Sequence[Transaction], header: Header) -> tuple[Executed, Overlay]:
        """Execute a block without keeping it."""
        check_block(self.ledger, header, self.time_ms, transactions)
        overlay = CheckedOverlay(self.ledger)
        execution = BlockExecution(overlay, header, self.epoch_start, self.validators)
        for transaction in transactions:
            execution.apply(transaction)
        return execution.finish(), overlay

    def apply(
        self, *transactions: Transaction, interval_ms: int = BLOCK_INTERVAL_MS, skipped_views: int = 0
    ) -> Executed:
        """Execute the next block and move on to it."""
        header = self.header(len(transactions), interval_ms, skipped_views)
        executed, overlay = self.execute(transactions, header)
        changes = overlay.changes()
        store_state(self.store, changes.items())
        for raw_key, value in changes.items():
            if value is None:
                self.state.pop(raw_key, None)
            else:
                self.state[raw_key] = value
        self.ledger.absorb(overlay)
        self.height, self.time_ms, self.view = header.height, header.time_ms, header.view
        self.parent_hash = hash_header(header)
        if executed.next_validators != self.validators:
            self.validators: ValidatorSet = executed.next_validators
            self.view = 0
            self.epoch_start = self._epoch_start(self.epoch_start.epoch + 1)
        return executed
