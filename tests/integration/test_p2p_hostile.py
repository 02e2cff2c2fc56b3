"""Peers that break the rules, over real sockets. Nothing that they do may touch anybody else."""

from __future__ import annotations

import asyncio

import pytest

from p2p import codec, wire
from p2p.channels import POLICIES, Channel
from p2p.control import Ping, encode_control_frame
from p2p.errors import DisconnectReason, RefusalReason, ViolationReason
from p2p.events import MessageReceived
from p2p.exchange import TellAddresses, encode_question
from tests.support.p2p_networks import TestNode, connected, dial_raw, node_id_of, now_ms, raw_peer, running
from tests.unit.p2p.builders import build_handshakes, take_all

RAW = 7
SHORT = {"handshake_timeout_ms": 200}


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        try:
            return await reader.read(-1)
        except ConnectionResetError:
            return b""


async def check_alive(node: TestNode) -> None:
    """Check that an honest peer still gets through."""
    async with raw_peer(8, node) as honest:
        honest.send(Channel.CONSENSUS, b"still there?")
        await node.until(lambda: MessageReceived(node_id_of(8), Channel.CONSENSUS, b"still there?") in node.messages)


async def test_a_connection_that_says_nothing_is_cut_at_the_deadline() -> None:
    node = TestNode(1, **SHORT)
    async with running(node):
        started_ms = now_ms()
        reader, writer = await dial_raw(node.address)
        assert await read_to_end(reader) == b""
        assert 150 <= now_ms() - started_ms < 2_000
        writer.close()
        assert node.network.counters.failed_handshakes == 1
        assert node.events == []
        await check_alive(node)


async def test_a_handshake_that_trickles_is_cut_at_the_same_deadline() -> None:
    node = TestNode(1, **SHORT)
    async with running(node):
        reader, writer = await dial_raw(node.address)
        opening = build_handshakes()[0].start()
        started_ms = now_ms()
        end = asyncio.ensure_future(read_to_end(reader))
        for byte in opening:
            writer.write(bytes([byte]))
            done, _ = await asyncio.wait([end], timeout=0.05)
            if done:
                break
        assert await end == b""
        assert now_ms() - started_ms < 1_000
        writer.close()
        await check_alive(node)


async def test_two_hundred_connections_from_one_ip_hold_no_more_than_their_share() -> None:
    node = TestNode(1, half_open_per_ip_max=10, handshake_timeout_ms=500)
    async with running(node):
        streams = [await dial_raw(node.address) for _ in range(200)]
        await node.until(lambda: node.network.counters.accepted_connections == 200)
        assert len(node.network._connections) <= 10
        assert node.network.counters.refused_connections == 190
        for reader, writer in streams:
            assert await read_to_end(reader) == b""
            writer.close()
        started_ms = now_ms()
        await node.until(lambda: now_ms() > started_ms + 1_000)
        await check_alive(node)


@pytest.mark.parametrize(
    "opening", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b"\xff" * 70_000, b"\x00\x20" + bytes(32)]
)
async def test_garbage_instead_of_a_handshake_closes_the_connection(opening: bytes) -> None:
    node = TestNode(1)
    async with running(node):
        reader, writer = await dial_raw(node.address)
        writer.write(opening)
        await read_to_end(reader)
        writer.close()
        assert node.network.counters.violations == 1
        assert node.events == []
        await check_alive(node)


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"\xff" * 70_000, ViolationReason.BAD_CIPHERTEXT),
        (b"\x00\x00", ViolationReason.RECORD_LENGTH),
        (b"\x00\x11" + b"x" * 17, ViolationReason.BAD_CIPHERTEXT),
    ],
)
async def test_garbage_after_the_handshake_is_scored_and_closes_only_this_connection(
    garbage: bytes, reason: ViolationReason
) -> None:
    async with connected() as (node, honest), raw_peer(RAW, node) as raw:
        raw.writer.write(garbage)
        await raw.closed()
        assert [(event.peer_id, event.reason) for event in node.disconnects] == [(node_id_of(RAW), reason)]
        assert honest.network.send(node.node_id, Channel.CONSENSUS, b"vote")
        await node.until(lambda: node.messages)


