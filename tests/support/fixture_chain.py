"""A small deterministic chain of the real runtime, as the API's examples and golden transcripts know it, and a node around it.

Height 1: account 0 sends 5 BOCC to account 1, which delegates and so ends epoch 0. Height 2: account 1 sends 1 BOCC with a memo.
Height 3: a transfer fails for lack of money; the certificate of this block makes height 2 final too. Height 4 is empty. Everything
is signed with development keys, at fixed times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from node.admission import RuntimeRules, Source
from node.api.config import ApiConfig
from node.api.context import ConsensusSnapshot, HealthFacts, Peer, ViewSeen, VotesSeen
from node.api.event_feed import EventFeed
from node.api.waiters import TransactionTracker
from node.mempool import Mempool
from state import merkle
from state.block import Header, hash_header
from state.building import build_transaction
from state.certificates import Certificate, build_certificate
from state.chain import Chain, Finalized
from state.chain_branches import ExecutedBlock
from state.crypto import SigningKey
from state.errors import Rejected, TransactionRejected
from state.genesis import Genesis
from state.ledger import Ledger
from state.messages import Message
from state.runtime.reasons import TransactionReason
from state.store import MemoryStore
from state.transactions import Transaction, parse_transaction
from state.votes import Vote, VoteKind, vote_signing_bytes
from tests.support.chain_builders import (
    account,
    account_key,
    delegate,
    make_genesis,
    operator,
    transfer,
    validator_key,
)

BOCC = 10**6
INTERVAL_MS = 1_000
NODE_ID = "ab" * 20
CONFIG = ApiConfig()


class FixtureChain:
    """A chain that makes a block whenever it is told to."""

    def __init__(self, genesis: Genesis | None = None, store: MemoryStore | None = None) -> None:
        self.genesis = genesis or make_genesis(4)
        self.chain = Chain.create(store or MemoryStore(), self.genesis)
        self.view = 0

    def sign(
        self,
        index: int,
        *messages: Message,
        nonce: int,
        fee: int | None = None,
        memo: bytes = b"",
        ttl_ms: int = 600_000,
    ) -> Transaction:
        """Return a transaction of a development account, valid for a while from the genesis time."""
        return build_transaction(
            chain_id=self.chain.chain_id,
            keys=(account_key(index),),
            sender=account(index),
            nonce=nonce,
            expires_at_ms=self.genesis.time_ms + ttl_ms,
            messages=messages,
            params=self.chain.params(),
            fee=fee,
            memo=memo,
        )

    def execute(
        self, *transactions: Transaction, parent_hash: bytes | None = None, view: int | None = None
    ) -> ExecutedBlock:
        """Execute a block on the tip or an executed parent, without making it final."""
        chain = self.chain
        tip = chain.tip.block
        parent = tip if parent_hash in {None, tip.block_hash} else chain.executed(parent_hash).reference
        self.view = self.view + 1 if view is None else view
        header = Header(
            version=1,
            chain_id=chain.chain_id,
            epoch=chain.epoch_start.epoch,
            view=self.view,
            height=parent.height + 1,
            time_ms=parent.time_ms + INTERVAL_MS,
            parent_hash=parent.block_hash,
            parent_view=self.view - 1,
            parent_result=parent.result,
            proposer=chain.validators.members[
                chain.validators.leader_index(chain.epoch_start.root.height, self.view)
            ].address,
            validators_hash=chain.validators.set_hash,
            tx_root=merkle.root([transaction.envelope_hash for transaction in transactions]),
            tx_count=len(transactions),
        )
        pending = chain.begin(hash_header(header), header, transactions)
        assert pending.run(len(transactions))
        return chain.finish(pending)

    def finalize(self, *blocks: ExecutedBlock, with_certificate: bool = True) -> Finalized:
        """Make executed blocks final, with a certificate of the last."""
        certificate = self.certificate(blocks[-1]) if with_certificate else None
        finalized = self.chain.finalize([block.block_hash for block in blocks], certificate)
        if blocks[-1].is_sealing:
            self.view = 0
        return finalized

    def add(self, *transactions: Transaction) -> Finalized:
        """Make one final block."""
        return self.finalize(self.execute(*transactions))

    def certificate(self, block: ExecutedBlock) -> Certificate:
        """Return the finalization of a block by the first validators that have a quorum."""
        validators = self.chain.validators
        votes: list[Vote] = []
        power = 0
        for index, member in enumerate(validators.members):
            if validators.is_quorum(power):
                break
            power += member.power
            message = vote_signing_bytes(
                self.chain.chain_id,
                VoteKind.FINALIZE,
                block.header.epoch,
                block.header.view,
                block.block_hash,
                block.result_hash,
            )
            votes.append(
                Vote(
                    kind=VoteKind.FINALIZE,
                    epoch=block.header.epoch,
                    view=block.header.view,
                    block_hash=block.block_hash,
                    result=block.result_hash,
                    validator=index,
                    signature=consensus_key(member.public_key).sign(message),
                )
            )
        return build_certificate(votes, validators)


def consensus_key(public_key: bytes) -> SigningKey:
    """Return the development validator key with this public half."""
    return next(key for key in map(validator_key, range(16)) if key.public_key == public_key)


FixtureType = TypeVar("FixtureType", bound=FixtureChain)


def build_fixture() -> FixtureChain:
    """Return the chain of the module's description, at height 4."""
    return add_fixture_blocks(FixtureChain())


