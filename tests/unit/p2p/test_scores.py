"""Misbehaviour that adds up to a ban."""

from __future__ import annotations

from p2p.errors import ViolationReason
from p2p.scores import BAN_MS, DECAY_MS_PER_POINT, ENTRIES_MAX, PERSISTENT_BAN_MS, Scores, violation_weight


def test_points_add_up_to_a_ban_that_ends() -> None:
    scores = Scores(frozenset())
    assert not scores.report("a", "bad", 60, 0)
    assert not scores.is_banned("a", 0)
    assert (scores.points("a", 0), scores.last_reason("a")) == (60, "bad")
    assert scores.report("a", "worse", 40, 0)
    assert scores.is_banned("a", BAN_MS - 1)
    assert not scores.is_banned("a", BAN_MS)
    assert scores.points("a", 0) == 0
    assert not scores.is_banned("b", 0)


def test_points_fade_with_time() -> None:
    scores = Scores(frozenset())
    scores.report("a", "bad", 60, 0)
    assert scores.points("a", 10 * DECAY_MS_PER_POINT) == 50
    assert not scores.report("a", "bad", 49, 10 * DECAY_MS_PER_POINT)
    assert scores.points("a", 1_000 * DECAY_MS_PER_POINT) == 0


def test_a_report_counts_at_least_one_point() -> None:
    scores = Scores(frozenset())
    scores.report("a", "bad", -50, 0)
    assert scores.points("a", 0) == 1


def test_a_persistent_peer_is_shut_out_for_a_minute_at_most() -> None:
    scores = Scores(frozenset(["a"]))
    assert scores.report("a", "bad", 100, 0)
    assert scores.is_banned("a", PERSISTENT_BAN_MS - 1)
    assert not scores.is_banned("a", PERSISTENT_BAN_MS)


def test_the_table_is_bounded_and_keeps_the_banned() -> None:
    scores = Scores(frozenset())
    scores.report("banned", "bad", 100, 0)
    scores.report("mild", "bad", 1, 0)
    for number in range(2 * ENTRIES_MAX):
        scores.report(f"peer {number}", "bad", 10, 0)
    assert scores.is_banned("banned", 1)
    assert scores.points("mild", 0) == 0
    known = sum(scores.points(f"peer {number}", 0) > 0 for number in range(2 * ENTRIES_MAX))
    assert known == ENTRIES_MAX - 1


def test_what_may_be_bad_luck_weighs_less_than_a_clear_breach() -> None:
    breach = violation_weight(ViolationReason.FRAME_ORDER)
    assert violation_weight(ViolationReason.BAD_CIPHERTEXT) < breach
    assert all(violation_weight(reason) > 0 for reason in ViolationReason)
