"""One open connection without its socket: stream bytes in, messages out, and back.

A session begins when the handshake is complete. The responder's first message admits the initiator; until then the
initiator neither sends nor accepts anything else. The session answers and sends pings, measures the round trip, says
when nothing was heard for too long, and how long reading should pause because the peer sends faster than allowed.
"""

from collections.abc import Iterator, Mapping

import msgspec

from p2p import wire
from p2p.channels import MESSAGE_COST_BYTES, Channel, ChannelPolicy, QueueBudget, SendQueue, TokenBucket
from p2p.control import (
    CONTROL_CHANNEL,
    MESSAGE_BYTES_MAX,
    Admit,
    Close,
    Ping,
    Pong,
    decode_control,
    encode_control_frame,
)
from p2p.counters import NetworkCounters
from p2p.errors import PeerViolation, RefusalReason, ViolationReason
from p2p.handshake import HandshakeOutcome
from p2p.noise import Role

CONTROL_RATE_BYTES_PER_MS = 1
CONTROL_BURST_BYTES = 8_192
"""About thirty control messages at once and three a second; keep-alive needs two in five seconds."""
READ_PAUSE_MS_MAX = 1_000
"""Longest pause in reading at a time, so that a pause never looks like silence."""


class KeepAlive(msgspec.Struct, frozen=True, kw_only=True):
    """When to ask whether the peer is there, and when to give it up."""

    ping_interval_ms: int = 5_000
    idle_timeout_ms: int = 15_000


class Session:
    """The state of one open connection."""

    def __init__(
        self,
        role: Role,
        outcome: HandshakeOutcome,
        policies: Mapping[Channel, ChannelPolicy],
        keep_alive: KeepAlive,
        budget: QueueBudget,
        counters: NetworkCounters,
        now_ms: int,
    ) -> None:
        self.is_admitted = role is Role.RESPONDER
        """Whether the connection is accepted by the responder."""
        self.close_reason: RefusalReason | None = None
        """Why the peer said that it closes."""
        self.rtt_ms = -1
        """Last measured round trip, or -1 before the first."""
        self.received_ms = now_ms
        """When the peer was last heard."""
        self.queue = SendQueue(policies, budget, counters, now_ms)
        self._keep_alive = keep_alive
        self._records_out = wire.RecordWriter(outcome.send_cipher)
        self._records_in = wire.RecordReader(outcome.receive_cipher)
        limits: dict[int, int] = {int(channel): policies[channel].message_bytes_max for channel in policies}
        self._frames_in = wire.FrameReader(limits | {CONTROL_CHANNEL: MESSAGE_BYTES_MAX})
        self._costs = {int(channel): policy.message_cost_bytes for channel, policy in policies.items()}
        # Invariant: we tolerate twice the burst of a sender, so an honest sender never makes us pause.
        self._buckets = {
            int(channel): TokenBucket(policy.rate_bytes_per_ms, 2 * policy.burst_bytes, now_ms)
            for channel, policy in policies.items()
        }
        self._control_bucket = TokenBucket(CONTROL_RATE_BYTES_PER_MS, CONTROL_BURST_BYTES, now_ms)
        self._ping_number = 0
        self._pinged_ms = now_ms

    def receive(self, received: bytes | memoryview, now_ms: int) -> Iterator[tuple[int, bytes]]:
        """Take stream bytes and yield channel and payload of the messages that they complete.

        The iterator must be used up or the session given up; what comes before a violation counts.

        Raises:
            PeerViolation: any reason of `wire` and `control`, CONTROL_FLOOD, NOT_ADMITTED.
        """
        for plaintext in self._records_in.read(received):
            self.received_ms = now_ms
            for channel, payload in self._frames_in.read(plaintext, now_ms):
                if channel == CONTROL_CHANNEL:
                    self._handle_control(payload, now_ms)
                    continue
                if not self.is_admitted:
                    raise PeerViolation(ViolationReason.NOT_ADMITTED, channel)
                self._buckets[channel].spend(len(payload) + self._costs[channel], now_ms)
                yield channel, payload

    def read_pause_ms(self, now_ms: int) -> int:
        """Return how long to stop reading because a channel is above its rate; 0 when none is."""
        return min(READ_PAUSE_MS_MAX, max(bucket.debt_ms(now_ms) for bucket in self._buckets.values()))

    def admit(self) -> None:
        """Tell the initiator that its connection is accepted."""
        self.queue.add_control(encode_control_frame(Admit()))

    def say_close(self, reason: RefusalReason) -> None:
        """Tell the peer why the connection is about to close."""
        self.queue.add_control(encode_control_frame(Close(reason)))

    def take_record(self, now_ms: int) -> bytes:
        """Return the next record for the stream, or nothing when no message may leave now."""
        plaintext = self.queue.take_plaintext(now_ms)
        return self._records_out.write(plaintext) if plaintext else b""

    def tick(self, now_ms: int) -> bool:
        """Send a ping when it is time, and return whether the peer is still to be believed in.

        Raises:
            PeerViolation: FRAME_TIMEOUT.
        """
        self._frames_in.check_deadlines(now_ms)
        if now_ms - self._pinged_ms >= self._keep_alive.ping_interval_ms and self.is_admitted:
            self._ping_number += 1
            self._pinged_ms = now_ms
            self.queue.add_control(encode_control_frame(Ping(self._ping_number)))
        return now_ms - self.received_ms < self._keep_alive.idle_timeout_ms

    def _handle_control(self, payload: bytes, now_ms: int) -> None:
        if self._control_bucket.debt_ms(now_ms):
            raise PeerViolation(ViolationReason.CONTROL_FLOOD, len(payload), CONTROL_BURST_BYTES)
        self._control_bucket.spend(len(payload) + MESSAGE_COST_BYTES, now_ms)
        message = decode_control(payload)
        match message:
            case Admit():
                if self.is_admitted:
                    raise PeerViolation(ViolationReason.UNASKED, "admit")
                self.is_admitted = True
            case Close(reason):
                self.close_reason = reason
            case Ping(number):
                self.queue.add_control(encode_control_frame(Pong(number)))
            case Pong(number):
                if number == self._ping_number:
                    self.rtt_ms = now_ms - self._pinged_ms
