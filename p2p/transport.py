"""Shell: one TCP connection from its first byte to its last.

The socket's bytes go to the handshake and then to the session; what they return goes back. A connection reports to its
owner, in this order: `handle_made`, `handle_identified` for a dialed one, `check_open`, `handle_open`, any number of
`handle_message` and `handle_violation`, `handle_closed` exactly once, and `handle_lost` when the socket is gone. A peer's
mistake closes its connection and touches nothing else.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Protocol, cast

import msgspec

from p2p.address import Address
from p2p.channels import Channel, ChannelPolicy, QueueBudget
from p2p.config import NetworkConfig
from p2p.counters import NetworkCounters
from p2p.errors import (
    CloseReason,
    ConnectionRefused,
    DisconnectReason,
    PeerViolation,
    RefusalReason,
    ViolationReason,
)
from p2p.events import Direction
from p2p.handshake import Handshake
from p2p.noise import Role
from p2p.session import Session

READ_BUFFER_BYTES = 1 << 17
"""Bytes taken from the socket at a time; other connections get their turn in between."""
WRITE_BUFFER_BYTES = 1 << 16
"""Encrypted bytes that wait in the transport, which nothing can overtake."""
UNSENT_BYTES = 1 << 17
"""Bytes that wait in the kernel, likewise."""
LINGER_S = 1.0
"""A farewell may take this long to leave."""
CONGESTION_PAUSE_MS_MAX = 250
"""A peer that sends transactions while we are congested is read again after this long, for its votes' sake."""
CONGESTION_CHECK_MS = 10
EXCESS_INTERVAL_MS = 1_000
"""A peer above its rate is blamed no more often, so that only who keeps on is banned."""

_CHANNELS = tuple(Channel)


