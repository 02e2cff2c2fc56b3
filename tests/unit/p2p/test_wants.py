"""Wanted ids and their announcers."""

from __future__ import annotations

from p2p.wants import ANNOUNCERS_MAX, ASK_TIMEOUT_MS, ATTEMPTS_MAX, OUTSTANDING_PER_PEER_MAX, WANTED_MAX, Wants


def ids(count: int, start: int = 0) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(start, start + count)]


def test_one_announcer_cannot_occupy_the_whole_table() -> None:
    wants = Wants()
    assert len(wants.add("liar", ids(WANTED_MAX), 0)) == OUTSTANDING_PER_PEER_MAX
    assert wants.add("honest", ids(1, start=1 << 20), 0) == ids(1, start=1 << 20)


def test_the_table_is_bounded() -> None:
    wants = Wants()
    for number in range(10):
        wants.add(f"peer {number}", ids(OUTSTANDING_PER_PEER_MAX, start=number << 20), 0)
    assert len(wants) == WANTED_MAX


def test_an_id_is_given_up_after_its_attempts() -> None:
    wants = Wants()
    wants.add("p", ids(1), 0)
    asked = 1
    for attempt in range(1, 2 * ATTEMPTS_MAX):
        asked += len(wants.expire(attempt * ASK_TIMEOUT_MS).get("p", []))
    assert asked == ATTEMPTS_MAX
    assert len(wants) == 0


def test_silent_announcers_cannot_hide_an_id_from_an_honest_one() -> None:
    wants = Wants()
    liars = [f"liar {number}" for number in range(ANNOUNCERS_MAX)]
    for liar in liars:
        wants.add(liar, ids(1), 0)
    now_ms = 0
    for _ in range(3):
        now_ms += ASK_TIMEOUT_MS
        wants.expire(now_ms)
    wants.add("honest", ids(1), now_ms)
    asked = [peer for step in range(1, 3) for peer in wants.expire(now_ms + step * ASK_TIMEOUT_MS)]
    while "honest" not in asked:
        now_ms += ASK_TIMEOUT_MS
        again = wants.expire(now_ms + 2 * ASK_TIMEOUT_MS)
        assert again, "the id was given up before the honest announcer was asked"
        asked += again


def test_an_announcer_counts_once_and_the_first_ones_stay_as_long_as_they_are_no_worse() -> None:
    wants = Wants()
    for number in range(ANNOUNCERS_MAX + 5):
        for _ in range(2):
            wants.add(f"peer {number}", ids(1), 0)
    asked = [peer for step in range(1, ANNOUNCERS_MAX + 1) for peer in wants.expire(step * ASK_TIMEOUT_MS)]
    assert asked == [f"peer {number}" for number in (*range(1, ANNOUNCERS_MAX), 0)]


def test_a_peer_that_answers_is_preferred_to_one_that_does_not() -> None:
    wants = Wants()
    wants.add("silent", ids(10), 0)
    for blob_id in ids(10):
        wants.add("good", [blob_id], 0)
    assert wants.expire(ASK_TIMEOUT_MS) == {"good": ids(10)}
    for blob_id in ids(10):
        assert wants.settle("good", blob_id)
    new = ids(1, start=100)
    assert wants.add("third", new, ASK_TIMEOUT_MS) == new
    wants.add("silent", new, ASK_TIMEOUT_MS)
    wants.add("good", new, ASK_TIMEOUT_MS)
    assert wants.expire(2 * ASK_TIMEOUT_MS) == {"good": new}


def test_only_what_was_asked_counts_as_asked() -> None:
    wants = Wants()
    wants.add("p", ids(1), 0)
    assert not wants.settle("q", ids(1)[0])
    assert wants.settle("p", ids(1)[0])
    assert not wants.settle("p", ids(1, start=5)[0])


def test_a_peer_that_leaves_frees_its_place_and_passes_its_ids_on() -> None:
    wants = Wants()
    wants.add("p", ids(2), 0)
    wants.add("q", ids(1), 0)
    assert wants.remove_peer("p", 5) == {"q": ids(1)}
    assert len(wants) == 1
    assert wants.remove_peer("nobody", 5) == {}
    assert wants.expire(5 + ASK_TIMEOUT_MS) == {"q": ids(1)}
