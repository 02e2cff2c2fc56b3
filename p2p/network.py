"""Shell: all connections of one node.

`Network` listens, dials, lets peers in or not, and hands their messages to a callback on the event loop. Its decisions
are those of `roster`, `scores`, `dialing`, `peer_book` and `exchange`; this module performs them. `send` and
`broadcast` never wait. Everything stops when the task that runs `Network.run` is cancelled.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from random import Random

import msgspec
from nacl.signing import SigningKey

from p2p import wire
from p2p.address import Address, PeerAddress, find_dialable, resolve_claim
from p2p.channels import POLICIES, Channel, ChannelPolicy, QueueBudget
from p2p.config import NetworkConfig
from p2p.counters import NetworkCounters
from p2p.dialing import DialSchedule
from p2p.errors import (
    CloseReason,
    ConfigError,
    ConfigReason,
    ConnectionRefused,
    DisconnectReason,
    PeerViolation,
    RefusalReason,
)
from p2p.events import (
    Direction,
    MessageReceived,
    NetworkEvent,
    PeerConnected,
    PeerDisconnected,
    PeerInfo,
)
from p2p.exchange import AddressExchange, encode_question
from p2p.handshake import Handshake, LocalIdentity
from p2p.noise import KEY_BYTES, Role
from p2p.peer_book import PeerBook
from p2p.roster import Candidate, Roster
from p2p.scores import Scores, violation_weight
from p2p.transport import Connection, ConnectionSettings, Stage

TICK_MS = 100
"""How often deadlines are checked and dials begun."""
DRAIN_S = 2.0
"""How long a network that stops waits for its sockets to be gone."""
LATE_TICK_MS = 2_000
"""After a gap like this between ticks we were asleep ourselves, and nobody else is called silent."""
BACKLOG = 128
"""Connections that the kernel holds for us."""


def _is_never_congested() -> bool:
    return False


class Network:
    """One node's part in the network.

    `now_ms` is a clock that never goes back. `events` is called on the event loop, also from within `send`'s callers'
    turn, and must return at once. While `is_congested` says so, peers that send transactions are read more slowly.
    """

    def __init__(
        self,
        config: NetworkConfig,
        node_key: bytes,
        chain_id: bytes,
        events: Callable[[NetworkEvent], None],
        now_ms: Callable[[], int],
        *,
        is_congested: Callable[[], bool] = _is_never_congested,
        book: PeerBook | None = None,
        policies: Mapping[Channel, ChannelPolicy] = POLICIES,
        rng: Random | None = None,
    ) -> None:
        self.counters = NetworkCounters()
        self.listening = asyncio.Event()
        """Set while connections are taken in; `listen_address` is final then."""
        self.listen_address = ""
        """`host:port` that is listened on; empty before."""
        self.book = PeerBook() if book is None else book
        self._config = config
        self._local = LocalIdentity(
            node_key=SigningKey(node_key),
            chain_id=chain_id,
            static_private=os.urandom(KEY_BYTES),
            listen_address=config.advertised_address,
        )
        self._events = events
        self._now_ms = now_ms
        self._rng = Random(os.urandom(KEY_BYTES)) if rng is None else rng
        self._settings = ConnectionSettings(
            config=config,
            policies=policies,
            budget=QueueBudget(),
            counters=self.counters,
            now_ms=now_ms,
            is_congested=is_congested,
        )
        self._schedule = DialSchedule(config.persistent, self.book, config.backoff, config.outbound_max)
        self._persistent_ids = set(self._schedule.persistent_ids)
        """Shared with roster and scores; changes when somebody else answers at a persistent address."""
        self._roster = Roster(self.node_id, self._persistent_ids, config.limits)
        self._scores = Scores(self._persistent_ids)
        self._exchange = AddressExchange(
            is_enabled=config.has_address_exchange, allows_private=config.allows_private_addresses
        )
        self._connections: set[Connection] = set()
        """Every connection with a socket, at any stage."""
        self._drained = asyncio.Event()
        """Set whenever the last socket is gone."""
        self._open: dict[str, Connection] = {}
        for text in config.seed_addresses:
            address = find_dialable(text, allows_private=True)
            if address is not None:
                self.book.add(address, "", now_ms())

    @property
    def node_id(self) -> str:
        """This node's own id."""
        return self._local.node_id

    @property
    def peers(self) -> tuple[PeerInfo, ...]:
        """The connected peers, by id."""
        now_ms = self._now_ms()
        return tuple(self._build_info(peer_id, now_ms) for peer_id in sorted(self._open))

    async def run(self) -> None:
        """Listen and keep connections until cancelled.

        Raises:
            ConfigError: ADDRESS_UNAVAILABLE.
        """
        loop = asyncio.get_running_loop()
        host, port = self._config.listen_host, self._config.listen_port
        try:
            server = await loop.create_server(self._build_inbound, host, port, backlog=BACKLOG, start_serving=False)
        except OSError as error:
            raise ConfigError(ConfigReason.ADDRESS_UNAVAILABLE, f"{host}:{port}", str(error)) from error
        self.listen_address = str(Address(host, server.sockets[0].getsockname()[1]))
        if not self._local.listen_address:
            self._local = msgspec.structs.replace(self._local, listen_address=self.listen_address)
        try:
            await server.start_serving()
            self.listening.set()
            async with asyncio.TaskGroup() as tasks:
                await self._maintain(tasks)
        finally:
            server.close()
            self.listening.clear()
            for connection in list(self._connections):
                connection.close(DisconnectReason.STOPPED)
                connection.abort()
            await self._drain()

    def send(self, peer_id: str, channel: Channel, payload: bytes) -> bool:
        """Queue a message for a peer, and return whether it is queued.

        False means that the peer is not connected, its queue is full, or the message is empty or longer than its
        channel allows. True is no promise: the connection may break.
        """
        assert channel is not Channel.PEERS, "the network itself uses this channel"
        connection = self._open.get(peer_id)
        if connection is None or not payload:
            return False
        return connection.send_frame(channel, wire.encode_frame(channel, payload))

    def broadcast(self, channel: Channel, payload: bytes, except_peer: str | None = None) -> int:
        """Queue a message for all peers but one, and return for how many it is queued."""
        assert channel is not Channel.PEERS, "the network itself uses this channel"
        if not payload:
            return 0
        frame = wire.encode_frame(channel, payload)
        return sum(
            connection.send_frame(channel, frame)
            for peer_id, connection in self._open.items()
            if peer_id != except_peer
        )

    def report(self, peer_id: str, reason: str, weight: int) -> None:
        """Count misbehaviour of a peer; at 100 points it is banned and disconnected."""
        if self._scores.report(peer_id, reason, weight, self._now_ms()):
            self.counters.bans += 1
            self._close_peer(peer_id, RefusalReason.BANNED)

    def disconnect(self, peer_id: str) -> None:
        """Close the connection with a peer, if there is one."""
        self._close_peer(peer_id, DisconnectReason.REQUESTED)

    def block(self, node_ids: frozenset[str]) -> None:
        """Cut off exactly these peers from now on; peers blocked before and not named are free again."""
        self._roster.blocked_ids = node_ids
        for peer_id in sorted(node_ids):
            self._close_peer(peer_id, RefusalReason.BLOCKED)
        self._schedule.retry_now()

    def handle_made(self, connection: Connection) -> None:
        """Count a new connection. Called by the connection, like all `handle_` methods."""
        self._connections.add(connection)
        self._drained.clear()
        if not self.listening.is_set():
            raise ConnectionRefused(RefusalReason.STOPPING)
        if connection.dialed is None:
            self.counters.accepted_connections += 1
            self._roster.begin_half_open(connection.ip, self._now_ms())

    def handle_identified(self, connection: Connection) -> None:
        """Judge a dialed peer before it learns who we are."""
        peer_id = connection.peer_id
        assert connection.dialed is not None, "only a dialed peer is identified before it knows us"
        self._schedule.note_identified(connection.dialed, peer_id)
        self._persistent_ids.clear()
        self._persistent_ids.update(self._schedule.persistent_ids)
        self.check_open(connection)
        self._roster.begin_awaiting(peer_id)

    def check_open(self, connection: Connection) -> None:
        """Judge an authenticated peer."""
        now_ms = self._now_ms()
        peer_id = connection.peer_id
        existing = self._open.get(peer_id)
        silent_ms = 0 if existing is None or existing.session is None else now_ms - existing.session.received_ms
        candidate = Candidate(peer_id, connection.direction, connection.ip)
        self._roster.check(candidate, silent_ms, is_banned=self._scores.is_banned(peer_id, now_ms))

    def handle_open(self, connection: Connection) -> None:
        """Take an authenticated peer in; a silent older connection with it gives way."""
        peer_id = connection.peer_id
        self._end_pending(connection, Stage.ADMISSION)
        self._close_peer(peer_id, RefusalReason.DUPLICATE)
        self._roster.add(Candidate(peer_id, connection.direction, connection.ip))
        self._open[peer_id] = connection
        self._exchange.add_peer(peer_id)
        if self._config.has_address_exchange:
            self._learn(connection)
        self._events(PeerConnected(peer_id, _describe(connection), connection.direction))

    def handle_message(self, connection: Connection, channel: Channel, payload: bytes) -> None:
        """Pass a message on, or answer it when it is about addresses."""
        peer_id = connection.peer_id
        if channel is not Channel.PEERS:
            self._events(MessageReceived(peer_id, channel, payload))
            return
        answer, learned = self._exchange.handle(peer_id, payload, self._now_ms(), self._sample)
        if answer:
            connection.send_frame(channel, wire.encode_frame(channel, answer))
        for address in learned:
            self.book.add(address, peer_id, self._now_ms())

    def handle_violation(self, connection: Connection, violation: PeerViolation) -> None:
        """Count a violation, and score the peer if it is known who it is."""
        self.counters.violations += 1
        if connection.peer_id:
            self.report(connection.peer_id, violation.reason, violation_weight(violation.reason))

    def handle_closed(self, connection: Connection, stage: Stage, reason: CloseReason) -> None:
        """Let a connection go."""
        if isinstance(reason, RefusalReason):
            self.counters.refused_connections += 1
        elif stage is not Stage.OPEN:
            self.counters.failed_handshakes += 1
        if connection.dialed is not None:
            self._note_dial_over(connection, connection.dialed, stage, reason)
        if stage is not Stage.OPEN:
            self._end_pending(connection, stage)
            return
        peer_id = connection.peer_id
        del self._open[peer_id]
        self._roster.remove(peer_id)
        self._exchange.remove_peer(peer_id)
        self._events(PeerDisconnected(peer_id, reason))

    def handle_lost(self, connection: Connection) -> None:
        """Forget a connection whose socket is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._drained.set()

    def _end_pending(self, connection: Connection, stage: Stage) -> None:
        if connection.dialed is None:
            self._roster.end_half_open(connection.ip)
        elif stage is Stage.ADMISSION:
            self._roster.end_awaiting(connection.peer_id)

    def _note_dial_over(self, connection: Connection, dialed: Address, stage: Stage, reason: CloseReason) -> None:
        now_ms = self._now_ms()
        if reason is RefusalReason.OWN_KEY:
            self._schedule.note_own(dialed)
        elif stage is Stage.OPEN:
            self._schedule.note_closed(dialed, now_ms - connection.changed_ms, now_ms, self._rng)
        else:
            self._schedule.note_failed(dialed, now_ms, self._rng)

    async def _drain(self) -> None:
        """Wait for the last sockets to be gone, but not for ever: the node is to end whatever a peer or the loop does."""
        if self._connections:
            try:
                async with asyncio.timeout(DRAIN_S):
                    await self._drained.wait()
            except TimeoutError:
                self._connections.clear()

    async def _maintain(self, tasks: asyncio.TaskGroup) -> None:
        ticked_ms = self._now_ms()
        while True:
            now_ms = self._now_ms()
            is_late = now_ms - ticked_ms > LATE_TICK_MS
            ticked_ms = now_ms
            for connection in list(self._connections):
                connection.tick(now_ms, is_late=is_late)
            for peer_id in self._exchange.take_due(now_ms):
                self._open[peer_id].send_frame(Channel.PEERS, wire.encode_frame(Channel.PEERS, encode_question()))
            for peer in self._take_due_dials(now_ms):
                tasks.create_task(self._dial(peer))
            await asyncio.sleep(TICK_MS / 1000)

    def _take_due_dials(self, now_ms: int) -> list[PeerAddress]:
        claims = (resolve_claim(connection.listen_claim, connection.ip) for connection in self._open.values())
        claimed = {address for address in claims if address is not None}
        outbound_count = self._roster.count_open(Direction.OUTBOUND)
        return self._schedule.take_due(now_ms, self._open.keys(), claimed, outbound_count, self._rng)

    async def _dial(self, peer: PeerAddress) -> None:
        self.counters.dials += 1
        address = peer.address
        handshake = self._build_handshake(Role.INITIATOR, peer.node_id)
        connection = Connection(self, self._settings, handshake, address)
        try:
            async with asyncio.timeout(self._config.dial_timeout_ms / 1000):
                await asyncio.get_running_loop().create_connection(lambda: connection, address.host, address.port)
        except (OSError, UnicodeError):  # a host name may be no name at all; a timeout is an OSError
            self.counters.failed_dials += 1
            if not self._give_up(connection):
                self._schedule.note_failed(address, self._now_ms(), self._rng)
        except asyncio.CancelledError:
            self._give_up(connection)
            raise

    def _give_up(self, connection: Connection) -> bool:
        """End a dial that came to nothing, and return whether there was a connection; its loop may never say that it is lost."""
        is_made = connection in self._connections
        if is_made:
            connection.close(DisconnectReason.HANDSHAKE_TIMEOUT)
            self.handle_lost(connection)
        return is_made

    def _build_inbound(self) -> Connection:
        return Connection(self, self._settings, self._build_handshake(Role.RESPONDER, ""))

    def _build_handshake(self, role: Role, expected_id: str) -> Handshake:
        return Handshake(role, self._local, os.urandom(KEY_BYTES), expected_id)

    def _close_peer(self, peer_id: str, reason: CloseReason) -> None:
        connection = self._open.get(peer_id)
        if connection is not None:
            connection.close(reason)

    def _learn(self, connection: Connection) -> None:
        claimed = resolve_claim(connection.listen_claim, connection.ip)
        allows_private = self._config.allows_private_addresses
        if claimed is not None and find_dialable(str(claimed), allows_private=allows_private) is not None:
            self.book.add(claimed, connection.peer_id, self._now_ms())

    def _sample(self, count: int) -> list[Address]:
        return self.book.sample(count, self._rng)

    def _build_info(self, peer_id: str, now_ms: int) -> PeerInfo:
        connection = self._open[peer_id]
        session = connection.session
        assert session is not None, "an open connection has a session"
        return PeerInfo(
            peer_id=peer_id,
            address=_describe(connection),
            direction=connection.direction,
            since_ms=connection.changed_ms,
            rtt_ms=session.rtt_ms,
            received_bytes=connection.received_bytes,
            sent_bytes=connection.sent_bytes,
            score=self._scores.points(peer_id, now_ms),
            last_report=self._scores.last_reason(peer_id),
            queued_messages=session.queue.message_count,
            dropped_messages=session.queue.dropped_count,
            is_persistent=peer_id in self._persistent_ids,
        )


def _describe(connection: Connection) -> str:
    """Return where a peer can be dialed, as far as we know."""
    if connection.dialed is not None:
        return str(connection.dialed)
    claim = resolve_claim(connection.listen_claim, connection.ip)
    return str(claim or Address(connection.ip, connection.port))
