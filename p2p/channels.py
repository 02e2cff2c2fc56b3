"""Kinds of traffic, and what leaves first.

Channels are served in strict order of their number. Each has a longest message, a rate, a bounded queue and a rule for
what a full queue drops; a sender never waits. Both ends count a message the same way, so an honest sender paces itself
and never meets the receiver's bound.
"""

from collections import deque
from collections.abc import Mapping
from enum import IntEnum, StrEnum

import msgspec

from p2p import wire
from p2p.counters import NetworkCounters

KIB = 1 << 10
MIB = 1 << 20


class Channel(IntEnum):
    """What a message is about. The number is its byte on the wire and its rank: lower goes first."""

    CONSENSUS = 0
    """Proposals, votes, certificates."""
    STATUS = 1
    """Where each node stands."""
    BODIES = 2
    """Requests for block bodies, and their answers."""
    TRANSACTIONS = 3
    """Gossip of pending transactions."""
    SYNC = 4
    """Old blocks and snapshots, and the requests for them."""
    PEERS = 5
    """Exchange of addresses; the network handles it itself."""


class DropPolicy(StrEnum):
    """What a full queue gives up."""

    OLDEST = "oldest"
    """The newest message makes the older ones less useful."""
    NEWEST = "newest"
    """The queue is an ordered answer; what does not fit is asked for again."""


MESSAGE_COST_BYTES = 256
"""Where a channel names no cost of its own. It keeps many tiny messages from being free."""
_COSTLY = 13_107
"""At 65,536 bytes a millisecond, the cost that permits five messages in that time; an honest node sends some hundred a second."""


class ChannelPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one channel on one connection, in each direction."""

    message_bytes_max: int
    rate_bytes_per_ms: int
    """Sustained rate; 1,000 is about 1 MB/s."""
    burst_bytes: int
    """What may pass at once after a pause."""
    message_cost_bytes: int = MESSAGE_COST_BYTES
    """Added to the length of each message when its rate is counted: it bounds messages a second as the rate bounds bytes."""
    queue_messages_max: int
    queue_bytes_max: int
    drop: DropPolicy


QUEUED_BYTES_MAX = 256 * MIB
"""Queued bytes of all connections together, above which only CONSENSUS still takes messages."""

POLICIES: Mapping[Channel, ChannelPolicy] = {
    Channel.CONSENSUS: ChannelPolicy(
        message_bytes_max=MIB,
        rate_bytes_per_ms=65_536,
        burst_bytes=16 * MIB,
        message_cost_bytes=_COSTLY,
        queue_messages_max=4_096,
        queue_bytes_max=8 * MIB,
        drop=DropPolicy.OLDEST,
    ),
    Channel.STATUS: ChannelPolicy(
        message_bytes_max=64 * KIB,
        rate_bytes_per_ms=1_024,
        burst_bytes=MIB,
        queue_messages_max=16,
        queue_bytes_max=256 * KIB,
        drop=DropPolicy.OLDEST,
    ),
    Channel.BODIES: ChannelPolicy(
        message_bytes_max=MIB,
        rate_bytes_per_ms=65_536,
        burst_bytes=16 * MIB,
        message_cost_bytes=_COSTLY,
        queue_messages_max=256,
        queue_bytes_max=8 * MIB,
        drop=DropPolicy.NEWEST,
    ),
    Channel.TRANSACTIONS: ChannelPolicy(
        message_bytes_max=384 * KIB,  # one envelope with collateral takes 320 KiB
        rate_bytes_per_ms=16_384,
        burst_bytes=8 * MIB,
        message_cost_bytes=_COSTLY // 4,
        queue_messages_max=1_024,
        queue_bytes_max=4 * MIB,
        drop=DropPolicy.NEWEST,
    ),
    Channel.SYNC: ChannelPolicy(
        message_bytes_max=MIB,
        rate_bytes_per_ms=32_768,
        burst_bytes=8 * MIB,
        message_cost_bytes=_COSTLY // 2,
        queue_messages_max=64,
        queue_bytes_max=4 * MIB,
        drop=DropPolicy.NEWEST,
    ),
    Channel.PEERS: ChannelPolicy(
        message_bytes_max=32 * KIB,
        rate_bytes_per_ms=64,
        burst_bytes=64 * KIB,
        queue_messages_max=4,
        queue_bytes_max=64 * KIB,
        drop=DropPolicy.NEWEST,
    ),
}


class TokenBucket:
    """Counts bytes against a rate. It may go into debt by one message, so any size can pass."""

    def __init__(self, rate_bytes_per_ms: int, burst_bytes: int, now_ms: int) -> None:
        self._rate = rate_bytes_per_ms
        self._burst = burst_bytes
        self._tokens = burst_bytes
        self._counted_ms = now_ms

    def spend(self, cost_bytes: int, now_ms: int) -> None:
        """Count bytes that pass."""
        self._refill(now_ms)
        self._tokens -= cost_bytes

    def debt_ms(self, now_ms: int) -> int:
        """Return how long nothing more should pass; 0 when something may pass now."""
        if self._tokens > 0:
            return 0
        self._refill(now_ms)
        return (self._rate - self._tokens) // self._rate if self._tokens <= 0 else 0

    def _refill(self, now_ms: int) -> None:
        elapsed_ms = now_ms - self._counted_ms
        if elapsed_ms > 0:
            self._tokens = min(self._burst, self._tokens + elapsed_ms * self._rate)
            self._counted_ms = now_ms


class QueueBudget:
    """Queued bytes of all connections together."""

    def __init__(self, bytes_max: int = QUEUED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self.used_bytes = 0

    @property
    def is_spent(self) -> bool:
        """Whether ordinary channels must not queue any more."""
        return self.used_bytes >= self._bytes_max


class SendQueue:
    """Messages that wait to leave on one connection."""

    def __init__(
        self,
        policies: Mapping[Channel, ChannelPolicy],
        budget: QueueBudget,
        counters: NetworkCounters,
        now_ms: int,
    ) -> None:
        self._lanes = [_Lane(channel, policies[channel], now_ms) for channel in sorted(policies)]
        self._lane_of = {lane.channel: lane for lane in self._lanes}
        self._control: deque[bytes] = deque()
        self._budget = budget
        self._counters = counters
        self.dropped_count = 0
        """Messages that were given up since the connection opened."""

    @property
    def message_count(self) -> int:
        """Messages that wait, a half-sent one included."""
        return len(self._control) + sum(len(lane.frames) + bool(lane.begun) for lane in self._lanes)

    @property
    def has_control(self) -> bool:
        """Whether a control frame waits."""
        return bool(self._control)

    def add_control(self, frame: bytes) -> None:
        """Queue a control frame ahead of everything; the session sends only a few."""
        self._control.append(frame)

    def add(self, channel: Channel, frame: bytes) -> bool:
        """Queue a frame, dropping by the channel's policy; return whether this one waits now.

        Refused are also frames above the channel's limit, because the receiver would cut the connection.
        """
        lane = self._lane_of[channel]
        policy = lane.policy
        is_oversized = len(frame) - wire.FRAME_HEADER.size > policy.message_bytes_max
        is_over_budget = self._budget.is_spent and channel is not Channel.CONSENSUS
        if is_oversized or is_over_budget:
            self._count_drop()
            return False
        while lane.frames and lane.is_full_for(frame):
            self._count_drop()
            if policy.drop is DropPolicy.NEWEST:
                return False
            self._budget.used_bytes -= lane.drop_oldest()
        lane.frames.append(frame)
        lane.queued_bytes += len(frame)
        self._budget.used_bytes += len(frame)
        return True

    def take_plaintext(self, now_ms: int) -> bytes:
        """Return the plaintext of the next record, or nothing when no message may leave now."""
        parts = [b"\x00"]
        room = wire.BATCH_BYTES_MAX
        while self._control:
            parts.append(self._control.popleft())
            room -= len(parts[-1])
        for lane in self._lanes:
            if not lane.begun and (not lane.frames or lane.bucket.debt_ms(now_ms)):
                continue
            if lane.begun or len(lane.frames[0]) > wire.BATCH_BYTES_MAX:
                if len(parts) == 1:
                    return self._take_part(lane, now_ms)
                break
            room = self._take_whole(lane, parts, room, now_ms)
            if lane.frames and not lane.bucket.debt_ms(now_ms):
                break
        return b"".join(parts) if len(parts) > 1 else b""

    def delay_ms(self, now_ms: int) -> int:
        """Return when `take_plaintext` is worth calling again: 0 when nothing waits for its rate."""
        delays = [lane.bucket.debt_ms(now_ms) for lane in self._lanes if lane.frames]
        return min(delays, default=0)

    def clear(self) -> None:
        """Give up everything and return the bytes to the common budget."""
        for lane in self._lanes:
            self._budget.used_bytes -= lane.queued_bytes + len(lane.begun)
            lane.clear()
        self._control.clear()

    def _count_drop(self) -> None:
        self.dropped_count += 1
        self._counters.dropped_messages += 1

    def _take_whole(self, lane: "_Lane", parts: list[bytes], room: int, now_ms: int) -> int:
        """Move whole frames of a lane into the batch and return the room that is left."""
        frames = lane.frames
        taken_bytes = 0
        while frames and len(frames[0]) <= room and not lane.bucket.debt_ms(now_ms):
            frame = frames.popleft()
            parts.append(frame)
            room -= len(frame)
            taken_bytes += len(frame)
            lane.bucket.spend(len(frame) + lane.policy.message_cost_bytes, now_ms)
        lane.queued_bytes -= taken_bytes
        self._budget.used_bytes -= taken_bytes
        return room

    def _take_part(self, lane: "_Lane", now_ms: int) -> bytes:
        """Return the next part of a frame that does not fit into one record."""
        if not lane.begun:
            lane.begun = lane.frames.popleft()
            lane.queued_bytes -= len(lane.begun)
            lane.sent_bytes = wire.START_BYTES
            lane.bucket.spend(len(lane.begun) + lane.policy.message_cost_bytes, now_ms)
            return bytes((wire.START,)) + lane.begun[: wire.START_BYTES]
        start = lane.sent_bytes
        lane.sent_bytes += wire.CONTINUE_BYTES_MAX
        part = bytes((wire.CONTINUE, lane.channel)) + lane.begun[start : lane.sent_bytes]
        if lane.sent_bytes >= len(lane.begun):
            self._budget.used_bytes -= len(lane.begun)
            lane.begun = b""
        return part


class _Lane:
    """The queue of one channel."""

    def __init__(self, channel: Channel, policy: ChannelPolicy, now_ms: int) -> None:
        self.channel = channel
        self.policy = policy
        self.bucket = TokenBucket(policy.rate_bytes_per_ms, policy.burst_bytes, now_ms)
        self.frames: deque[bytes] = deque()
        self.queued_bytes = 0
        self.begun = b""
        """The frame that is being sent in parts, or nothing."""
        self.sent_bytes = 0
        """How much of `begun` has left."""

    def is_full_for(self, frame: bytes) -> bool:
        return (
            len(self.frames) >= self.policy.queue_messages_max
            or self.queued_bytes + len(frame) > self.policy.queue_bytes_max
        )

    def drop_oldest(self) -> int:
        length = len(self.frames.popleft())
        self.queued_bytes -= length
        return length

    def clear(self) -> None:
        self.frames.clear()
        self.queued_bytes = 0
        self.begun = b""