async def test_a_replayed_record_is_noticed_and_its_message_arrives_once() -> None:
    node = TestNode(1)
    async with running(node), raw_peer(RAW, node) as raw:
        raw.writer.write(raw.send(Channel.CONSENSUS, b"vote"))
        await raw.closed()
        assert [message.payload for message in node.messages] == [b"vote"]
        assert node.disconnects[0].reason is ViolationReason.BAD_CIPHERTEXT


@pytest.mark.parametrize("channel", list(Channel))
async def test_one_byte_above_a_channels_limit_closes_the_connection(channel: Channel) -> None:
    node = TestNode(1)
    async with running(node), raw_peer(RAW, node) as raw:
        raw.send(channel, b"x" * (POLICIES[channel].message_bytes_max + 1))
        await raw.closed()
        assert node.messages == []
        assert node.disconnects[0].reason is ViolationReason.FRAME_LENGTH


@pytest.mark.parametrize(
    ("plaintext", "reason"),
    [
        (b"\x07", ViolationReason.UNKNOWN_RECORD_KIND),
        (b"\x00" + wire.encode_frame(77, b"x"), ViolationReason.UNKNOWN_CHANNEL),
        (b"\x02\x00x", ViolationReason.FRAME_ORDER),
        (b"\x00" + wire.encode_frame(255, b"x"), ViolationReason.MESSAGE_MALFORMED),
        (b"\x00" + wire.encode_frame(5, b"x"), ViolationReason.MESSAGE_MALFORMED),
        (b"\x00" + wire.encode_frame(5, codec.encode(TellAddresses([]))), ViolationReason.UNASKED),
        (b"\x00" + wire.encode_frame(5, encode_question()) * 2, ViolationReason.REQUESTED_TOO_OFTEN),
        (b"\x00" + encode_control_frame(Ping(1)) * 100, ViolationReason.CONTROL_FLOOD),
    ],
)
async def test_each_broken_rule_closes_the_connection_with_its_reason(
    plaintext: bytes, reason: ViolationReason
) -> None:
    node = TestNode(1)
    async with running(node), raw_peer(RAW, node) as raw:
        raw.writer.write(raw.session._records_out.write(plaintext))
        await raw.closed()
        assert [event.reason for event in node.disconnects] == [reason]
        assert node.network.counters.violations == 1
        await check_alive(node)


async def test_repeated_violations_end_in_a_ban_that_the_peer_is_told() -> None:
    node = TestNode(1)
    async with running(node):
        for _ in range(2):
            async with raw_peer(RAW, node) as raw:
                assert raw.session.close_reason is None
                raw.writer.write(raw.session._records_out.write(b"\x07"))
                await raw.closed()
        async with raw_peer(RAW, node) as raw:
            assert raw.session.close_reason is RefusalReason.BANNED
        assert node.network.counters.bans == 1


async def test_the_responder_refuses_another_chain_even_when_the_initiator_does_not_care() -> None:
    node = TestNode(1)
    async with running(node):
        initiator, _ = build_handshakes()
        object.__setattr__(initiator, "_identify", lambda *_: None)
        initiator._local = initiator._local.__class__(
            node_key=initiator._local.node_key, chain_id=b"z" * 32, static_private=initiator._local.static_private
        )
        reader, writer = await dial_raw(node.address)
        writer.write(initiator.start())
        while not initiator.is_complete:
            writer.write(initiator.receive(await reader.read(1_024)))
        assert await read_to_end(reader) == b""
        writer.close()
        assert node.events == []
        assert (node.network.counters.refused_connections, node.network.counters.violations) == (1, 0)


async def test_a_second_connection_of_one_peer_is_refused_while_the_first_lives() -> None:
    node = TestNode(1)
    async with running(node), raw_peer(RAW, node) as first:
        async with raw_peer(RAW, node) as second:
            assert second.session.close_reason is RefusalReason.DUPLICATE
        first.send(Channel.STATUS, b"still open")
        await node.until(lambda: node.messages)
        assert len(node.connects) == 1


