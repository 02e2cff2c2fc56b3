"""Addresses worth dialing."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from p2p.address import Address
from p2p.errors import BookReason, PeerBookRejected
from p2p.peer_book import ENTRIES_MAX, GROUP_MAX, RETRY_MAX_MS, RETRY_MIN_MS, SOURCE_MAX, PeerBook


def address(subnet: int, host: int = 1) -> Address:
    return Address(f"{1 + subnet // 200}.{subnet % 200}.{host // 200}.{host % 200}", 7_000)


def test_one_subnet_takes_no_more_than_its_share() -> None:
    book = PeerBook()
    added = [book.add(address(8, host), f"source {host}", 0) for host in range(GROUP_MAX + 5)]
    assert added == [True] * GROUP_MAX + [False] * 5
    assert book.add(address(9), "another", 0)


def test_loopback_has_no_share_because_test_networks_live_there() -> None:
    book = PeerBook()
    for port in range(1, GROUP_MAX + 10):
        assert book.add(Address("127.0.0.1", port), f"source {port}", 0)


def test_one_source_takes_no_more_than_its_share() -> None:
    book = PeerBook()
    added = [book.add(address(subnet), "liar", 0) for subnet in range(SOURCE_MAX + 5)]
    assert added == [True] * SOURCE_MAX + [False] * 5
    assert book.add(address(100), "another", 0)


def test_the_book_is_bounded_and_failed_addresses_give_way() -> None:
    book = PeerBook()
    for index in range(ENTRIES_MAX):
        assert book.add(address(index // 10, index % 10), f"source {index // 20}", 0)
    assert not book.add(address(150), "late", 0)
    book.note_tried(address(3, 3), 0)
    assert book.add(address(150), "late", 0)
    assert len(book) == ENTRIES_MAX
    assert address(3, 3) not in book


def test_a_proven_address_gives_way_only_after_many_failures() -> None:
    book = PeerBook()
    for host in range(GROUP_MAX):
        book.add(address(8, host), f"source {host}", 0)
    book.note_connected(address(8, 5))
    for _ in range(10):
        book.note_tried(address(8, 5), 0)
    assert not book.add(address(8, 100), "late", 0)
    book.note_tried(address(8, 5), 0)
    assert book.add(address(8, 100), "late", 0)
    assert address(8, 5) not in book


def test_an_address_is_kept_once() -> None:
    book = PeerBook()
    assert book.add(address(1), "a", 0)
    assert not book.add(address(1), "b", 0)
    book.remove(address(1))
    book.remove(address(1))
    assert len(book) == 0


def test_choosing_gives_each_subnet_the_same_chance() -> None:
    book = PeerBook()
    for host in range(60):
        book.add(address(8, host), f"source {host}", 0)
    book.add(address(9), "source", 0)
    rng = Random(1)
    chosen = [book.choose(0, frozenset(), rng) for _ in range(200)]
    assert 60 < chosen.count(address(9)) < 140


def test_an_address_comes_back_later_after_each_try() -> None:
    book = PeerBook()
    book.add(address(1), "a", 0)
    now_ms = 0
    waits = []
    for _ in range(12):
        book.note_tried(address(1), now_ms)
        wait_ms = next(
            ms for ms in range(0, 2 * RETRY_MAX_MS, 10_000) if book.choose(now_ms + ms, frozenset(), Random(1))
        )
        waits.append(wait_ms)
        now_ms += wait_ms
    assert waits[0] == RETRY_MIN_MS
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_MAX_MS
    book.note_connected(address(1))
    book.note_tried(address(1), now_ms)
    assert book.choose(now_ms + RETRY_MIN_MS, frozenset(), Random(1)) == address(1)


def test_what_is_excluded_is_not_chosen() -> None:
    book = PeerBook()
    book.add(address(1), "a", 0)
    assert book.choose(0, frozenset([address(1)]), Random(1)) is None
    assert PeerBook().choose(0, frozenset(), Random(1)) is None


def test_a_sample_is_bounded_and_without_repetition() -> None:
    book = PeerBook()
    for subnet in range(30):
        book.add(address(subnet), "a", 0)
    sample = book.sample(20, Random(1))
    assert len(sample) == len(set(sample)) == 20
    assert len(book.sample(100, Random(1))) == 30


def test_the_book_survives_being_stored() -> None:
    book = PeerBook()
    for subnet in range(20):
        book.add(address(subnet), f"source {subnet}", 5)
    book.note_connected(address(3))
    book.note_tried(address(4), 5)
    again = PeerBook.decode(book.encode())
    assert again.encode() == book.encode()
    assert len(again) == 20
    assert again.choose(0, frozenset(), Random(1)) is not None


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xc0",
        b"\x92\x02\x90",
        msgspec.msgpack.encode([1, [["host:1", "s", False]]]),
        msgspec.msgpack.encode([1, [["8.8.8.8:1", "s", 1]]]),
        msgspec.msgpack.encode([1, [["8.8.8.8:1", "s", False, 0]]]),
        msgspec.msgpack.encode([1, [["8.8.8.8:1", "s", False]]]) + b"\x00",
    ],
)
def test_a_damaged_book_is_rejected(stored: bytes) -> None:
    with pytest.raises(PeerBookRejected) as caught:
        PeerBook.decode(stored)
    assert caught.value.reason is BookReason.MALFORMED
