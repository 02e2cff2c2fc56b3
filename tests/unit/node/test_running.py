"""Laws of the observation before a key signs whose votes may be lost: only what two thirds of the power signed since counts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from consensus.inputs import Now
from node import running
from node.running import SAY_EVERY_S, Observation, _stop_when_proven

START = Now(mono_ms=70_000, wall_ms=1_700_000_000_000)
OBSERVATION = Observation(began=START, seconds=16, precision_ms=500)
FRESH_MS = START.wall_ms + 501
BLOCK = "a block made since the start that two thirds of the power signed"


def after(seconds):
    return Now(START.mono_ms + 1_000 * seconds, START.wall_ms + 1_000 * seconds)


@pytest.mark.parametrize("seconds", [0, 16, 3_600])
@pytest.mark.parametrize("tip_time_ms", [0, START.wall_ms - 1, START.wall_ms, FRESH_MS - 1])
def test_a_chain_without_a_block_since_the_start_proves_nothing_however_long_it_is_followed(tip_time_ms, seconds):
    assert OBSERVATION.find_lack(tip_time_ms, after(seconds)) == BLOCK


@pytest.mark.parametrize(
    ("seconds", "lack"),
    [
        (1, "15 s without a vote of this key from elsewhere"),
        (15, "1 s without a vote of this key from elsewhere"),
        (16, None),
    ],
)
def test_a_fresh_block_counts_after_the_time_in_which_other_holders_of_the_key_are_heard(seconds, lack):
    assert OBSERVATION.find_lack(FRESH_MS, after(seconds)) == lack


class Watched:
    """A node with what the watch looks at, whose tip becomes fresh after some seconds; claims of peers are as given."""

    def __init__(self, fresh_after_s, claims, halted=None):
        self.seconds, self.fresh_after_s = 0, fresh_after_s
        self.said, self.is_stopped = [], False
        chain = SimpleNamespace(tip=SimpleNamespace(block=SimpleNamespace(time_ms=0, height=7)))
        self.driver = SimpleNamespace(
            chain=chain, halted=halted, syncing=SimpleNamespace(claims=claims, is_active=bool(claims))
        )
        self.network = SimpleNamespace(peers=tuple(claims))
        self.log = SimpleNamespace(info=lambda event, **fields: self.said.append((self.seconds, event, fields)))

    async def pass_second(self, _seconds):
        self.seconds += 1
        assert self.seconds <= 100, "it waits for ever"
        if self.seconds == self.fresh_after_s:
            self.driver.chain.tip.block.time_ms = FRESH_MS

    def stop(self):
        self.is_stopped = True


def watch(monkeypatch, node):
    monkeypatch.setattr(running, "now", lambda: after(node.seconds))
    monkeypatch.setattr(running.asyncio, "sleep", node.pass_second)
    asyncio.run(_stop_when_proven(node, OBSERVATION))
    assert node.is_stopped
    return node.seconds


def test_a_liar_holds_nobody_up(monkeypatch):
    """Given a peer that claims what nobody has, when the chain goes on, then the observation ends in its time."""
    assert watch(monkeypatch, Watched(2, {"liar": 10**6})) == 16


def test_peers_that_lag_end_no_observation(monkeypatch):
    """Given peers that claim no more than this node has, then it waits until the chain goes on, and says so now and then."""
    node = Watched(41, {"lagging": 7})
    assert watch(monkeypatch, node) == 41
    fields = {"waits_for": BLOCK, "height": 7, "peers": 1}
    assert node.said == [(second, "observing", fields) for second in range(SAY_EVERY_S, 41, SAY_EVERY_S)]


def test_a_halted_node_is_stopped_at_once(monkeypatch):
    assert watch(monkeypatch, Watched(1_000, {}, halted="the key signs elsewhere")) == 0