async def test_a_peer_that_answers_no_ping_is_idle() -> None:
    node = TestNode(1, ping_interval_ms=50, idle_timeout_ms=200)
    async with running(node), raw_peer(RAW, node) as raw:
        await raw.closed()
        assert [event.reason for event in node.disconnects] == [DisconnectReason.IDLE]


async def test_a_peer_that_does_not_read_costs_bounded_memory_and_then_its_connection() -> None:
    node = TestNode(1, write_stall_timeout_ms=300)
    async with running(node), raw_peer(RAW, node) as raw:
        raw.writer.transport.pause_reading()
        queued = 0
        for _ in range(200):
            queued += node.network.send(node_id_of(RAW), Channel.SYNC, b"x" * 1_000_000)
            await asyncio.sleep(0)
        policy = POLICIES[Channel.SYNC]
        assert node.network._settings.budget.used_bytes <= policy.queue_bytes_max + (1 << 20)
        assert node.network.peers[0].dropped_messages == 200 - queued
        assert 200 - queued > 100
        while not node.disconnects:
            raw.writer.write(b"")
            ping = encode_control_frame(Ping(1))
            raw.session.queue.add_control(ping)
            raw.writer.write(take_all(raw.session, now_ms()))
            started_ms = now_ms()
            await node.until(lambda started_ms=started_ms: node.disconnects or now_ms() > started_ms + 300)
        assert [event.reason for event in node.disconnects] == [DisconnectReason.WRITE_STALLED]
        assert node.network._settings.budget.used_bytes == 0


async def test_a_flood_is_read_at_the_permitted_rate_and_others_are_served_meanwhile() -> None:
    node = TestNode(1)
    async with running(node), raw_peer(RAW, node) as raw:
        flood = raw.session._records_out
        for _ in range(40):
            raw.writer.write(flood.write(b"\x00" + wire.encode_frame(1, b"x" * 60_000)))
        await node.until(lambda: node.network.counters.read_pauses)
        await check_alive(node)
        await node.until(lambda: sum(m.channel is Channel.STATUS for m in node.messages) == 40)
        assert node.disconnects[0].peer_id == node_id_of(8)
        assert len(node.disconnects) == 1


async def test_a_flood_of_tiny_messages_ends_in_a_ban_and_delays_nobody() -> None:
    """Given a peer that sends votes of one byte as fast as the line takes them, then it is read slowly, and soon banned."""
    node = TestNode(1)
    async with running(node), raw_peer(RAW, node) as peer:
        reading = asyncio.ensure_future(peer.closed())
        batch = b"\x00" + wire.encode_frame(Channel.CONSENSUS, b"x") * 10_000
        await check_alive(node)
        while not reading.done():
            peer.writer.write(peer.session._records_out.write(batch))
            await asyncio.wait({reading}, timeout=0.01)
            if peer.writer.transport.get_write_buffer_size() > 1 << 20:
                await asyncio.wait({reading}, timeout=0.2)
        await reading
        assert [gone.reason for gone in node.disconnects if gone.peer_id == node_id_of(RAW)] == [RefusalReason.BANNED]
        assert sum(message.peer_id == node_id_of(RAW) for message in node.messages) < 300_000
        await node.until(lambda: not node.network.peers)
        await check_alive(node)


async def test_a_peer_that_sends_much_in_order_is_not_reported() -> None:
    """Given a sender that paces itself, when it has more votes than its rate permits, then all arrive and nobody is blamed."""
    async with connected() as (listener, dialer):
        sent = 0
        while sent < 4_000:
            sent += dialer.network.send(listener.node_id, Channel.CONSENSUS, sent.to_bytes(2, "big"))
        await listener.until(lambda: len(listener.messages) == sent)
        assert [int.from_bytes(message.payload, "big") for message in listener.messages] == list(range(sent))
        assert listener.network.counters.violations == 0
