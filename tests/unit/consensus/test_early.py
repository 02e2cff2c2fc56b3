"""Messages of the next epoch: few of each peer, for a moment, and none of any other epoch."""

from __future__ import annotations

import pytest

from consensus import early as early_module
from consensus.early import EARLY_MS, EARLY_VOTES_MAX, EarlyMessages
from consensus.inputs import Now
from consensus.messages import VoteMessage
from tests.support.consensus_cast import HASH_A, N, child_header, proposal_of, state_at_genesis, vote

PROPOSALS = [proposal_of(child_header(state_at_genesis().tip, view, 0, epoch=1)) for view in (1, 2)]


def at(mono_ms: int) -> Now:
    return Now(mono_ms, 0)


def vote_in(view: int) -> VoteMessage:
    return VoteMessage(vote=vote(N, 1, view, HASH_A, epoch=1))


def test_what_came_early_is_there_once_when_its_epoch_begins():
    early = EarlyMessages()
    early.keep(1, "a", vote_in(1), at(0))
    early.keep(1, "b", PROPOSALS[0], at(0))
    assert early.take(0, at(0)) == []
    assert early.take(1, at(0)) == [("b", PROPOSALS[0]), ("a", vote_in(1))]
    assert early.take(1, at(0)) == []


def test_of_each_peer_the_newest_proposal_and_votes_are_kept():
    early = EarlyMessages()
    for proposal in PROPOSALS:
        early.keep(1, "a", proposal, at(0))
    for view in range(1, EARLY_VOTES_MAX + 4):
        early.keep(1, "a", vote_in(view), at(0))
    early.keep(1, "b", vote_in(1), at(0))
    kept = [("a", vote_in(view)) for view in range(4, EARLY_VOTES_MAX + 4)]
    assert early.take(1, at(0)) == [("a", PROPOSALS[1]), *kept, ("b", vote_in(1))]


def test_peers_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(early_module, "EARLY_PEERS_MAX", 2)
    early = EarlyMessages()
    for peer in ("a", "b", "c", "a"):
        early.keep(1, peer, vote_in(1), at(0))
    early.keep(1, "c", PROPOSALS[0], at(0))
    assert [peer for peer, _ in early.take(1, at(0))] == ["a", "a", "b"]


def test_what_came_long_before_its_epoch_is_forgotten():
    early = EarlyMessages()
    early.keep(1, "a", vote_in(1), at(0))
    early.keep(1, "a", vote_in(2), at(1))
    assert early.take(1, at(EARLY_MS + 1)) == [("a", vote_in(2))]


@pytest.mark.parametrize("begun", [2, 3])
def test_what_came_for_an_epoch_that_was_passed_over_is_forgotten(begun: int):
    early = EarlyMessages()
    early.keep(1, "a", vote_in(1), at(0))
    assert early.take(begun, at(0)) == []
    assert early.take(1, at(0)) == []


def test_messages_of_one_epoch_only_are_kept():
    early = EarlyMessages()
    early.keep(1, "a", vote_in(1), at(0))
    early.keep(1, "a", PROPOSALS[0], at(0))
    early.keep(2, "b", vote_in(2), at(0))
    assert early.take(2, at(0)) == [("b", vote_in(2))]
