"""Networks of honest nodes over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from p2p.channels import POLICIES, Channel
from p2p.config import NetworkConfig
from p2p.errors import ConfigError, ConfigReason, ConnectionRefused, DisconnectReason, RefusalReason
from p2p.events import Direction, MessageReceived, PeerConnected, PeerDisconnected
from p2p.network import Network
from p2p.peer_book import PeerBook
from tests.support.p2p_networks import TestNode, connected, node_id_of, now_ms, running
from tests.unit.p2p.builders import CHAIN_ID

USER_CHANNELS = [channel for channel in Channel if channel is not Channel.PEERS]


async def test_two_nodes_connect_and_talk_on_every_channel_both_ways() -> None:
    async with connected() as (listener, dialer):
        assert listener.events == [PeerConnected(dialer.node_id, dialer.network.listen_address, Direction.INBOUND)]
        assert dialer.events == [PeerConnected(listener.node_id, listener.network.listen_address, Direction.OUTBOUND)]
        for channel in USER_CHANNELS:
            assert dialer.network.send(listener.node_id, channel, b"to %d" % channel)
            assert listener.network.send(dialer.node_id, channel, b"from %d" % channel)
        await listener.until(lambda: len(listener.messages) == 5)
        await dialer.until(lambda: len(dialer.messages) == 5)
        assert listener.messages == [MessageReceived(dialer.node_id, c, b"to %d" % c) for c in USER_CHANNELS]
        assert dialer.messages == [MessageReceived(listener.node_id, c, b"from %d" % c) for c in USER_CHANNELS]


@pytest.mark.parametrize("channel", USER_CHANNELS)
async def test_the_longest_message_of_each_channel_arrives_and_one_byte_more_is_not_sent(channel: Channel) -> None:
    limit = POLICIES[channel].message_bytes_max
    async with connected() as (listener, dialer):
        sent = [b"a" * (limit - 1), b"b" * limit]
        for payload in sent:
            assert dialer.network.send(listener.node_id, channel, payload)
        assert not dialer.network.send(listener.node_id, channel, b"c" * (limit + 1))
        assert not dialer.network.send(listener.node_id, channel, b"")
        assert dialer.network.send(listener.node_id, channel, b"end")
        await listener.until(lambda: len(listener.messages) == 3)
        assert [message.payload for message in listener.messages] == [*sent, b"end"]
        assert dialer.network.counters.dropped_messages == 1
        assert listener.disconnects == []


async def test_four_nodes_that_dial_each_other_form_a_mesh_with_one_connection_per_pair() -> None:
    nodes = [TestNode(number) for number in range(1, 5)]
    async with AsyncExitStack() as stack:
        for index, node in enumerate(nodes):
            peers = tuple(other.address for other in nodes[:index])
            nodes[index] = node = TestNode(index + 1, persistent_peers=peers)
            await stack.enter_async_context(running(node))
        for node in nodes:
            await node.until(lambda node=node: len(node.network.peers) == 3)
        assert nodes[0].network.broadcast(Channel.CONSENSUS, b"to all") == 3
        assert nodes[1].network.broadcast(Channel.STATUS, b"but one", except_peer=nodes[0].node_id) == 2
        for node in nodes[2:]:
            await node.until(lambda node=node: len(node.messages) == 2)
            assert {message.payload for message in node.messages} == {b"to all", b"but one"}
        await nodes[1].until(lambda: nodes[1].messages)
        assert nodes[0].messages == []
        assert all(len(node.connects) == 3 and not node.disconnects for node in nodes)


@pytest.mark.parametrize("attempt", range(5))
async def test_simultaneous_dials_leave_one_connection_that_both_ends_agree_on(attempt: int) -> None:
    """Given two nodes that are each other's persistent peer, when they start at once, then one connection stays."""
    probes = TestNode(1), TestNode(2)
    async with running(*probes):
        ports = [int(probe.network.listen_address.rsplit(":", 1)[1]) for probe in probes]
        addresses = [probe.address for probe in probes]
    first = TestNode(1, listen_port=ports[0], persistent_peers=(addresses[1],))
    second = TestNode(2, listen_port=ports[1], persistent_peers=(addresses[0],))
    async with running(first, second):
        await first.until(lambda: first.peer_ids == {second.node_id})
        await second.until(lambda: second.peer_ids == {first.node_id})
        directions = {first.network.peers[0].direction, second.network.peers[0].direction}
        assert directions == {Direction.INBOUND, Direction.OUTBOUND}
        assert first.network.send(second.node_id, Channel.STATUS, b"hello")
        await second.until(lambda: second.messages)
        assert first.disconnects == second.disconnects == []


