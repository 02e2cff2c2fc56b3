"""One open connection without its socket."""

from __future__ import annotations

import pytest

from p2p import session as session_module
from p2p.channels import Channel
from p2p.control import Admit, Close, Ping, Pong, decode_control, encode_control_frame
from p2p.errors import PeerViolation, RefusalReason, ViolationReason
from p2p.session import READ_PAUSE_MS_MAX, KeepAlive, Session
from p2p.wire import encode_frame
from tests.unit.p2p.builders import build_policy, build_sessions, take_all

KEEP_ALIVE = KeepAlive(ping_interval_ms=100, idle_timeout_ms=300)


def open_sessions(**arguments: object) -> tuple[Session, Session]:
    initiator, responder = build_sessions(**arguments)
    responder.admit()
    list(initiator.receive(take_all(responder), 0))
    return initiator, responder


def reason_of(session: Session, stream: bytes, now_ms: int = 0) -> ViolationReason:
    with pytest.raises(PeerViolation) as caught:
        list(session.receive(stream, now_ms))
    return caught.value.reason


def test_the_initiator_is_admitted_by_the_responders_first_message() -> None:
    initiator, responder = build_sessions()
    assert (initiator.is_admitted, responder.is_admitted) == (False, True)
    responder.admit()
    responder.queue.add(Channel.STATUS, encode_frame(1, b"hello"))
    assert list(initiator.receive(take_all(responder), 0)) == [(1, b"hello")]
    assert initiator.is_admitted


def test_a_message_before_admission_is_a_violation() -> None:
    initiator, responder = build_sessions()
    responder.queue.add(Channel.STATUS, encode_frame(1, b"hello"))
    assert reason_of(initiator, take_all(responder)) is ViolationReason.NOT_ADMITTED


def test_a_refusal_tells_its_reason() -> None:
    initiator, responder = build_sessions()
    responder.say_close(RefusalReason.INBOUND_FULL)
    assert list(initiator.receive(take_all(responder), 0)) == []
    assert (initiator.close_reason, initiator.is_admitted) == (RefusalReason.INBOUND_FULL, False)


def test_a_second_admission_is_a_violation() -> None:
    initiator, responder = open_sessions()
    responder.admit()
    assert reason_of(initiator, take_all(responder)) is ViolationReason.UNASKED


def test_pings_measure_the_round_trip_and_keep_both_ends_alive() -> None:
    initiator, responder = open_sessions(keep_alive=KEEP_ALIVE)
    assert initiator.rtt_ms == -1
    assert initiator.tick(99)
    assert take_all(initiator) == b""
    assert initiator.tick(100)
    list(responder.receive(take_all(initiator), 110))
    list(initiator.receive(take_all(responder), 120))
    assert initiator.rtt_ms == 20
    assert initiator.tick(419)
    assert not initiator.tick(420)
    assert not responder.tick(410)


def test_an_initiator_sends_no_ping_before_it_is_admitted() -> None:
    initiator, _ = build_sessions(keep_alive=KEEP_ALIVE)
    initiator.tick(200)
    assert take_all(initiator) == b""


def test_a_flood_of_pings_is_a_violation_and_ordinary_keep_alive_is_none() -> None:
    initiator, responder = open_sessions()
    for second in range(200):
        initiator.queue.add_control(encode_control_frame(Ping(second)))
        list(responder.receive(take_all(initiator), second * 1_000))
    for number in range(100):
        initiator.queue.add_control(encode_control_frame(Ping(number)))
    assert reason_of(responder, take_all(initiator), 200_000) is ViolationReason.CONTROL_FLOOD


def test_a_pong_that_answers_no_open_ping_changes_nothing() -> None:
    initiator, responder = open_sessions(keep_alive=KEEP_ALIVE)
    responder.queue.add_control(encode_control_frame(Pong(77)))
    list(initiator.receive(take_all(responder), 5))
    assert initiator.rtt_ms == -1


@pytest.mark.parametrize("payload", [b"\x91\x09", b"\x92\x01\xa3abc", b"\x92\x02\xff", b"\x91\xcc\x00", b"\xc0"])
def test_a_control_message_that_is_none_is_a_violation(payload: bytes) -> None:
    _, responder = open_sessions()
    initiator, responder = open_sessions()
    initiator.queue.add_control(encode_frame(255, payload))
    assert reason_of(responder, take_all(initiator)) in {
        ViolationReason.MESSAGE_MALFORMED,
        ViolationReason.MESSAGE_NOT_CANONICAL,
    }


@pytest.mark.parametrize("message", [Admit(), Close(RefusalReason.DUPLICATE), Ping(0), Pong((1 << 63) - 1)])
def test_control_messages_come_back_as_they_were(message: object) -> None:
    assert decode_control(encode_control_frame(message)[5:]) == message


def test_reading_pauses_while_a_channel_is_above_its_rate() -> None:
    fast = {channel: build_policy() for channel in Channel}
    slow = fast | {Channel.SYNC: build_policy(rate_bytes_per_ms=10, burst_bytes=500)}
    initiator, _ = open_sessions(policies=fast)
    _, responder = open_sessions(policies=slow)
    assert responder.read_pause_ms(0) == 0
    initiator.queue.add(Channel.SYNC, encode_frame(4, b"x" * (1_500 - session_module.MESSAGE_COST_BYTES)))
    list(responder.receive(take_all(initiator), 0))
    assert responder.read_pause_ms(0) == 51
    assert responder.read_pause_ms(51) == 0
    initiator.queue.add(Channel.SYNC, encode_frame(4, b"x" * 100_000))
    list(responder.receive(take_all(initiator), 51))
    assert responder.read_pause_ms(51) == READ_PAUSE_MS_MAX


def test_reading_pauses_after_too_many_messages_however_small_they_are() -> None:
    fast = {channel: build_policy() for channel in Channel}
    slow = fast | {Channel.CONSENSUS: build_policy(rate_bytes_per_ms=1_000, burst_bytes=4_000, message_cost_bytes=999)}
    initiator, _ = open_sessions(policies=fast)
    _, responder = open_sessions(policies=slow)
    for expected_ms in [0] * 7 + [1, 2, 3]:
        initiator.queue.add(Channel.CONSENSUS, encode_frame(0, b"x"))
        list(responder.receive(take_all(initiator), 0))
        assert responder.read_pause_ms(0) == expected_ms


@pytest.mark.parametrize("cost", [256, 2_000])
def test_an_honest_sender_never_makes_the_receiver_pause(cost: int) -> None:
    policy = build_policy(rate_bytes_per_ms=1_000, burst_bytes=5_000, message_cost_bytes=cost)
    policies = dict.fromkeys(Channel, policy)
    initiator, responder = open_sessions(policies=policies)
    received = 0
    for _ in range(400):
        initiator.queue.add(Channel.TRANSACTIONS, encode_frame(3, b"x" * 300))
    for now_ms in range(4_000):
        stream = take_all(initiator, now_ms)
        received += len(list(responder.receive(stream, now_ms)))
        assert responder.read_pause_ms(now_ms) == 0
    assert received == 400


def test_a_begun_message_that_never_ends_is_a_violation() -> None:
    initiator, responder = open_sessions()
    initiator.queue.add(Channel.SYNC, encode_frame(4, b"x" * 100_000))
    list(responder.receive(initiator.take_record(0), 0))
    with pytest.raises(PeerViolation) as caught:
        responder.tick(60_001)
    assert caught.value.reason is ViolationReason.FRAME_TIMEOUT
