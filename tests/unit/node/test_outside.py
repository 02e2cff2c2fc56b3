"""Laws of the shell over the running loop: timers, counts, punishments."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from unittest import mock

from consensus.inputs import Now, TimerFired, TimerKind
from node import outside
from node.happenings import WAITING_BYTES_MAX, Happenings
from node.outside import PUNISHMENT_DEFAULT, PUNISHMENTS, AsyncShell
from p2p.channels import Channel
from p2p.events import MessageReceived
from tests.support.fixture_chain import FixtureChain, account, transfer

WAIT_S = 10.0


def drain(happenings):
    """Take everything."""
    return list(iter(happenings.take, None))


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


def test_peers_that_overflow_are_punished_and_what_was_dropped_is_shown_by_channel():
    out = Outside()
    for peer in ("b", "a"):
        for channel in (Channel.CONSENSUS, Channel.CONSENSUS, Channel.TRANSACTIONS):
            out.happenings.put(MessageReceived(peer, channel, bytes(WAITING_BYTES_MAX[channel])))
    assert out.shell.dropped == {"consensus": 4, "transactions": 2}
    out.shell.punish_overflowing()
    reports = [("report", peer, "overflow", PUNISHMENT_DEFAULT) for peer in ("a", "b")]
    assert out.network.calls == reports
    out.shell.punish_overflowing()
    assert out.network.calls == reports


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