async def test_a_consensus_message_overtakes_a_queue_of_transactions() -> None:
    slow = POLICIES | {
        Channel.TRANSACTIONS: msgspec.structs.replace(
            POLICIES[Channel.TRANSACTIONS], rate_bytes_per_ms=2_000, burst_bytes=300_000, queue_messages_max=100
        )
    }
    async with connected({"policies": slow}, {"policies": slow}) as (listener, dialer):
        for number in range(20):
            assert dialer.network.send(listener.node_id, Channel.TRANSACTIONS, bytes([number]) * 100_000)
        await listener.until(lambda: listener.messages)
        assert dialer.network.send(listener.node_id, Channel.CONSENSUS, b"vote")
        await listener.until(lambda: any(m.channel is Channel.CONSENSUS for m in listener.messages))
        assert len(listener.messages) < 15
        await listener.until(lambda: len(listener.messages) == 21)
        numbers = [m.payload[0] for m in listener.messages if m.channel is Channel.TRANSACTIONS]
        assert numbers == list(range(20))


async def test_a_node_that_stops_is_found_again_when_it_is_back() -> None:
    listener = TestNode(1)
    async with running(listener):
        port = int(listener.network.listen_address.rsplit(":", 1)[1])
        dialer = TestNode(2, persistent_peers=(listener.address,), reconnect_max_ms=200)
        stack = AsyncExitStack()
        await stack.enter_async_context(running(dialer))
        await dialer.until(lambda: dialer.network.peers)
    async with stack:
        await dialer.until(lambda: dialer.disconnects)
        assert dialer.disconnects == [PeerDisconnected(listener.node_id, DisconnectReason.CLOSED_BY_PEER)]
        assert listener.disconnects == [PeerDisconnected(dialer.node_id, DisconnectReason.STOPPED)]
        again = TestNode(1, listen_port=port)
        async with running(again):
            await dialer.until(lambda: dialer.network.peers)
            await again.until(lambda: again.network.peers)
            assert len(dialer.connects) == 2


async def test_blocked_peers_stay_away_until_they_are_free_again() -> None:
    async with connected() as (listener, dialer):
        listener.network.block(frozenset([dialer.node_id]))
        assert listener.disconnects == [PeerDisconnected(dialer.node_id, RefusalReason.BLOCKED)]
        await dialer.until(lambda: dialer.disconnects)
        assert dialer.disconnects == [PeerDisconnected(listener.node_id, RefusalReason.BLOCKED)]
        refused = listener.network.counters.refused_connections
        await dialer.until(lambda: listener.network.counters.refused_connections > refused + 1)
        assert not listener.network.send(dialer.node_id, Channel.CONSENSUS, b"x")
        assert (len(listener.connects), len(dialer.connects)) == (1, 1)
        listener.network.block(frozenset())
        await listener.until(lambda: listener.network.peers)
        await dialer.until(lambda: dialer.network.peers)


async def test_a_banned_peer_is_cut_off_and_refused() -> None:
    async with connected() as (listener, dialer):
        listener.network.report(dialer.node_id, "nonsense", 40)
        (peer,) = listener.network.peers
        assert (peer.score, peer.last_report) == (40, "nonsense")
        listener.network.report(dialer.node_id, "more nonsense", 60)
        assert listener.disconnects == [PeerDisconnected(dialer.node_id, RefusalReason.BANNED)]
        await dialer.until(lambda: listener.network.counters.refused_connections >= 2)
        assert listener.network.peers == ()
        assert listener.network.counters.bans == 1


async def test_disconnecting_is_a_wish_that_the_dialer_may_undo() -> None:
    async with connected() as (listener, dialer):
        listener.network.disconnect(dialer.node_id)
        listener.network.disconnect("nobody")
        assert listener.disconnects == [PeerDisconnected(dialer.node_id, DisconnectReason.REQUESTED)]
        await listener.until(lambda: listener.network.peers)


async def test_another_chain_is_not_talked_to() -> None:
    listener = TestNode(1, chain_id=b"a" * 32)
    async with running(listener):
        dialer = TestNode(2, chain_id=b"b" * 32, persistent_peers=(listener.address,))
        async with running(dialer):
            await dialer.until(lambda: dialer.network.counters.refused_connections >= 2)
            assert listener.events == dialer.events == []
            assert listener.network.counters.violations == dialer.network.counters.violations == 0


async def test_a_node_that_dials_itself_notices_and_never_does_it_again() -> None:
    probe = TestNode(1)
    async with running(probe):
        address = probe.network.listen_address
    node = TestNode(1, listen_port=int(address.rsplit(":", 1)[1]), persistent_peers=(address,))
    async with running(node):
        await node.until(lambda: node.network.counters.refused_connections)
        started_ms = now_ms()
        await node.until(lambda: now_ms() > started_ms + 500)
        assert node.network.counters.dials == 1
        assert node.events == []


