"""Laws of the one queue of happenings and of the shell over the running loop: lanes, bounds, timers, counts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from unittest import mock

import pytest

from consensus.inputs import Now, TimerFired, TimerKind
from node import outside
from node.outside import (
    MESSAGE_COST_BYTES,
    PUNISHMENT_DEFAULT,
    PUNISHMENTS,
    WAITING_BYTES_MAX,
    AsyncShell,
    Happenings,
    Tick,
)
from p2p.channels import Channel
from p2p.errors import DisconnectReason
from p2p.events import Direction, MessageReceived, PeerConnected, PeerDisconnected
from tests.support.fixture_chain import FixtureChain, account, transfer

WAIT_S = 10.0
TIMER = TimerFired(TimerKind.VIEW, 0, 1)
URGENT = (Channel.CONSENSUS, Channel.STATUS)
CHANNELS = tuple(channel for channel in Channel if channel is not Channel.PEERS)
BULK = tuple(channel for channel in CHANNELS if channel not in URGENT and channel is not Channel.BODIES)


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


def test_entries_of_one_lane_come_in_their_order():
    entries = [message(Channel.CONSENSUS, payload=bytes([number])) for number in range(3)]
    assert drain(filled(*entries)) == entries


def test_votes_timers_and_connections_go_before_bodies_and_those_before_all_else():
    bulk = [message(channel) for channel in BULK]
    bodies = [message(Channel.BODIES)]
    urgent = [
        PeerConnected("a", "127.0.0.1:1", Direction.INBOUND),
        *(message(channel) for channel in URGENT),
        TIMER,
        Tick(),
        PeerDisconnected("a", DisconnectReason.STOPPED),
    ]
    assert drain(filled(*bulk, *bodies, *urgent)) == [*urgent, *bodies, *bulk]


def test_every_entry_counts():
    happenings = filled(TIMER, message(Channel.BODIES), message(Channel.TRANSACTIONS))
    lengths = [len(happenings)]
    while happenings.take() is not None:
        lengths.append(len(happenings))
    assert lengths == [3, 2, 1, 0]


def test_peers_are_read_no_further_while_the_queue_is_long(monkeypatch):
    monkeypatch.setattr(outside, "QUEUE_MAX", 2)
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
    assert (len(happenings), happenings.dropped_count) == (room, 2)
    others = [message(channel, "b"), *(message(other) for other in CHANNELS if other is not channel), TIMER]
    for entry in others:
        happenings.put(entry)
    assert (len(happenings), happenings.dropped_count) == (room + len(others), 2)


@pytest.mark.parametrize("channel", CHANNELS)
def test_messages_are_taken_again_as_soon_as_there_is_place(channel):
    happenings = filled(*[message(channel)] * (room_for(channel) + 1))
    drain(happenings)
    happenings.put(message(channel, payload=b"next"))
    assert drain(happenings) == [message(channel, payload=b"next")]
    assert happenings.dropped_count == 1


def test_all_peers_together_have_a_bound_that_holds_for_no_vote(monkeypatch):
    monkeypatch.setattr(outside, "BULK_BYTES_MAX", 3 * MESSAGE_COST_BYTES)
    bulk = [message(Channel.SYNC, peer) for peer in "abcd"]
    votes = [message(channel, peer) for channel in URGENT for peer in "abcd"]
    happenings = filled(*bulk, *votes)
    assert (drain(happenings), happenings.dropped_count) == ([*votes, *bulk[:3]], 1)
    happenings.put(bulk[3])
    assert drain(happenings) == [bulk[3]]


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


class FakeLoop:
    """A loop whose time stands still."""

    def __init__(self):
        self.timers = []

    def call_later(self, delay_s, callback, *arguments):
        timer = FakeTimer(delay_s, callback, arguments)
        self.timers.append(timer)
        return timer


class FakeTimer:
    def __init__(self, delay_s, callback, arguments):
        self.delay_s = delay_s
        self.is_cancelled = False
        self._callback = callback
        self._arguments = arguments

    def cancel(self):
        self.is_cancelled = True

    def fire(self):
        self._callback(*self._arguments)


class Recorder:
    """Stands for every neighbour of the shell: remembers the calls."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments, **named: self.calls.append((name, *arguments, *named.items()))


class Outside:
    """A shell among recorders."""

    def __init__(self):
        self.loop = FakeLoop()
        self.happenings = Happenings()
        self.network, self.signatures, self.tracker = Recorder(), Recorder(), Recorder()
        self.feed, self.log, self.metrics = Recorder(), Recorder(), Recorder()
        with mock.patch.object(asyncio, "get_running_loop", return_value=self.loop):
            self.shell = AsyncShell(
                self.network, self.happenings, self.signatures, self.tracker, self.feed, self.log, self.metrics
            )