def add_fixture_blocks(fixture: FixtureType) -> FixtureType:
    """Make the blocks of the module's description on a chain without any, and return it."""
    fixture.add(
        fixture.sign(0, transfer(account(1), 5 * BOCC), nonce=0),
        fixture.sign(1, delegate(operator(0), 2 * BOCC), nonce=0),
    )
    second = fixture.execute(fixture.sign(1, transfer(account(2), 1 * BOCC), nonce=1, memo=b"rent"))
    third = fixture.execute(fixture.sign(2, transfer(account(0), 10**14), nonce=0), parent_hash=second.block_hash)
    fixture.finalize(second, third)
    fixture.add()
    return fixture


class FixtureNode:
    """A node around a chain: admits at once, makes blocks when told, fails loudly."""

    def __init__(self, fixture: FixtureChain | None = None, waiters_max: int = 10_000) -> None:
        self.fixture = fixture or build_fixture()
        self.chain = self.fixture.chain
        self.mempool: Mempool[Ledger] = Mempool(RuntimeRules())
        self.tracker = TransactionTracker(waiters_max)
        self.feed = EventFeed(self.chain.views)
        self.node_id = NODE_ID
        self.validator: bytes | None = operator(0)
        self.is_syncing = False
        self.claimed_height = 0
        self.wall_ms = self.chain.tip.block.time_ms + 100
        self.has_faucet = True
        self.connected = (
            Peer(node_id="cd" * 20, address="127.0.0.1:9710", is_outbound=True, height=4, score=0, connected_ms=60_000),
        )
        self.facts = HealthFacts(loop_lag_ms=1, driver_age_ms=20, peers_needed=1, head_age_ms_max=120_000, halted="")
        self.failures: list[BaseException] = []
        self.submitted = 0

    @property
    def best_known_height(self) -> int:
        return max(self.claimed_height, self.chain.tip.block.height)

    def now_ms(self) -> int:
        return self.wall_ms

    def consensus(self) -> ConsensusSnapshot:
        chain = self.chain
        view = self.fixture.view + 1
        leader = chain.validators.members[chain.validators.leader_index(chain.epoch_start.root.height, view)].address
        votes = (VotesSeen(kind="nullify", block_hash=b"", power=chain.validators.members[0].power),)
        return ConsensusSnapshot(
            epoch=chain.epoch_start.epoch,
            view=view,
            leader=leader,
            failed_views=0,
            timeout_ms=1_000,
            is_halted=False,
            total_power=chain.validators.total_power,
            views=(ViewSeen(view=view, leader=leader, proposal=None, certificates=(), votes=votes),),
        )

    def peers(self) -> tuple[Peer, ...]:
        return self.connected

    def health(self) -> HealthFacts:
        return self.facts

    async def submit(self, transactions: Sequence[Transaction]) -> Sequence[Rejected | None]:
        self.submitted += len(transactions)
        return [self._admit(transaction) for transaction in transactions]

    def _admit(self, transaction: Transaction) -> Rejected | None:
        if not transaction.has_valid_signatures():
            return TransactionRejected(TransactionReason.BAD_SIGNATURE, transaction.tx_id.hex())
        try:
            self.mempool.admit(transaction, self.chain.ledger, self.wall_ms, Source.LOCAL)
        except TransactionRejected as rejection:
            return rejection
        return None

    def build_faucet_transfer(self, address: bytes, amount: int) -> Transaction | None:
        if not self.has_faucet:
            return None
        return self.fixture.sign(9, transfer(address, amount), nonce=self.submitted)

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)

    def pending_block(self) -> ExecutedBlock:
        """Execute a block of everything pending, as if it were notarised."""
        chosen = self.mempool.select(
            self.chain.ledger,
            self.chain.tip.block.time_ms + INTERVAL_MS,
            max_bytes=4 << 20,
            max_transactions=10_000,
            max_work=1 << 40,
        )
        block = self.fixture.execute(*chosen)
        self.tracker.on_notarized(block)
        return block

    def make_final(self, *blocks: ExecutedBlock) -> Finalized:
        """Make blocks final and tell everybody."""
        finalized = self.fixture.finalize(*blocks)
        self.announce(finalized)
        return finalized

    def announce(self, finalized: Finalized) -> None:
        """Tell pool, waiters and readers about final blocks."""
        chain_id = self.chain.chain_id
        transactions = [
            parse_transaction(envelope, chain_id) for block in finalized.blocks for envelope in block.envelopes
        ]
        self.mempool.remove_final(transactions, self.chain.ledger, self.chain.tip.block.time_ms)
        self.tracker.on_final(finalized.blocks)
        self.feed.on_final(finalized)

    def produce(self) -> Finalized:
        """Put everything pending into one final block."""
        return self.make_final(self.pending_block())
