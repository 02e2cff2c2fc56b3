"""The driver's shell over real sockets, clocks and threads.

Everything that happens to the node goes through one queue (node/happenings.py) with one consumer (node/node.py); timers and the
network only put entries there. Signatures come back by a callback on the same loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from consensus.inputs import Now, TimerFired, TimerKind
from node.api.event_feed import EventFeed
from node.api.waiters import TransactionTracker
from node.happenings import Happenings
from node.logs import EventLog
from node.metrics import Metrics
from node.shell import EvidenceVerified, SignaturesVerified
from node.upgrade_notice import tell_upgrades
from node.verification import SignaturePool
from p2p.channels import Channel
from p2p.network import Network
from state.chain import Finalized
from state.chain_branches import ExecutedBlock
from state.errors import TransactionRejected
from state.runtime.warming import EvidenceTask
from state.transactions import Transaction

PUNISHMENTS: Final = {"bad_signature": 20, "malformed_transaction": 20, "malformed_proposal": 20}
PUNISHMENT_DEFAULT: Final = 10
"""Points of 100 at which a peer is banned."""


def now() -> Now:
    """Return both clocks of this machine."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


class AsyncShell:
    """Implements node.shell.Shell."""

    def __init__(
        self,
        network: Network,
        happenings: Happenings,
        signatures: SignaturePool,
        tracker: TransactionTracker,
        feed: EventFeed,
        log: EventLog,
        metrics: Metrics,
    ) -> None:
        """Tie the outside together; the loop is the running one."""
        self._network = network
        self._happenings = happenings
        self._signatures = signatures
        self._tracker = tracker
        self._feed = feed
        self._log = log
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._timers: dict[TimerKind, asyncio.TimerHandle] = {}
        self.timeout_ms = 0
        """Of the view timer that was set last."""
        self.punished: Counter[str] = Counter()
        """Violations by reason."""
        self.wants_execution = False
        self.final_blocks = 0
        self.final_transactions = 0
        self.failed_transactions = 0

    @property
    def dropped(self) -> Mapping[str, int]:
        """Messages of peers that found no room, by channel."""
        return {channel.name.lower(): count for channel, count in self._happenings.dropped.items()}

    @property
    def ban_count(self) -> int:
        """Bans of peers since the start."""
        return self._network.counters.bans

    def punish_overflowing(self) -> None:
        """Punish the peers that sent more than finds room; called about once a second."""
        for peer in self._happenings.take_overflowing():
            self.punish(peer, "overflow")

    def now(self) -> Now:
        """Return both clocks."""
        return now()

    def send(self, peer: str, channel: Channel, payload: bytes) -> None:
        """Send to one peer, if it is connected."""
        self._network.send(peer, channel, payload)

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Send to every connected peer."""
        self._network.broadcast(channel, payload)

    def punish(self, peer: str, reason: str) -> None:
        """Count a violation against a peer."""
        self.punished[reason] += 1
        self._log.warning("peer_punished", peer=peer, reason=reason)
        self._network.report(peer, reason, PUNISHMENTS.get(reason, PUNISHMENT_DEFAULT))

    def set_timer(self, kind: TimerKind, epoch: int, view: int, delay_ms: int) -> None:
        """Set or replace the timer of a kind."""
        running = self._timers.get(kind)
        if running is not None:
            running.cancel()
        if kind is TimerKind.VIEW:
            self.timeout_ms = delay_ms
        fired = TimerFired(kind, epoch, view)
        self._timers[kind] = self._loop.call_later(delay_ms / 1_000, self._happenings.put, fired)

    def verify(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Verify signatures in the pool's thread."""
        self._signatures.verify(transactions, done)

    def verify_block(self, transactions: Sequence[Transaction], done: SignaturesVerified) -> None:
        """Verify signatures in the thread for blocks."""
        self._signatures.verify(transactions, done, is_block=True)

    def verify_evidence(self, task: EvidenceTask, done: EvidenceVerified) -> None:
        """Verify evidence in the thread for it."""
        self._signatures.verify_evidence(task, done)

    def want_execution(self) -> None:
        """Have the consumer execute slices."""
        self.wants_execution = True
        self._happenings.wake()

    def on_notarized(self, block: ExecutedBlock) -> None:
        """Tell those who wait for this level."""
        self._tracker.on_notarized(block)

    def on_final(self, finalized: Finalized) -> None:
        """Tell those who wait, and the subscribers."""
        self._tracker.on_final(finalized.blocks)
        self._feed.on_final(finalized)
        tell_upgrades(self._log, (event for _sequence, event in finalized.events))
        tip = finalized.tip.block
        self._metrics.observe_finality((now().wall_ms - tip.time_ms) / 1_000)
        self.final_blocks += len(finalized.blocks)
        for block in finalized.blocks:
            self.final_transactions += len(block.receipts)
            self.failed_transactions += sum(1 for receipt in block.receipts if receipt.reason)
        self._log.debug("final", height=tip.height, hash=tip.block_hash.hex(), epoch=finalized.tip.epoch_start.epoch)

    def on_refused(self, transaction: Transaction, rejection: TransactionRejected) -> None:
        """Tell those who wait."""
        self._tracker.on_refused(transaction.tx_id, rejection)

    def on_halt(self, reason: str) -> None:
        """Say it loudly; the API goes on to serve what is stored."""
        self._log.error("halted", reason=reason, advice="keep the home directory, compare with other nodes, report it")

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._timers.values():
            timer.cancel()
