"""Asking peers for addresses."""

from __future__ import annotations

import pytest

from p2p import codec
from p2p.address import Address
from p2p.errors import PeerViolation, ViolationReason
from p2p.exchange import (
    ADDRESSES_MAX,
    ANSWER_INTERVAL_MS,
    ASK_INTERVAL_MS,
    AddressExchange,
    TellAddresses,
    encode_question,
)

FOUND = [Address("8.8.8.8", 1), Address("9.9.9.9", 2)]
TOLD = codec.encode(TellAddresses(["8.8.8.8:1", "9.9.9.9:2"]))


def build_exchange(is_enabled: bool = True) -> AddressExchange:
    exchange = AddressExchange(is_enabled=is_enabled, allows_private=False)
    exchange.add_peer("p")
    return exchange


def choose(count: int) -> list[Address]:
    assert count == ADDRESSES_MAX
    return FOUND


def reason_of(exchange: AddressExchange, payload: bytes, now_ms: int = 0) -> ViolationReason:
    with pytest.raises(PeerViolation) as caught:
        exchange.handle("p", payload, now_ms, choose)
    return caught.value.reason


def test_a_question_is_answered_with_a_sample() -> None:
    assert build_exchange().handle("p", encode_question(), 0, choose) == (TOLD, [])


def test_a_second_question_within_a_minute_is_a_violation() -> None:
    exchange = build_exchange()
    exchange.handle("p", encode_question(), 0, choose)
    assert reason_of(exchange, encode_question(), ANSWER_INTERVAL_MS - 1) is ViolationReason.REQUESTED_TOO_OFTEN
    assert exchange.handle("p", encode_question(), ANSWER_INTERVAL_MS, choose) == (TOLD, [])


def test_each_peer_is_asked_once_per_interval_and_its_answer_is_taken_once() -> None:
    exchange = build_exchange()
    assert exchange.take_due(0) == ["p"]
    assert exchange.take_due(ASK_INTERVAL_MS - 1) == []
    assert exchange.handle("p", TOLD, 10, choose) == (b"", FOUND)
    assert reason_of(exchange, TOLD) is ViolationReason.UNASKED
    assert exchange.take_due(ASK_INTERVAL_MS) == ["p"]
    assert ASK_INTERVAL_MS > ANSWER_INTERVAL_MS


def test_an_answer_that_nobody_asked_for_is_a_violation() -> None:
    assert reason_of(build_exchange(), TOLD) is ViolationReason.UNASKED


def test_only_dialable_addresses_are_learned() -> None:
    exchange = build_exchange()
    exchange.take_due(0)
    told = codec.encode(TellAddresses(["127.0.0.1:1", "host:1", "", "8.8.8.8:1", "8.8.8.8:0"]))
    assert exchange.handle("p", told, 0, choose) == (b"", FOUND[:1])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc0",
        b"\x91\x02",
        codec.encode(TellAddresses(["8.8.8.8:1"] * (ADDRESSES_MAX + 1))),
        codec.encode(TellAddresses(["x" * 65])),
    ],
)
def test_a_malformed_message_is_a_violation(payload: bytes) -> None:
    exchange = build_exchange()
    exchange.take_due(0)
    assert reason_of(exchange, payload) is ViolationReason.MESSAGE_MALFORMED


def test_a_node_that_does_not_take_part_asks_nobody_and_ignores_questions() -> None:
    exchange = build_exchange(is_enabled=False)
    assert exchange.take_due(0) == []
    assert exchange.handle("p", encode_question(), 0, choose) == (b"", [])


def test_a_peer_that_is_gone_is_forgotten() -> None:
    exchange = build_exchange()
    exchange.remove_peer("p")
    assert exchange.take_due(0) == []