async def test_inbound_places_are_limited_and_persistent_peers_need_none() -> None:
    listener = TestNode(1, inbound_max=1, persistent_peers=(f"{node_id_of(4)}@127.0.0.1:1",))
    async with running(listener):
        dialers = [TestNode(number, persistent_peers=(listener.address,)) for number in (2, 3, 4)]
        async with running(dialers[0]):
            await listener.until(lambda: listener.network.peers)
            async with running(*dialers[1:]):
                await listener.until(lambda: node_id_of(4) in listener.peer_ids)
                await listener.until(lambda: listener.network.counters.refused_connections >= 1)
                assert listener.peer_ids == {node_id_of(2), node_id_of(4)}
                assert dialers[1].connects == []


async def test_addresses_spread_from_peer_to_peer() -> None:
    settings = {"has_address_exchange": True, "allows_private_addresses": True}
    first = TestNode(1, **settings)
    async with running(first):
        second = TestNode(2, persistent_peers=(first.address,), **settings)
        async with running(second):
            await first.until(lambda: first.network.peers)
            third = TestNode(3, seed_addresses=(first.network.listen_address,), **settings)
            async with running(third):
                await third.until(lambda: third.peer_ids == {first.node_id, second.node_id})
                again = PeerBook.decode(third.network.book.encode())
                assert len(again) >= 2


async def test_pings_measure_the_round_trip_and_keep_an_idle_connection_open() -> None:
    settings = {"ping_interval_ms": 100, "idle_timeout_ms": 400}
    async with connected(settings, settings) as (listener, dialer):
        started_ms = now_ms()
        await listener.until(lambda: now_ms() > started_ms + 900)
        assert listener.disconnects == dialer.disconnects == []
        (peer,) = listener.network.peers
        assert 0 <= peer.rtt_ms < 400
        assert peer.received_bytes > 0
        assert peer.sent_bytes > 0
        assert (peer.queued_messages, peer.dropped_messages, peer.is_persistent) == (0, 0, False)
        assert dialer.network.peers[0].is_persistent


async def test_a_congested_node_reads_no_transactions_until_it_is_free() -> None:
    is_busy = False
    async with connected({"is_congested": lambda: is_busy}) as (listener, dialer):
        is_busy = True
        for number in range(100):
            assert dialer.network.send(listener.node_id, Channel.TRANSACTIONS, bytes([number]) * 40_000)
        await listener.until(lambda: listener.network.counters.read_pauses)
        assert len(listener.messages) < 20
        is_busy = False
        await listener.until(lambda: len(listener.messages) == 100)
        assert listener.disconnects == []


async def test_events_may_send_and_disconnect_at_once() -> None:
    async with connected() as (listener, dialer):
        note = listener.network._events

        def answer(event: object) -> None:
            note(event)
            if isinstance(event, MessageReceived):
                listener.network.send(event.peer_id, Channel.STATUS, b"echo")
                listener.network.disconnect(event.peer_id)

        listener.network._events = answer
        for payload in (b"one", b"two"):
            dialer.network.send(listener.node_id, Channel.STATUS, payload)
        await listener.until(lambda: listener.disconnects)
        assert [message.payload for message in listener.messages] == [b"one"]


async def test_a_taken_port_is_an_error_of_the_configuration() -> None:
    node = TestNode(1)
    async with running(node):
        port = int(node.network.listen_address.rsplit(":", 1)[1])
        other = Network(NetworkConfig(listen_port=port), bytes(32), CHAIN_ID, lambda _: None, now_ms)
        with pytest.raises(ConfigError) as caught:
            await other.run()
        assert caught.value.reason is ConfigReason.ADDRESS_UNAVAILABLE


async def test_a_name_that_cannot_be_dialed_costs_only_a_counter() -> None:
    node = TestNode(1, persistent_peers=("a..b:1", "127.0.0.1:1"))
    async with running(node):
        await node.until(lambda: node.network.counters.failed_dials >= 4)
        assert node.events == []


async def test_stopping_leaves_no_socket_and_no_task() -> None:
    async with connected() as (listener, dialer):
        pass
    assert listener.network.peers == dialer.network.peers == ()
    assert listener.network._connections == dialer.network._connections == set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_connection_that_comes_while_the_network_stops_is_not_taken_in() -> None:
    node = TestNode(1)
    async with running(node):
        late = node.network._build_inbound()
    with pytest.raises(ConnectionRefused) as caught:
        node.network.handle_made(late)
    assert caught.value.reason is RefusalReason.STOPPING
