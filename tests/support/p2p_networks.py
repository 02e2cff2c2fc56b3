"""Real networks on loopback, and a peer that speaks the protocol by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec

from p2p.channels import POLICIES, Channel, ChannelPolicy, QueueBudget
from p2p.config import NetworkConfig
from p2p.counters import NetworkCounters
from p2p.events import MessageReceived, NetworkEvent, PeerConnected, PeerDisconnected
from p2p.handshake import Handshake
from p2p.network import Network
from p2p.noise import Role
from p2p.session import KeepAlive, Session
from p2p.wire import encode_frame
from tests.unit.p2p.builders import CHAIN_ID, build_identity, take_all

WAIT_S = 10.0
"""A test that waits longer than this has failed."""


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def node_id_of(number: int) -> str:
    return build_identity(number).node_id


class TestNode:
    """A network and everything that it told its node."""

    __test__ = False

    def __init__(
        self,
        number: int,
        *,
        chain_id: bytes = CHAIN_ID,
        policies: Mapping[Channel, ChannelPolicy] = POLICIES,
        is_congested: Callable[[], bool] = lambda: False,
        **settings: object,
    ) -> None:
        self.events: list[NetworkEvent] = []
        self._changed = asyncio.Event()
        self.network = Network(
            NetworkConfig(**({"reconnect_min_ms": 20} | settings)),
            bytes([number]) * 32,
            chain_id,
            self._note,
            now_ms,
            is_congested=is_congested,
            policies=policies,
        )
        self.node_id = self.network.node_id

    @property
    def address(self) -> str:
        return f"{self.node_id}@{self.network.listen_address}"

    @property
    def peer_ids(self) -> set[str]:
        return {peer.peer_id for peer in self.network.peers}

    @property
    def messages(self) -> list[MessageReceived]:
        return [event for event in self.events if isinstance(event, MessageReceived)]

    @property
    def connects(self) -> list[PeerConnected]:
        return [event for event in self.events if isinstance(event, PeerConnected)]

    @property
    def disconnects(self) -> list[PeerDisconnected]:
        return [event for event in self.events if isinstance(event, PeerDisconnected)]

    async def until(self, is_true: Callable[[], object]) -> None:
        """Wait for something that an event of this node or a tick of the clock brings about."""
        async with asyncio.timeout(WAIT_S):
            while not is_true():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    def _note(self, event: NetworkEvent) -> None:
        self.events.append(event)
        self._changed.set()


@asynccontextmanager
async def running(*nodes: TestNode) -> AsyncIterator[None]:
    """Run these networks for the time of the block."""
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(node.network.run()) for node in nodes]
        try:
            for node in nodes:
                await node.network.listening.wait()
            yield
        finally:
            for task in started:
                task.cancel()


@asynccontextmanager
async def connected(
    first: dict[str, object] | None = None, second: dict[str, object] | None = None
) -> AsyncIterator[tuple[TestNode, TestNode]]:
    """Run two networks, the second of which dials the first, once they are connected."""
    listener = TestNode(1, **(first or {}))
    async with running(listener):
        dialer = TestNode(2, persistent_peers=(listener.address,), **(second or {}))
        async with running(dialer):
            await listener.until(lambda: listener.connects)
            await dialer.until(lambda: dialer.connects)
            yield listener, dialer


class RawPeer:
    """A peer made of a socket, a handshake and a session, which a test misuses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session) -> None:
        self.reader = reader
        self.writer = writer
        self.session = session

    def send(self, channel: int, payload: bytes) -> bytes:
        """Send a message as an honest peer does, and return its records."""
        self.session.queue.add(Channel(channel), encode_frame(channel, payload))
        stream = take_all(self.session, now_ms())
        self.writer.write(stream)
        return stream

    async def closed(self) -> bytes:
        """Wait until the other end closes, and return what it still sent."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""

    async def receive(self) -> list[tuple[int, bytes]]:
        """Return the next messages, or none when the other end closed."""
        async with asyncio.timeout(WAIT_S):
            while True:
                received = await self.reader.read(1 << 16)
                messages = list(self.session.receive(received, now_ms()))
                if messages or not received:
                    return messages


async def dial_raw(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.rsplit("@", 1)[-1].split(":")
    return await asyncio.open_connection(host, int(port))


@asynccontextmanager
async def raw_peer(number: int, node: TestNode, chain_id: bytes = CHAIN_ID) -> AsyncIterator[RawPeer]:
    """Connect a raw peer up to its admission, or to the refusal that comes instead."""
    reader, writer = await dial_raw(node.address)
    try:
        identity = build_identity(number, chain_id)
        handshake = Handshake(Role.INITIATOR, identity, bytes([number + 50]) * 32)
        writer.write(handshake.start())
        async with asyncio.timeout(WAIT_S):
            while not handshake.is_complete:
                received = await reader.read(1 << 16)
                if not received:
                    raise ConnectionResetError("closed during the handshake")
                writer.write(handshake.receive(received))
            outcome, rest = handshake.finish()
            lifted = {
                channel: msgspec.structs.replace(policy, message_bytes_max=1 << 24, queue_bytes_max=1 << 30)
                for channel, policy in POLICIES.items()
            }
            session = Session(Role.INITIATOR, outcome, lifted, KeepAlive(), QueueBudget(), NetworkCounters(), now_ms())
            list(session.receive(rest, now_ms()))
            while not session.is_admitted and session.close_reason is None:
                received = await reader.read(1 << 16)
                assert received, "closed without a word"
                list(session.receive(received, now_ms()))
        yield RawPeer(reader, writer, session)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
