"""Laws of what waits for the one consumer: order, turns of peers, shares of lanes, room."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from consensus.inputs import TimerFired, TimerKind
from node import happenings as happenings_module
from node.happenings import (
    MESSAGE_COST_BYTES,
    OWED_US_MAX,
    OWED_US_MIN,
    OWN_BYTES,
    UPPER_SHARE,
    WAITING_BYTES_MAX,
    Happenings,
    Tick,
)
from p2p.channels import POLICIES, Channel
from p2p.errors import DisconnectReason
from p2p.events import Direction, MessageReceived, PeerConnected, PeerDisconnected

WAIT_S = 10.0
TIMER = TimerFired(TimerKind.VIEW, 0, 1)
URGENT = (Channel.CONSENSUS, Channel.STATUS)
CHANNELS = tuple(channel for channel in Channel if channel is not Channel.PEERS)
BULK = tuple(channel for channel in CHANNELS if channel not in URGENT and channel is not Channel.BODIES)
MIB = 1 << 20


def message(channel, peer="a", payload=b""):
    return MessageReceived(peer, channel, payload)


def filled(*entries):
    happenings = Happenings()
    for entry in entries:
        happenings.put(entry)
    return happenings


def drain(happenings):
    """Take everything."""
    return list(iter(happenings.take, None))


def test_empty_queue_gives_nothing():
    assert (Happenings().take(), len(Happenings())) == (None, 0)


def test_entries_of_one_peer_and_lane_come_in_their_order():
    entries = [message(Channel.CONSENSUS, payload=bytes([number])) for number in range(3)]
    assert drain(filled(*entries)) == entries


def test_the_nodes_own_goes_before_votes_those_before_bodies_and_those_before_all_else():
    bulk = [message(channel) for channel in BULK]
    bodies = [message(Channel.BODIES)]
    votes = [message(channel) for channel in URGENT]
    own = [
        PeerConnected("a", "127.0.0.1:1", Direction.INBOUND),
        TIMER,
        Tick(),
        PeerDisconnected("b", DisconnectReason.STOPPED),
    ]
    assert drain(filled(*bulk, *bodies, *votes, *own)) == [*own, *votes, *bodies, *bulk]


@pytest.mark.parametrize("channel", CHANNELS)
def test_peers_take_turns_so_that_a_flood_delays_another_peer_by_one_message(channel):
    flood = [message(channel, "flooder", bytes([number])) for number in range(100)]
    honest = [message(channel, "honest", bytes([number])) for number in range(2)]
    taken = drain(filled(*flood, *honest))
    assert taken[:4] == [flood[0], honest[0], flood[1], honest[1]]
    assert taken[4:] == flood[2:]


def test_a_peer_that_had_its_turn_waits_for_all_others():
    happenings = filled(message(Channel.SYNC, "a"), message(Channel.SYNC, "b"))
    assert happenings.take() == message(Channel.SYNC, "a")
    for _ in range(2):
        happenings.put(message(Channel.SYNC, "a"))
    happenings.put(message(Channel.SYNC, "c"))
    assert [entry.peer_id for entry in drain(happenings)] == ["b", "a", "c", "a"]


def run_under_flood(happenings, channels, total_us, cost_us):
    """Consume while these channels never run dry; return the time that each got."""
    spent = Counter()
    while sum(spent.values()) < total_us:
        for channel in channels:
            happenings.put(message(channel))
        taken = happenings.take()
        happenings.charge(cost_us)
        spent[taken.channel] += cost_us
    return spent


@pytest.mark.parametrize("cost_us", [20, 700, 9_000])
@pytest.mark.parametrize("lower", [Channel.BODIES, *BULK])
def test_a_lane_that_waits_gets_its_share_however_many_votes_there_are(lower, cost_us):
    spent = run_under_flood(Happenings(), (Channel.CONSENSUS, lower), 2_000_000, cost_us)
    assert spent[lower] * (UPPER_SHARE + 1) >= 0.9 * sum(spent.values())
    assert spent[Channel.CONSENSUS] > spent[lower]


def test_no_lane_is_shut_out_when_all_are_flooded():
    channels = (Channel.CONSENSUS, Channel.BODIES, Channel.TRANSACTIONS)
    spent = run_under_flood(Happenings(), channels, 2_000_000, 50)
    shares = {channel: spent[channel] * 100 // sum(spent.values()) for channel in channels}
    assert shares[Channel.CONSENSUS] >= 50
    assert min(shares.values()) >= 15


def test_votes_that_come_together_are_handled_together():
    """Given bulk that waits, when less than the owed time passes with votes, then nothing goes between them."""
    votes = [message(Channel.CONSENSUS, payload=bytes([number])) for number in range(10)]
    happenings = filled(message(Channel.SYNC), *votes)
    taken = []
    while (entry := happenings.take()) is not None:
        taken.append(entry)
        happenings.charge(OWED_US_MIN * UPPER_SHARE // 11)
    assert taken == [*votes, message(Channel.SYNC)]


def test_a_long_vote_does_not_let_the_other_lanes_keep_the_next_ones_waiting_for_long():
    votes = [message(Channel.CONSENSUS)] * 2
    happenings = filled(*votes, *[message(Channel.SYNC)] * 100)
    assert happenings.take().channel is Channel.CONSENSUS
    happenings.charge(10_000_000)
    waited_us = 0
    while happenings.take().channel is Channel.SYNC:
        happenings.charge(100)
        waited_us += 100
    assert waited_us <= OWED_US_MAX


def test_a_lane_that_ran_dry_is_owed_nothing():
    happenings = filled(message(Channel.CONSENSUS), message(Channel.SYNC))
    happenings.take()
    happenings.charge(10_000_000)
    assert happenings.take().channel is Channel.SYNC
    for entry in (message(Channel.SYNC), message(Channel.CONSENSUS)):
        happenings.put(entry)
    assert happenings.take().channel is Channel.CONSENSUS


def test_the_nodes_own_work_is_charged_to_nobody():
    happenings = filled(TIMER, message(Channel.CONSENSUS), message(Channel.SYNC))
    happenings.take()
    happenings.charge(10_000_000)
    assert happenings.take().channel is Channel.CONSENSUS


def test_every_entry_counts():
    happenings = filled(TIMER, message(Channel.BODIES), message(Channel.TRANSACTIONS))
    lengths = [len(happenings)]
    while happenings.take() is not None:
        lengths.append(len(happenings))
    assert lengths == [3, 2, 1, 0]


def test_peers_are_read_no_further_while_the_queue_is_long(monkeypatch):
    monkeypatch.setattr(happenings_module, "QUEUE_MAX", 2)
    happenings = filled(TIMER, Tick())
    assert not happenings.is_long
    happenings.put(message(Channel.TRANSACTIONS))
    assert happenings.is_long
    happenings.take()
    assert not happenings.is_long


def room_for(channel, payload=b""):
    """Return how many such messages of one peer may wait."""
    return WAITING_BYTES_MAX[channel] // (len(payload) + MESSAGE_COST_BYTES)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("payload", [b"", b"x" * 100_000], ids=["tiny", "large"])
def test_messages_of_a_peer_with_too_much_waiting_on_a_channel_are_dropped_and_no_others(channel, payload):
    room = room_for(channel, payload)
    happenings = filled(*[message(channel, payload=payload)] * (room + 2))
    assert (len(happenings), happenings.dropped) == (room, {channel: 2})
    others = [message(channel, "b"), *(message(other) for other in CHANNELS if other is not channel), TIMER]
    for entry in others:
        happenings.put(entry)
    assert (len(happenings), happenings.dropped) == (room + len(others), {channel: 2})


@pytest.mark.parametrize("channel", CHANNELS)
def test_messages_are_taken_again_as_soon_as_there_is_place(channel):
    happenings = filled(*[message(channel)] * (room_for(channel) + 1))
    drain(happenings)
    happenings.put(message(channel, payload=b"next"))
    assert drain(happenings) == [message(channel, payload=b"next")]
    assert happenings.dropped == {channel: 1}


@pytest.mark.parametrize("channel", CHANNELS)
def test_peers_that_overflow_are_named_once_except_for_transactions(channel):
    happenings = filled(*[message(channel, peer, bytes(WAITING_BYTES_MAX[channel])) for peer in "bab"])
    assert happenings.take_overflowing() == ([] if channel is Channel.TRANSACTIONS else ["a", "b"])
    assert happenings.take_overflowing() == []


def flood(happenings, peer):
    """Send as much of everything as finds room."""
    for channel in CHANNELS:
        before = happenings.dropped[channel]
        while happenings.dropped[channel] == before:
            happenings.put(message(channel, peer, bytes(MIB - MESSAGE_COST_BYTES)))


def test_no_number_of_peers_fills_the_room_of_another_and_all_together_have_a_bound(monkeypatch):
    """Given peers that send as much as they can, then another one still has its room in each lane, for votes too."""
    monkeypatch.setattr(happenings_module, "COMMON_BYTES_MAX", 16 * MIB)
    happenings, count = Happenings(), 12
    for number in range(count):
        flood(happenings, str(number))
    assert len(happenings) * MIB <= 16 * MIB + count * 3 * OWN_BYTES
    dropped = happenings.dropped.total()
    for channel in (Channel.CONSENSUS, Channel.BODIES, Channel.SYNC):
        happenings.put(message(channel, "honest", bytes(POLICIES[channel].message_bytes_max)))
    assert happenings.dropped.total() == dropped


def test_one_peer_leaves_half_of_the_common_room_to_others(monkeypatch):
    monkeypatch.setattr(happenings_module, "COMMON_BYTES_MAX", 8 * MIB)
    happenings = Happenings()
    for peer, room in (("a", 2 + 4), ("b", 2 + 2), ("c", 2 + 1)):
        before = len(happenings)
        for _ in range(20):
            happenings.put(message(Channel.BODIES, peer, bytes(MIB - MESSAGE_COST_BYTES)))
        assert len(happenings) - before == room


def test_all_room_comes_back_however_a_message_leaves():
    happenings = Happenings()
    for peer in "ab":
        flood(happenings, peer)
    happenings.put(PeerDisconnected("a", DisconnectReason.STOPPED))
    assert {entry.peer_id for entry in drain(happenings)[1:]} == {"b"}
    before = happenings.dropped.copy()
    for _ in range(room_for(Channel.SYNC)):
        happenings.put(message(Channel.SYNC, "a"))
    assert happenings.dropped == before


def test_what_waits_of_a_peer_is_forgotten_when_its_connection_ends():
    gone = PeerDisconnected("a", DisconnectReason.STOPPED)
    waiting = [message(channel, peer) for channel in CHANNELS for peer in "ab"]
    happenings = filled(*waiting, gone, PeerConnected("a", "127.0.0.1:1", Direction.INBOUND))
    happenings.put(message(Channel.STATUS))
    assert len(happenings) == 3 + len(CHANNELS)
    taken = drain(happenings)
    assert taken[0] == gone
    assert [entry for entry in taken[2:] if entry.peer_id == "a"] == [message(Channel.STATUS)]


async def test_consumer_wakes_when_something_happens():
    happenings = Happenings()
    waiting = asyncio.ensure_future(happenings.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    happenings.put(TIMER)
    await asyncio.wait_for(waiting, WAIT_S)
    assert drain(happenings) == [TIMER]


async def test_what_happened_before_the_consumer_waits_is_not_missed():
    happenings = filled(TIMER)
    await asyncio.wait_for(happenings.wait(), WAIT_S)
    waiting = asyncio.ensure_future(happenings.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    happenings.wake()
    await asyncio.wait_for(waiting, WAIT_S)
