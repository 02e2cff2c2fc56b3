"""What was asked, from whom, until when."""

from __future__ import annotations

import pytest

from p2p.errors import PeerViolation, ViolationReason
from p2p.requests import (
    ATTEMPTS_MAX,
    HEADER_BYTES,
    LATE_MAX,
    PendingRequests,
    encode_message,
    split_message,
)


def build_table(per_peer_max: int = 2, total_max: int = 10) -> PendingRequests[str]:
    return PendingRequests(per_peer_max, total_max)


def reason_of(table: PendingRequests[str], *answer: object) -> ViolationReason:
    with pytest.raises(PeerViolation) as caught:
        table.settle(*answer)
    return caught.value.reason


def test_an_answer_finds_its_question_once() -> None:
    table = build_table()
    request = table.register("p", 7, "block 5", 1_000, 100)
    assert (request.peer_id, request.kind, request.subject, request.tried_peers) == ("p", 7, "block 5", ("p",))
    assert table.settle("p", 7, request.request_id, 100) == request
    assert (len(table), table.outstanding("p")) == (0, 0)
    assert reason_of(table, "p", 7, request.request_id, 100) is ViolationReason.UNASKED


@pytest.mark.parametrize(("peer_id", "kind", "offset"), [("q", 7, 0), ("p", 8, 0), ("p", 7, 1)])
def test_an_answer_from_elsewhere_of_another_kind_or_number_is_unasked(peer_id: str, kind: int, offset: int) -> None:
    table = build_table()
    request = table.register("p", 7, "x", 1_000, 100)
    assert reason_of(table, peer_id, kind, request.request_id + offset, 1) is ViolationReason.UNASKED
    assert table.settle("p", 7, request.request_id, 1) == request


@pytest.mark.parametrize("is_late", [False, True])
def test_an_answer_longer_than_the_question_allowed_is_a_violation(is_late: bool) -> None:
    table = build_table()
    request = table.register("p", 7, "x", 1_000, 100)
    if is_late:
        table.expire(1_000)
    assert reason_of(table, "p", 7, request.request_id, 101) is ViolationReason.RESPONSE_TOO_LONG


def test_a_late_answer_is_welcome_once() -> None:
    table = build_table()
    request = table.register("p", 7, "x", 1_000, 100)
    assert table.expire(999) == []
    assert table.expire(1_000) == [request]
    assert table.outstanding("p") == 0
    assert table.settle("p", 7, request.request_id, 1) == request
    assert reason_of(table, "p", 7, request.request_id, 1) is ViolationReason.UNASKED


def test_late_questions_are_forgotten_when_there_are_too_many() -> None:
    table = build_table(per_peer_max=1_000, total_max=1_000)
    requests = [table.register("p", 7, "x", 1, 100) for _ in range(LATE_MAX + 1)]
    table.expire(1)
    assert reason_of(table, "p", 7, requests[0].request_id, 1) is ViolationReason.UNASKED
    assert table.settle("p", 7, requests[1].request_id, 1) == requests[1]


def test_questions_are_bounded_per_peer_and_in_all() -> None:
    table = build_table(per_peer_max=2, total_max=3)
    assert table.register("p", 1, "a", 10, 1)
    assert table.register("p", 1, "b", 10, 1)
    assert table.register("p", 1, "c", 10, 1) is None
    assert table.register("q", 1, "d", 10, 1)
    assert table.register("r", 1, "e", 10, 1) is None
    assert len(table) == 3


def test_a_peer_that_leaves_owes_its_answers_to_others() -> None:
    table = build_table()
    owed = [table.register("p", 1, subject, 10, 1) for subject in ("a", "b")]
    other = table.register("q", 1, "c", 10, 1)
    assert table.remove_peer("p") == owed
    assert table.remove_peer("p") == []
    assert table.settle("q", 1, other.request_id, 1) == other


def test_a_retry_goes_to_the_untried_peer_with_the_fewest_open_questions() -> None:
    table = build_table()
    request = table.register("p", 1, "a", 10, 5)
    table.register("q", 1, "busy", 100, 5)
    table.expire(10)
    again = table.retry(request, ["s", "q", "r", "p"], 20)
    assert (again.peer_id, again.subject, again.deadline_ms, again.tried_peers) == ("r", "a", 20, ("p", "r"))
    assert again.request_id != request.request_id
    table.expire(20)
    assert table.retry(again, ["p", "r"], 30) is None


def test_retries_are_bounded() -> None:
    table = build_table(total_max=100)
    request = table.register("peer 0", 1, "a", 0, 5)
    for number in range(1, ATTEMPTS_MAX):
        request = table.retry(request, [f"peer {number}"], 0)
    assert table.retry(request, ["another"], 0) is None


def test_the_header_comes_back_as_it_was() -> None:
    assert split_message(encode_message(3, (1 << 64) - 1, b"body")) == (3, (1 << 64) - 1, b"body")
    assert split_message(encode_message(0, 0, b"")) == (0, 0, b"")


@pytest.mark.parametrize("length", range(HEADER_BYTES))
def test_a_message_without_a_whole_header_is_malformed(length: int) -> None:
    with pytest.raises(PeerViolation) as caught:
        split_message(bytes(length))
    assert (caught.value.reason, caught.value.seen) == (ViolationReason.MESSAGE_MALFORMED, length)
