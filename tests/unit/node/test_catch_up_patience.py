"""Laws of patience in catching up: deadlines, steady rates, and peers that are passed over for a while."""

from __future__ import annotations

from node import catch_up
from node.block_messages import HeadersAnswer, HeadersRequest
from node.catch_up import (
    BYTES_PER_MS_MIN,
    DEADLINE_MS,
    GRACE_MS,
    PEER_PAUSE_MS,
    CatchUp,
)
from state.crypto import verify
from tests.support.catch_up_runs import (
    BLOCKS,
    CHAIN_ID,
    body_of,
    fetching,
    run_of,
    started,
    tip_at,
)


def test_peer_without_progress_is_overdue_after_the_deadline_and_each_step_renews_it():
    syncing = started(0, now_ms=1_000)
    assert not syncing.is_overdue(1_000 + DEADLINE_MS - 1)
    assert syncing.is_overdue(1_000 + DEADLINE_MS)
    syncing.take_headers("a", run_of(1, 1), 3_000)
    assert not syncing.is_overdue(3_000 + DEADLINE_MS - 1)
    syncing.take_body("a", body_of(1, 0, 1), 6_000)
    assert not syncing.is_overdue(6_000 + DEADLINE_MS - 1)
    syncing.take_body("a", body_of(1, 0, 1), 9_000)
    assert syncing.is_overdue(6_000 + DEADLINE_MS)


def test_peer_that_sends_drop_by_drop_is_overdue_though_it_makes_progress():
    """Given a peer that sends just before each deadline, when the run has lasted long for its bytes, then others get their turn."""
    syncing = started(0, now_ms=1_000)
    syncing.take_headers("a", run_of(1, 1), 1_000 + GRACE_MS - 1)
    first = len(BLOCKS[1].envelopes[0])
    assert not syncing.is_overdue(1_000 + GRACE_MS - 1)
    assert syncing.is_overdue(1_000 + GRACE_MS)
    syncing.take_body("a", body_of(1, 0, 1), 1_000 + GRACE_MS)
    earned_ms = first // BYTES_PER_MS_MIN
    assert earned_ms > 0
    assert not syncing.is_overdue(1_000 + GRACE_MS + earned_ms - 1)
    assert syncing.is_overdue(1_000 + GRACE_MS + earned_ms)


def test_bytes_of_the_run_before_do_not_count_for_the_next():
    syncing = fetching(1, 1)
    syncing.take_body("a", body_of(1), 0)
    syncing.take_run()
    syncing.start("a", tip_at(1), 0)
    syncing.take_headers("a", run_of(2, 4), GRACE_MS - 1)
    assert syncing.is_overdue(GRACE_MS)


def test_nothing_is_overdue_while_nothing_is_fetched():
    syncing = CatchUp(CHAIN_ID, verify)
    assert not syncing.is_overdue(1 << 40)
    assert syncing.fail(0) is None


def test_peer_that_failed_is_passed_over_for_a_while_and_others_are_not():
    syncing = fetching(2, 4)
    assert syncing.fail(1_000) == "a"
    assert not syncing.is_active
    assert syncing.start("a", tip_at(1), 1_000 + PEER_PAUSE_MS - 1) == []
    assert syncing.start("b", tip_at(1), 1_000) == [("b", HeadersRequest(first_height=2))]
    syncing.stop()
    assert syncing.start("a", tip_at(1), 1_000 + PEER_PAUSE_MS) == [("a", HeadersRequest(first_height=2))]


def test_peer_without_headers_ends_its_run_and_is_passed_over_for_a_while():
    """Given a peer that claims a height and has no headers, when it said so, then others get their turn."""
    syncing = started(1)
    assert syncing.take_headers("a", HeadersAnswer(headers=(), certificates=()), 500) == []
    assert not syncing.is_active
    assert syncing.start("a", tip_at(1), 500 + PEER_PAUSE_MS - 1) == []
    assert syncing.start("b", tip_at(1), 500) == [("b", HeadersRequest(first_height=2))]


def test_memory_of_failed_peers_is_bounded(monkeypatch):
    monkeypatch.setattr(catch_up, "PAUSED_PEERS_MAX", 2)
    syncing = CatchUp(CHAIN_ID, verify)
    for peer in ("a", "b", "c", "d"):
        syncing.start(peer, tip_at(1), 0)
        syncing.fail(0)
    assert syncing.start("d", tip_at(1), 1) == []
    assert syncing.start("a", tip_at(1), 1) == [("a", HeadersRequest(first_height=2))]
