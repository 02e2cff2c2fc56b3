"""The running node as its API sees it (node.api.context.NodeContext)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from node.admission import Source
from node.api.context import ConsensusSnapshot, HealthFacts, Peer
from node.api.event_feed import EventFeed
from node.api.waiters import TransactionTracker
from node.driver import Driver
from node.mempool import Mempool
from node.outside import AsyncShell, now
from node.own_account import OwnAccount
from node.view_of_consensus import take_snapshot
from p2p.events import Direction
from p2p.network import Network
from state.chain import Chain
from state.errors import Rejected, TransactionRejected
from state.ledger import Ledger
from state.messages import Transfer
from state.records import CONSENSUS_KEYS
from state.runtime.reasons import TransactionReason
from state.transactions import Transaction

HEAD_AGE_FACTOR: Final = 2
"""An idle chain makes a block each heartbeat; twice that without one is too old."""


class Pulse:
    """When the consumer of happenings last finished a round, and how late the loop woke lately."""

    def __init__(self) -> None:
        """Start now."""
        self.last_round_ms = now().mono_ms
        self.loop_lag_ms = 0


class FacadeParts(Struct, frozen=True):
    """What the facade shows."""

    driver: Driver
    shell: AsyncShell
    network: Network
    tracker: TransactionTracker
    feed: EventFeed
    pulse: Pulse
    public_key: bytes | None
    faucet: OwnAccount | None
    fail: Callable[[BaseException], None]


class NodeFacade:
    """Reads current objects; changes nothing but by `submit`."""

    def __init__(self, parts: FacadeParts) -> None:
        """Show these parts."""
        self._parts = parts
        self.driver = parts.driver

    @property
    def chain(self) -> Chain:
        """The final chain and the executed blocks on it."""
        return self.driver.chain

    @property
    def mempool(self) -> Mempool[Ledger]:
        """Pending transactions."""
        return self.driver.mempool

    @property
    def tracker(self) -> TransactionTracker:
        """Recent inclusions, and who waits for one."""
        return self._parts.tracker

    @property
    def feed(self) -> EventFeed:
        """The newest events."""
        return self._parts.feed

    @property
    def node_id(self) -> str:
        """Lower-case hex of the node key's digest."""
        return self._parts.network.node_id

    @property
    def validator(self) -> bytes | None:
        """Operator's address of the validator that registered this node's key, if any has yet."""
        if self._parts.public_key is None:
            return None
        owner = self.chain.ledger.find(CONSENSUS_KEYS, self._parts.public_key)
        return None if owner is None else owner.validator

    @property
    def is_syncing(self) -> bool:
        """Whether a run of old blocks is being fetched or applied."""
        return self.driver.syncing.is_active

    @property
    def best_known_height(self) -> int:
        """Highest final height that any peer claims, or the own one."""
        return self.driver.syncing.best_claim

    def now_ms(self) -> int:
        """Return the wall clock."""
        return now().wall_ms

    def consensus(self) -> ConsensusSnapshot:
        """Return the progress of agreement."""
        return take_snapshot(self.driver.consensus, self._parts.shell.timeout_ms)

    def peers(self) -> tuple[Peer, ...]:
        """Return the connected peers."""
        now_ms = now().mono_ms
        claims = self.driver.syncing.claims
        return tuple(
            Peer(
                node_id=peer.peer_id,
                address=peer.address,
                is_outbound=peer.direction is Direction.OUTBOUND,
                height=claims.get(peer.peer_id, 0),
                score=peer.score,
                connected_ms=now_ms - peer.since_ms,
            )
            for peer in self._parts.network.peers
        )

    def health(self) -> HealthFacts:
        """Return what liveness and readiness are judged by."""
        validators = self.chain.validators
        is_alone = len(validators) == 1 and validators.find_index(self.validator) is not None
        return HealthFacts(
            loop_lag_ms=self._parts.pulse.loop_lag_ms,
            driver_age_ms=now().mono_ms - self._parts.pulse.last_round_ms,
            peers_needed=0 if is_alone else 1,
            head_age_ms_max=HEAD_AGE_FACTOR * self.chain.params().consensus.heartbeat_ms,
            halted=self.driver.halted or "",
        )

    async def _find_wrong(self, transactions: Sequence[Transaction]) -> frozenset[bytes]:
        """Return the envelope hashes of transactions with a wrong signature."""
        verified: asyncio.Future[frozenset[bytes]] = asyncio.get_running_loop().create_future()

        def settle(wrong: frozenset[bytes]) -> None:
            if not verified.cancelled():
                verified.set_result(wrong)

        self._parts.shell.verify(transactions, settle)
        return await verified

    async def submit(self, transactions: Sequence[Transaction]) -> Sequence[Rejected | None]:
        """Verify signatures outside of the loop, admit, and spread what was admitted; an outcome for each, in order."""
        state = self.driver.intake.state
        refused = self._refuse_cheaply(transactions)
        wrong = await self._find_wrong([one for one in transactions if one.envelope_hash not in refused])
        admitted: list[Transaction] = []
        outcomes: list[Rejected | None] = []
        for transaction in transactions:
            if transaction.envelope_hash in refused:
                outcomes.append(refused[transaction.envelope_hash])
                continue
            if transaction.envelope_hash in wrong:
                outcomes.append(TransactionRejected(TransactionReason.BAD_SIGNATURE, transaction.tx_id.hex()))
                continue
            try:
                self.driver.intake.admit(transaction, Source.LOCAL, state)
            except TransactionRejected as rejected:
                outcomes.append(rejected)
            else:
                admitted.append(transaction)
                outcomes.append(None)
        self.driver.intake.publish(admitted)
        return outcomes

    def _refuse_cheaply(self, transactions: Sequence[Transaction]) -> dict[bytes, Rejected]:
        """Return the refusals that need no look at a signature, by envelope hash."""
        refused: dict[bytes, Rejected] = {}
        ledger, wall_ms = self.chain.ledger, now().wall_ms
        for transaction in transactions:
            try:
                self.mempool.check(transaction, ledger, wall_ms)
            except TransactionRejected as rejected:
                refused[transaction.envelope_hash] = rejected
        return refused

    def build_faucet_transfer(self, address: bytes, amount: int) -> Transaction | None:
        """Return a signed transfer from the development faucet, or None where there is none."""
        faucet = self._parts.faucet
        if faucet is None:
            return None
        return faucet.build(self.chain.ledger, Transfer(to=address, amount=amount), now().wall_ms)

    def fail(self, error: BaseException) -> None:
        """Stop the node: its storage failed, or it found itself inconsistent."""
        self._parts.fail(error)