class Stage(StrEnum):
    """How far a connection has come."""

    HANDSHAKE = "handshake"
    ADMISSION = "admission"
    """The peer is authenticated; the responder has not decided yet."""
    OPEN = "open"
    CLOSED = "closed"


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What all connections of a network share."""

    config: NetworkConfig
    policies: Mapping[Channel, ChannelPolicy]
    budget: QueueBudget
    counters: NetworkCounters
    now_ms: Callable[[], int]
    is_congested: Callable[[], bool]


class ConnectionOwner(Protocol):
    """Who decides about connections and hears from them."""

    def handle_made(self, connection: "Connection") -> None:
        """Count a new connection; raises ConnectionRefused."""

    def handle_identified(self, connection: "Connection") -> None:
        """Judge a dialed peer before it learns who we are; raises ConnectionRefused."""

    def check_open(self, connection: "Connection") -> None:
        """Judge an authenticated peer at the last moment; raises ConnectionRefused."""

    def handle_open(self, connection: "Connection") -> None:
        """Take an authenticated peer in."""

    def handle_message(self, connection: "Connection", channel: Channel, payload: bytes) -> None:
        """Take a message; raises PeerViolation."""

    def handle_violation(self, connection: "Connection", violation: PeerViolation) -> None:
        """Count a violation; the connection closes, unless it is only too fast and not yet banned."""

    def handle_closed(self, connection: "Connection", stage: Stage, reason: CloseReason) -> None:
        """Let a connection go that had come to this stage; never called for one that `handle_made` refused."""

    def handle_lost(self, connection: "Connection") -> None:
        """Forget a connection whose socket is gone."""


class Connection(asyncio.BufferedProtocol):
    """One TCP connection."""

    def __init__(
        self,
        owner: ConnectionOwner,
        settings: ConnectionSettings,
        handshake: Handshake,
        dialed: Address | None = None,
    ) -> None:
        self.dialed = dialed
        """The address that we dialed, None for an inbound connection."""
        self.stage = Stage.HANDSHAKE
        self.peer_id = ""
        """Empty until the peer is authenticated."""
        self.listen_claim = ""
        self.ip = ""
        self.port = 0
        self.changed_ms = settings.now_ms()
        """When the stage was reached."""
        self.received_bytes = 0
        self.sent_bytes = 0
        self.session: Session | None = None
        self._owner = owner
        self._settings = settings
        self._handshake = handshake
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(READ_BUFFER_BYTES)
        self._is_flush_due = False
        self._is_paced_flush_due = False
        self._is_reading_paused = False
        self._exceeded_ms = -EXCESS_INTERVAL_MS
        """When the peer was last blamed for its rate."""
        self._unwritable_ms: int | None = None
        """Since when the transport takes no more."""

    @property
    def direction(self) -> Direction:
        """Who dialed."""
        return Direction.INBOUND if self.dialed is None else Direction.OUTBOUND

    @property
    def role(self) -> Role:
        """Our role in the handshake."""
        return Role.RESPONDER if self.dialed is None else Role.INITIATOR

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # asyncio makes no other kind for TCP
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        peer_name = transport.get_extra_info("peername")
        self.ip, self.port = (peer_name[0], peer_name[1]) if peer_name else ("", 0)
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if option is not None:
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)
        try:
            self._owner.handle_made(self)
        except ConnectionRefused:
            self._settings.counters.refused_connections += 1
            self.stage = Stage.CLOSED
            self.abort()
        else:
            self._write(self._handshake.start())

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  # the name is asyncio's
        """Lend the buffer that the next bytes go to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that arrived."""
        self.received_bytes += nbytes
        self._settings.counters.received_bytes += nbytes
        try:
            self._receive(memoryview(self._buffer)[:nbytes])
        except ConnectionRefused as refusal:
            self.close(refusal.reason)
        except PeerViolation as violation:
            self.fail(violation)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the name is asyncio's
        """Note that the socket is gone."""
        self._end(DisconnectReason.CLOSED_BY_PEER)
        self._owner.handle_lost(self)

    def pause_writing(self) -> None:
        """Stop taking messages from the queue."""
        self._unwritable_ms = self._settings.now_ms()

    def resume_writing(self) -> None:
        """Take messages from the queue again."""
        self._unwritable_ms = None
        self._flush()

    def send_frame(self, channel: Channel, frame: bytes) -> bool:
        """Queue a frame, and return whether it waits to leave now; only while the connection is open."""
        session = self.session
        if session is None or self.stage is not Stage.OPEN or not session.queue.add(channel, frame):
            return False
        self._settings.counters.sent_messages += 1
        self._schedule_flush()
        return True

    def close(self, reason: CloseReason) -> None:
        """Close the connection; a peer that was authenticated is told of a refusal."""
        if self.stage is Stage.CLOSED:
            return
        session = self.session
        if session is None or self.stage is Stage.HANDSHAKE or not isinstance(reason, RefusalReason):
            self._end(reason)
            self.abort()
            return
        session.say_close(reason)
        self._write(session.take_record(self._settings.now_ms()))
        self._end(reason)
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(LINGER_S, self._transport.abort)

    def fail(self, violation: PeerViolation) -> None:
        """Close the connection because the peer broke the protocol."""
        if self.stage is not Stage.CLOSED:
            self._owner.handle_violation(self, violation)
            self.close(violation.reason)

    def abort(self) -> None:
        """Drop the socket at once."""
        if self._transport is not None:
            self._transport.abort()

    def tick(self, now_ms: int, *, is_late: bool) -> None:
        """Check the deadlines; `is_late` excuses silence, because we ourselves were not listening."""
        config = self._settings.config
        if self.stage in {Stage.HANDSHAKE, Stage.ADMISSION}:
            if now_ms - self.changed_ms >= config.handshake_timeout_ms:
                self.close(DisconnectReason.HANDSHAKE_TIMEOUT)
            return
        if self.session is None or self.stage is Stage.CLOSED:
            return
        try:
            is_alive = self.session.tick(now_ms)
        except PeerViolation as violation:
            self.fail(violation)
            return
        if not is_alive and not is_late:
            self.close(DisconnectReason.IDLE)
        elif self._unwritable_ms is None:
            self._flush()
        elif now_ms - self._unwritable_ms >= config.write_stall_timeout_ms:
            self.close(DisconnectReason.WRITE_STALLED)

    def _receive(self, received: memoryview) -> None:
        if self.stage is Stage.HANDSHAKE:
            self._shake_hands(received)
        elif self.session is not None and self.stage is not Stage.CLOSED:
            self._receive_records(self.session, received)

    def _shake_hands(self, received: memoryview) -> None:
        answer = self._handshake.receive(received)
        if not self._handshake.is_complete:
            self._write(answer)
            return
        outcome, rest = self._handshake.finish()
        self.peer_id = outcome.peer_id
        self.listen_claim = outcome.listen_address
        settings = self._settings
        self.session = Session(
            self.role,
            outcome,
            settings.policies,
            settings.config.keep_alive,
            settings.budget,
            settings.counters,
            settings.now_ms(),
        )
        if self.role is Role.INITIATOR:
            self._owner.handle_identified(self)
            self._write(answer)
            self.stage = Stage.ADMISSION
        else:
            self.stage = Stage.ADMISSION
            self._open(self.session)
        if rest and self.stage is not Stage.CLOSED:
            self._receive_records(self.session, memoryview(rest))

    def _open(self, session: Session) -> None:
        self._owner.check_open(self)
        if self.role is Role.RESPONDER:
            session.admit()
        self.stage = Stage.OPEN
        self.changed_ms = self._settings.now_ms()
        self._schedule_flush()
        self._owner.handle_open(self)

    def _receive_records(self, session: Session, received: memoryview) -> None:
        now_ms = self._settings.now_ms()
        has_transactions = False
        for number, payload in session.receive(received, now_ms):
            self._open_if_admitted(session)
            if self.stage is Stage.CLOSED:
                return
            channel = _CHANNELS[number]
            has_transactions |= channel is Channel.TRANSACTIONS
            self._settings.counters.received_messages += 1
            self._owner.handle_message(self, channel, payload)
        self._open_if_admitted(session)
        if session.close_reason is not None:
            self._end(session.close_reason)
            self.abort()
            return
        if session.queue.has_control:
            self._schedule_flush()
        pause_ms = session.read_pause_ms(now_ms)
        if pause_ms and now_ms - self._exceeded_ms >= EXCESS_INTERVAL_MS:
            self._exceeded_ms = now_ms
            self._owner.handle_violation(self, PeerViolation(ViolationReason.RATE_EXCEEDED, pause_ms, 0))
        if has_transactions and self._settings.is_congested():
            self._pause_reading(max(pause_ms, CONGESTION_CHECK_MS), now_ms + CONGESTION_PAUSE_MS_MAX)
        elif pause_ms:
            self._pause_reading(pause_ms, now_ms)

    def _open_if_admitted(self, session: Session) -> None:
        if self.stage is Stage.ADMISSION and session.is_admitted:
            self._open(session)

    def _pause_reading(self, pause_ms: int, until_clear_ms: int) -> None:
        if self._transport is None or self._is_reading_paused or self.stage is Stage.CLOSED:
            return
        self._is_reading_paused = True
        self._settings.counters.read_pauses += 1
        self._transport.pause_reading()
        self._loop.call_later(pause_ms / 1000, self._resume_reading, until_clear_ms)

    def _resume_reading(self, until_clear_ms: int) -> None:
        if self._transport is None or self.stage is Stage.CLOSED:
            return
        if self._settings.now_ms() < until_clear_ms and self._settings.is_congested():
            self._loop.call_later(CONGESTION_CHECK_MS / 1000, self._resume_reading, until_clear_ms)
            return
        self._is_reading_paused = False
        self._transport.resume_reading()

    def _schedule_flush(self) -> None:
        """Write once in this turn of the loop, however many messages it queues."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        session = self.session
        if session is None or self.stage in {Stage.HANDSHAKE, Stage.CLOSED}:
            return
        now_ms = self._settings.now_ms()
        while self._unwritable_ms is None:
            record = session.take_record(now_ms)
            if not record:
                break
            self._write(record)
        delay_ms = session.queue.delay_ms(now_ms)
        if delay_ms and not self._is_paced_flush_due:
            self._is_paced_flush_due = True
            self._loop.call_later(delay_ms / 1000, self._flush_paced)

    def _flush_paced(self) -> None:
        """Write again now that a channel's rate permits it."""
        self._is_paced_flush_due = False
        self._flush()

    def _write(self, record: bytes) -> None:
        if record and self._transport is not None:
            self.sent_bytes += len(record)
            self._settings.counters.sent_bytes += len(record)
            self._transport.write(record)

    def _end(self, reason: CloseReason) -> None:
        """Leave the current stage for the last one, once."""
        if self.stage is Stage.CLOSED:
            return
        stage = self.stage
        self.stage = Stage.CLOSED
        if self.session is not None:
            self.session.queue.clear()
        self._owner.handle_closed(self, stage, reason)
