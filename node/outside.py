"""The driver's shell over real sockets, clocks and threads.

Everything that happens to the node goes through one queue with one consumer (node/node.py); timers and the network only put entries
there. Signatures come back by a callback on the same loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from consensus.inputs import Now, TimerFired, TimerKind
from node.api.event_feed import EventFeed
from node.api.waiters import TransactionTracker
from node.logs import EventLog
from node.metrics import Metrics
from node.shell import SignaturesVerified
from node.verification import SignaturePool
from p2p.channels import Channel
from p2p.events import MessageReceived, NetworkEvent
from p2p.network import Network
from state.chain import Finalized
from state.chain_branches import ExecutedBlock
from state.transactions import Transaction

QUEUE_MAX: Final = 20_000
"""Entries above which transactions of peers are read no further."""
MESSAGE_COST_BYTES: Final = 1_024
"""Added to a waiting message's length, so that many tiny ones are bounded too."""
WAITING_BYTES_MAX: Final[Mapping[Channel, int]] = {
    Channel.CONSENSUS: 8 << 20,
    Channel.STATUS: 1 << 20,
    Channel.BODIES: 32 << 20,
    Channel.TRANSACTIONS: 4 << 20,
    Channel.SYNC: 32 << 20,
    Channel.PEERS: 0,
}
"""Of one peer on one channel; an honest one stays far below, whatever it answers at once. The network keeps PEERS for itself."""
BULK_BYTES_MAX: Final = 256 << 20
"""Of all peers together, on other channels than the urgent ones."""
URGENT_CHANNELS: Final = frozenset({Channel.CONSENSUS, Channel.STATUS})
PUNISHMENTS: Final = {"bad_signature": 20, "malformed_transaction": 20, "malformed_proposal": 20}
PUNISHMENT_DEFAULT: Final = 10
"""Points of 100 at which a peer is banned."""


class Tick(Struct, frozen=True):
    """A tenth of a second has passed."""


Happening = NetworkEvent | TimerFired | Tick


def now() -> Now:
    """Return both clocks of this machine."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


class Happenings:
    """The one queue of what happens to the node, in lanes: votes and timers, then bodies of blocks, then all else of peers."""

    def __init__(self) -> None:
        """Start empty."""
        self._urgent: deque[Happening] = deque()
        self._bodies: deque[MessageReceived] = deque()
        self._bulk: deque[MessageReceived] = deque()
        self._waiting_bytes: Counter[tuple[str, Channel]] = Counter()
        """What waits of each peer on each channel."""
        self._bulk_bytes = 0
        self._is_filled = asyncio.Event()
        self.dropped_count = 0
        """Messages of peers that had too much waiting."""

    def __len__(self) -> int:
        return len(self._urgent) + len(self._bodies) + len(self._bulk)

    @property
    def is_long(self) -> bool:
        """Tell whether peers' transactions should be read no further for now."""
        return len(self) > QUEUE_MAX

    def put(self, happening: Happening) -> None:
        """Add an entry and wake the consumer; a message of a peer with too much waiting is dropped."""
        if not isinstance(happening, MessageReceived):
            self._urgent.append(happening)
        elif not self._take_in(happening):
            self.dropped_count += 1
            return
        self._is_filled.set()

    def _take_in(self, message: MessageReceived) -> bool:
        """Put a message into its lane if its peer, and all peers together, have room there."""
        channel, cost = message.channel, _cost_of(message)
        is_bulk = channel not in URGENT_CHANNELS
        waiting = self._waiting_bytes[message.peer_id, channel]
        if waiting + cost > WAITING_BYTES_MAX[channel] or (is_bulk and self._bulk_bytes + cost > BULK_BYTES_MAX):
            return False
        self._waiting_bytes[message.peer_id, channel] += cost
        if not is_bulk:
            self._urgent.append(message)
            return True
        self._bulk_bytes += cost
        (self._bodies if channel is Channel.BODIES else self._bulk).append(message)
        return True

    def take(self) -> Happening | None:
        """Remove and return the oldest entry of the highest lane that has one, or None."""
        lane: deque[Happening] | deque[MessageReceived] = self._urgent or self._bodies or self._bulk
        if not lane:
            return None
        happening = lane.popleft()
        if isinstance(happening, MessageReceived):
            self._let_go(happening)
        return happening

    def _let_go(self, message: MessageReceived) -> None:
        key, cost = (message.peer_id, message.channel), _cost_of(message)
        self._waiting_bytes[key] -= cost
        if not self._waiting_bytes[key]:
            del self._waiting_bytes[key]
        if message.channel not in URGENT_CHANNELS:
            self._bulk_bytes -= cost

    def wake(self) -> None:
        """Let the consumer look around though nothing happened."""
        self._is_filled.set()

    async def wait(self) -> None:
        """Wait until something is there."""
        await self._is_filled.wait()
        self._is_filled.clear()


def _cost_of(message: MessageReceived) -> int:
    return len(message.payload) + MESSAGE_COST_BYTES


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
        tip = finalized.tip.block
        self._metrics.observe_finality((now().wall_ms - tip.time_ms) / 1_000)
        self.final_blocks += len(finalized.blocks)
        for block in finalized.blocks:
            self.final_transactions += len(block.receipts)
            self.failed_transactions += sum(1 for receipt in block.receipts if receipt.reason)
        self._log.debug("final", height=tip.height, hash=tip.block_hash.hex(), epoch=finalized.tip.epoch_start.epoch)

    def on_halt(self, reason: str) -> None:
        """Say it loudly; the API goes on to serve what is stored."""
        self._log.error("halted", reason=reason, advice="keep the home directory, compare with other nodes, report it")

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._timers.values():
            timer.cancel()