def test_timer_becomes_a_happening_when_its_time_has_passed():
    out = Outside()
    out.shell.set_timer(TimerKind.VIEW, 3, 7, 1_250)
    (timer,) = out.loop.timers
    assert timer.delay_s == 1.25
    assert len(out.happenings) == 0
    timer.fire()
    assert drain(out.happenings) == [TimerFired(TimerKind.VIEW, 3, 7)]


def test_timer_replaces_the_one_of_its_kind_and_no_other():
    out = Outside()
    for kind, view in ((TimerKind.VIEW, 1), (TimerKind.STATUS, 1), (TimerKind.VIEW, 2)):
        out.shell.set_timer(kind, 0, view, 100)
    assert [timer.is_cancelled for timer in out.loop.timers] == [True, False, False]


def test_timeout_that_is_shown_is_that_of_the_view():
    out = Outside()
    out.shell.set_timer(TimerKind.VIEW, 0, 1, 900)
    out.shell.set_timer(TimerKind.STATUS, 0, 1, 5_000)
    assert out.shell.timeout_ms == 900


def test_no_timer_survives_the_shell():
    out = Outside()
    for kind in TimerKind:
        out.shell.set_timer(kind, 0, 1, 100)
    out.shell.close()
    assert [timer.is_cancelled for timer in out.loop.timers] == [True] * len(TimerKind)


async def test_timer_of_the_real_loop_wakes_the_consumer():
    happenings = Happenings()
    others = [Recorder() for _ in range(5)]
    shell = AsyncShell(others[0], happenings, *others)
    shell.set_timer(TimerKind.VIEW, 0, 1, 3_600_000)
    shell.set_timer(TimerKind.VIEW, 0, 2, 0)
    await asyncio.wait_for(happenings.wait(), WAIT_S)
    assert drain(happenings) == [TimerFired(TimerKind.VIEW, 0, 2)]
    shell.close()


def test_messages_go_to_the_network():
    out = Outside()
    out.shell.send("a", Channel.SYNC, b"one")
    out.shell.broadcast(Channel.CONSENSUS, b"all")
    assert out.network.calls == [("send", "a", Channel.SYNC, b"one"), ("broadcast", Channel.CONSENSUS, b"all")]


def test_violations_are_counted_by_reason_and_reported_with_their_points():
    out = Outside()
    for reason in ("bad_signature", "wrong_body", "bad_signature"):
        out.shell.punish("a", reason)
    assert out.shell.punished == {"bad_signature": 2, "wrong_body": 1}
    serious = ("report", "a", "bad_signature", PUNISHMENTS["bad_signature"])
    assert out.network.calls == [serious, ("report", "a", "wrong_body", PUNISHMENT_DEFAULT), serious]
    assert [call[:2] for call in out.log.calls] == [("warning", "peer_punished")] * 3


def test_signatures_of_blocks_have_their_own_thread():
    out = Outside()
    out.shell.verify(["t"], print)
    out.shell.verify_block(["b"], print)
    assert out.signatures.calls == [("verify", ["t"], print), ("verify", ["b"], print, ("is_block", True))]


async def test_execution_wakes_the_consumer():
    out = Outside()
    assert not out.shell.wants_execution
    out.shell.want_execution()
    assert out.shell.wants_execution
    await asyncio.wait_for(out.happenings.wait(), WAIT_S)


def test_final_blocks_are_told_and_counted(monkeypatch):
    fixture = FixtureChain()
    pay = [fixture.sign(0, transfer(account(1), amount), nonce=nonce) for nonce, amount in enumerate((1, 10**18, 1))]
    first = fixture.execute(*pay[:2])
    second = fixture.execute(pay[2], parent_hash=first.block_hash)
    finalized = fixture.finalize(first, second)
    wall_ms = finalized.tip.block.time_ms + 1_500
    monkeypatch.setattr(outside, "now", lambda: Now(0, wall_ms))
    out = Outside()
    out.shell.on_final(finalized)
    assert (out.shell.final_blocks, out.shell.final_transactions, out.shell.failed_transactions) == (2, 3, 1)
    assert out.tracker.calls == [("on_final", finalized.blocks)]
    assert out.feed.calls == [("on_final", finalized)]
    assert out.metrics.calls == [("observe_finality", 1.5)]
    out.shell.on_notarized(first)
    assert out.tracker.calls[1:] == [("on_notarized", first)]


def test_halt_is_said_as_an_error():
    out = Outside()
    out.shell.on_halt("fork")
    ((level, event, reason, _),) = out.log.calls
    assert (level, event, reason) == ("error", "halted", ("reason", "fork"))


def test_both_clocks_are_read_in_milliseconds(monkeypatch):
    clocks = SimpleNamespace(monotonic_ns=lambda: 5_999_999, time_ns=lambda: 1_700_000_000_000_999_999)
    monkeypatch.setattr(outside, "time", clocks)
    assert outside.now() == Outside().shell.now() == Now(5, 1_700_000_000_000)
