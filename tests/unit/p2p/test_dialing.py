"""Whom to dial, and when to try again."""

from __future__ import annotations

from random import Random

from p2p.address import Address, PeerAddress
from p2p.dialing import BOOK_DIAL_INTERVAL_MS, SETTLED_MS, Backoff, DialSchedule
from p2p.peer_book import PeerBook

FIRST, SECOND = Address("127.0.0.1", 1), Address("127.0.0.1", 2)
ID = "a" * 40
BACKOFF = Backoff(min_ms=100, max_ms=1_000)
NOBODY: frozenset[str] = frozenset()
NOWHERE: frozenset[Address] = frozenset()


def build_schedule(*persistent: PeerAddress, book: PeerBook | None = None, outbound_max: int = 2) -> DialSchedule:
    return DialSchedule(persistent, book or PeerBook(), BACKOFF, outbound_max)


def due(schedule: DialSchedule, now_ms: int, open_ids: frozenset[str] = NOBODY, outbound: int = 0) -> list[Address]:
    return [peer.address for peer in schedule.take_due(now_ms, open_ids, NOWHERE, outbound, Random(1))]


def test_persistent_peers_are_dialed_at_once_and_not_twice() -> None:
    schedule = build_schedule(PeerAddress(FIRST, ID), PeerAddress(SECOND))
    assert schedule.take_due(0, NOBODY, NOWHERE, 0, Random(1)) == [PeerAddress(FIRST, ID), PeerAddress(SECOND)]
    assert due(schedule, 100_000) == []


def test_a_peer_that_is_connected_is_not_dialed() -> None:
    schedule = build_schedule(PeerAddress(FIRST, ID), PeerAddress(SECOND))
    assert due(schedule, 0, frozenset([ID])) == [SECOND]
    assert due(schedule, 0) == [FIRST]


def test_a_claimed_address_spares_a_book_dial_but_hides_no_persistent_peer() -> None:
    book = PeerBook()
    book.add(SECOND, "a", 0)
    schedule = build_schedule(PeerAddress(FIRST), book=book)
    claimed = frozenset([FIRST, SECOND])
    assert schedule.take_due(0, NOBODY, claimed, 0, Random(1)) == [PeerAddress(FIRST)]
    assert due(schedule, BOOK_DIAL_INTERVAL_MS) == [SECOND]


def test_the_identity_that_answered_is_remembered() -> None:
    schedule = build_schedule(PeerAddress(FIRST))
    due(schedule, 0)
    assert schedule.persistent_ids == frozenset()
    schedule.note_identified(FIRST, ID)
    schedule.note_identified(SECOND, "b" * 40)
    assert schedule.persistent_ids == frozenset([ID])
    schedule.note_failed(FIRST, 0, Random(1))
    assert due(schedule, 10_000, frozenset([ID])) == []
    assert due(schedule, 10_000) == [FIRST]


def test_delays_double_up_to_a_bound_and_vary_by_chance() -> None:
    rng = Random(7)
    for failures in range(100):
        full_ms = min(1_000, 100 * 2 ** min(failures, 10))
        delays = {BACKOFF.delay_ms(failures, rng) for _ in range(50)}
        assert full_ms // 2 <= min(delays)
        assert max(delays) <= full_ms
        assert len(delays) > 10


def test_a_failed_dial_waits_for_its_delay() -> None:
    schedule = build_schedule(PeerAddress(FIRST))
    due(schedule, 0)
    schedule.note_failed(FIRST, 0, Random(1))
    assert due(schedule, 49) == []
    assert due(schedule, 100) == [FIRST]


def test_only_a_settled_connection_resets_the_delay() -> None:
    for lasted_ms, is_reset in [(SETTLED_MS - 1, False), (SETTLED_MS, True)]:
        schedule = build_schedule(PeerAddress(FIRST))
        for _ in range(5):
            due(schedule, 1 << 40)
            schedule.note_failed(FIRST, 0, Random(1))
        due(schedule, 1 << 40)
        schedule.note_closed(FIRST, lasted_ms, 0, Random(1))
        assert (due(schedule, 100) == [FIRST]) is is_reset


def test_delays_can_be_forgotten() -> None:
    schedule = build_schedule(PeerAddress(FIRST))
    due(schedule, 0)
    schedule.note_failed(FIRST, 0, Random(1))
    schedule.retry_now()
    assert due(schedule, 0) == [FIRST]


def test_the_own_address_is_never_dialed_again() -> None:
    book = PeerBook()
    book.add(SECOND, "a", 0)
    schedule = build_schedule(PeerAddress(FIRST), book=book)
    due(schedule, 0)
    schedule.note_own(FIRST)
    schedule.note_own(SECOND)
    schedule.retry_now()
    assert due(schedule, 1 << 40) == []
    assert SECOND not in book


def test_free_places_are_filled_from_the_book_one_at_a_time() -> None:
    book = PeerBook()
    for port in range(1, 6):
        book.add(Address("9.9.9.9", port), f"source {port}", 0)
    schedule = build_schedule(book=book, outbound_max=2)
    assert len(due(schedule, 0)) == 1
    assert due(schedule, BOOK_DIAL_INTERVAL_MS - 1) == []
    assert len(due(schedule, BOOK_DIAL_INTERVAL_MS)) == 1
    assert due(schedule, 2 * BOOK_DIAL_INTERVAL_MS) == []  # two are under way


def test_no_book_address_is_dialed_when_the_places_are_taken() -> None:
    book = PeerBook()
    book.add(FIRST, "a", 0)
    schedule = build_schedule(book=book, outbound_max=2)
    assert due(schedule, 0, outbound=2) == []
    assert due(schedule, 0, outbound=1) == [FIRST]
