"""What the API needs of the node that it belongs to, and what every handler gets.

The API reads current objects on the event loop, never waits for consensus and never locks it. Nothing is changed
but by `submit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from msgspec import Raw, Struct

from node.api.config import ApiConfig
from node.api.event_feed import EventFeed, Topics
from node.api.proofs import ProofBuilder
from node.api.waiters import TransactionTracker
from node.mempool import Mempool
from state.chain import Chain
from state.errors import Rejected
from state.ledger import Ledger
from state.transactions import Transaction


class Peer(Struct, frozen=True):
    """One connected peer."""

    node_id: str
    """Lower-case hex of its node key."""
    address: str
    """Remote host and port."""
    is_outbound: bool
    height: int
    """Of its newest final block, as far as it told us."""
    score: int
    """Misbehaviour counted against it; 0 is best."""
    connected_ms: int
    """How long it has been connected."""


class VotesSeen(Struct, frozen=True):
    """Verified votes of one kind for one thing in a view."""

    kind: str
    """notarize, nullify or finalize."""
    block_hash: bytes
    """No bytes in nullify votes."""
    power: int


class ViewSeen(Struct, frozen=True):
    """What this node knows of a view above the final one."""

    view: int
    leader: bytes
    """Operator's address."""
    proposal: bytes | None
    """Hash of the proposed block."""
    certificates: tuple[str, ...]
    """Kinds of certificates known."""
    votes: tuple[VotesSeen, ...]


class ConsensusSnapshot(Struct, frozen=True):
    """Progress of agreement at one moment; immutable."""

    epoch: int
    view: int
    leader: bytes
    """Of the view; operator's address."""
    failed_views: int
    """Consecutive views left without a block."""
    timeout_ms: int
    """Of the current view."""
    is_halted: bool
    total_power: int
    views: tuple[ViewSeen, ...]
    """Those above the final one, oldest first; at most the newest 16."""


class HealthFacts(Struct, frozen=True):
    """What liveness and readiness are judged by."""

    loop_lag_ms: int
    """How late the event loop woke lately."""
    driver_age_ms: int
    """Since the consensus driver last finished a step or its heartbeat."""
    peers_needed: int
    """Least number of connected peers; 0 for a validator that is alone."""
    head_age_ms_max: int
    """Oldest newest block that counts as keeping up; 0 = any, as an idle chain without heartbeat makes none."""
    halted: str
    """Why agreement is broken; empty if it is not."""


class NodeContext(Protocol):
    """A running node as its API sees it."""

    @property
    def chain(self) -> Chain:
        """The final chain and the executed blocks on it."""

    @property
    def mempool(self) -> Mempool[Ledger]:
        """Pending transactions."""

    @property
    def tracker(self) -> TransactionTracker:
        """Fed by the driver with notarised and final blocks."""

    @property
    def feed(self) -> EventFeed:
        """Fed by the driver with the events of final blocks."""

    @property
    def node_id(self) -> str:
        """Lower-case hex of the node key."""

    @property
    def validator(self) -> bytes | None:
        """Operator's address of the validator whose key this node holds."""

    @property
    def is_syncing(self) -> bool:
        """Whether the node catches up by blocks instead of taking part."""

    @property
    def best_known_height(self) -> int:
        """Highest final height that any peer claims, or the own one."""

    def now_ms(self) -> int:
        """Return the wall clock."""

    def consensus(self) -> ConsensusSnapshot:
        """Return the progress of agreement."""

    def peers(self) -> tuple[Peer, ...]:
        """Return the connected peers."""

    def health(self) -> HealthFacts:
        """Return what health is judged by."""

    async def submit(self, transactions: Sequence[Transaction]) -> Sequence[Rejected | None]:
        """Verify signatures outside of the loop, admit, and spread what was admitted; an outcome for each, in order."""

    def build_faucet_transfer(self, address: bytes, amount: int) -> Transaction | None:
        """Return a signed transfer from the development faucet, or None where there is none."""

    def fail(self, error: BaseException) -> None:
        """Stop the node: its storage failed, or it found itself inconsistent."""


class Session(Protocol):
    """A WebSocket that a call came by."""

    def subscribe(self, topics: Topics, after: int) -> str:
        """Start to push events after a sequence number and return the subscription's id.

        Raises:
            RpcError: LIMIT_EXCEEDED.
        """

    def unsubscribe(self, subscription: str) -> bool:
        """Stop a subscription; False if it is not one of this connection."""


class Documents(Struct, frozen=True):
    """Answers that never change, encoded once."""

    genesis: Raw
    openrpc: Raw


class Call(Struct, frozen=True):
    """Everything around one request that a handler may use."""

    node: NodeContext
    config: ApiConfig
    intake: Intake
    proofs: ProofBuilder
    documents: Documents
    session: Session | None = None
    page_lock: asyncio.Lock | None = None
    """Of a batch: its calls read events in turn, so that no batch counts as a hundred readers."""


class Intake(Protocol):
    """The way of submitted transactions to the node (node/api/intake.py)."""

    def offer(self, transaction: Transaction) -> None:
        """Queue a transaction for verification and admission; its fate shows in the tracker.

        Raises:
            RpcError: LIMIT_EXCEEDED, INTAKE_FULL.
        """

    async def admit(self, transaction: Transaction) -> None:
        """Queue a transaction and wait for its admission.

        Raises:
            RpcError: LIMIT_EXCEEDED, INTAKE_FULL.
            Rejected: why it is not admitted.
        """
