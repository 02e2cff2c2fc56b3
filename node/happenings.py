"""What happens to the node and waits for its one consumer: who goes first, who has how much room, and who sends too much.

What the node itself brings about, timers and ticks and connections, goes before all messages. Messages stand in three lanes,
CONSENSUS and STATUS, then BODIES, then all else, and in each lane in one queue per peer; peers take turns.

Invariants:
- A lane that waits gets a third of the time that those above it take, so none of them can shut it out.
- A peer has room of its own in each lane, which no other peer can fill; beyond it, no peer holds more of the common room than is
  left for all others.
- What waits of a peer is forgotten when its connection ends.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from consensus.inputs import TimerFired
from p2p.channels import Channel
from p2p.events import MessageReceived, NetworkEvent, PeerDisconnected

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
OWN_BYTES: Final = 2 << 20
"""Room of each peer in each lane that nobody else can fill; the longest message takes half of it."""
COMMON_BYTES_MAX: Final = 128 << 20
"""Room for what all peers together have waiting beyond their own."""
UPPER_SHARE: Final = 3
"""A waiting lane is owed a microsecond for each three that lanes above it take."""
OWED_US_MIN: Final = 1_000
"""A lane goes before a higher one once it is owed this much, so that votes that come together are handled together."""
OWED_US_MAX: Final = 4_000
"""So a lower lane never delays votes by more than this and one message."""
LANE_OF: Final[Mapping[Channel, int]] = {
    Channel.CONSENSUS: 0,
    Channel.STATUS: 0,
    Channel.BODIES: 1,
    Channel.TRANSACTIONS: 2,
    Channel.SYNC: 2,
    Channel.PEERS: 2,
}


class Tick(Struct, frozen=True):
    """A tenth of a second has passed."""


Happening = NetworkEvent | TimerFired | Tick


class Happenings:
    """The one queue of what happens to the node."""

    def __init__(self) -> None:
        """Start empty."""
        self._own: deque[Happening] = deque()
        self._lanes = tuple(_Lane() for _ in range(1 + max(LANE_OF.values())))
        self._rank = -1
        """Lane of the entry that was taken last; -1 for the node's own."""
        self._is_owed = False
        """Whether that entry went before a higher lane."""
        self._waiting_bytes: Counter[tuple[str, Channel]] = Counter()
        """What waits of each peer on each channel."""
        self._common_bytes = 0
        self._is_filled = asyncio.Event()
        self._overflowing: set[str] = set()
        self.dropped: Counter[Channel] = Counter()
        """Messages that found no room, by channel."""

    def __len__(self) -> int:
        return len(self._own) + sum(len(lane) for lane in self._lanes)

    @property
    def is_long(self) -> bool:
        """Tell whether peers' transactions should be read no further for now."""
        return len(self) > QUEUE_MAX

    def put(self, happening: Happening) -> None:
        """Add an entry and wake the consumer; a message of a peer with too much waiting is dropped."""
        if isinstance(happening, MessageReceived):
            if not self._take_in(happening):
                self._note_dropped(happening)
                return
        else:
            if isinstance(happening, PeerDisconnected):
                self._forget(happening.peer_id)
            self._own.append(happening)
        self._is_filled.set()

    def take(self) -> Happening | None:
        """Remove and return the entry whose turn it is, or None; tell `charge` afterwards how long it took."""
        if self._own:
            self._rank = -1
            return self._own.popleft()
        waiting = [rank for rank, lane in enumerate(self._lanes) if lane]
        if not waiting:
            return None
        self._rank = next((rank for rank in waiting[1:] if self._lanes[rank].owed_us >= OWED_US_MIN), waiting[0])
        self._is_owed = self._rank != waiting[0]
        lane = self._lanes[self._rank]
        message = lane.peek()
        self._common_bytes -= lane.take(message.peer_id, _cost_of(message))
        self._let_go(message)
        return message

    def charge(self, took_us: int) -> None:
        """Count the time that the entry taken last took, in favour of the lanes that waited for it."""
        if self._rank < 0:
            return
        if self._is_owed:
            self._lanes[self._rank].owed_us -= took_us
        for lane in self._lanes[self._rank + 1 :]:
            if lane:
                lane.owed_us = min(OWED_US_MAX, lane.owed_us + took_us // UPPER_SHARE)

    def take_overflowing(self) -> list[str]:
        """Return the peers whose messages found no room since the last call, except for transactions.

        Of these an honest peer may have more than a busy node can take; of all else it has little.
        """
        found = sorted(self._overflowing)
        self._overflowing.clear()
        return found

    def wake(self) -> None:
        """Let the consumer look around though nothing happened."""
        self._is_filled.set()

    async def wait(self) -> None:
        """Wait until something is there."""
        await self._is_filled.wait()
        self._is_filled.clear()

    def _take_in(self, message: MessageReceived) -> bool:
        """Put a message into its lane if its peer has room there."""
        channel, cost = message.channel, _cost_of(message)
        if self._waiting_bytes[message.peer_id, channel] + cost > WAITING_BYTES_MAX[channel]:
            return False
        lane = self._lanes[LANE_OF[channel]]
        held, more = lane.common_bytes(message.peer_id, cost)
        if more and held + more > COMMON_BYTES_MAX - self._common_bytes - more:
            return False
        self._common_bytes += more
        self._waiting_bytes[message.peer_id, channel] += cost
        lane.put(message, cost)
        return True

    def _note_dropped(self, message: MessageReceived) -> None:
        self.dropped[message.channel] += 1
        if message.channel is not Channel.TRANSACTIONS:
            self._overflowing.add(message.peer_id)

    def _let_go(self, message: MessageReceived) -> None:
        key = message.peer_id, message.channel
        self._waiting_bytes[key] -= _cost_of(message)
        if not self._waiting_bytes[key]:
            del self._waiting_bytes[key]

    def _forget(self, peer_id: str) -> None:
        self._overflowing.discard(peer_id)
        for lane in self._lanes:
            self._common_bytes -= lane.forget(peer_id)
        for channel in Channel:
            self._waiting_bytes.pop((peer_id, channel), None)


class _Lane:
    """Messages of one rank, in one queue per peer; the peer at the front has the turn."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[MessageReceived]] = OrderedDict()
        self._bytes: Counter[str] = Counter()
        self._length = 0
        self.owed_us = 0
        """Time that this lane may take before a higher one has its turn."""

    def __len__(self) -> int:
        return self._length

    def common_bytes(self, peer_id: str, cost: int) -> tuple[int, int]:
        """Return what a peer holds of the common room, and how much more it would with this cost."""
        held = max(0, self._bytes[peer_id] - OWN_BYTES)
        return held, max(0, self._bytes[peer_id] + cost - OWN_BYTES) - held

    def put(self, message: MessageReceived, cost: int) -> None:
        self._queues.setdefault(message.peer_id, deque()).append(message)
        self._bytes[message.peer_id] += cost
        self._length += 1

    def peek(self) -> MessageReceived:
        """Return the oldest message of the peer whose turn it is."""
        return next(iter(self._queues.values()))[0]

    def take(self, peer_id: str, cost: int) -> int:
        """Drop that message and pass the turn on; return how much of the common room it held."""
        queue = self._queues[peer_id]
        queue.popleft()
        self._length -= 1
        self._queues.move_to_end(peer_id)
        before = max(0, self._bytes[peer_id] - OWN_BYTES)
        self._bytes[peer_id] -= cost
        if not queue:
            del self._queues[peer_id], self._bytes[peer_id]
        if not self._length:
            self.owed_us = 0
        return before - max(0, self._bytes[peer_id] - OWN_BYTES)

    def forget(self, peer_id: str) -> int:
        """Drop all messages of a peer, and return how much of the common room they held."""
        self._length -= len(self._queues.pop(peer_id, ()))
        if not self._length:
            self.owed_us = 0
        return max(0, self._bytes.pop(peer_id, 0) - OWN_BYTES)


def _cost_of(message: MessageReceived) -> int:
    return len(message.payload) + MESSAGE_COST_BYTES
