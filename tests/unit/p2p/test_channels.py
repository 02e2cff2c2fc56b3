"""Queues, rates and what leaves first."""

from __future__ import annotations

import pytest

from p2p import wire
from p2p.channels import (
    MESSAGE_COST_BYTES,
    POLICIES,
    Channel,
    ChannelPolicy,
    DropPolicy,
    QueueBudget,
    SendQueue,
    TokenBucket,
)
from p2p.counters import NetworkCounters
from p2p.wire import FrameReader, encode_frame
from tests.unit.p2p.builders import build_policy

EVERYTHING = {int(channel): 1 << 20 for channel in Channel} | {255: 64}


def build_queue(changes: dict[Channel, ChannelPolicy] | None = None, budget: QueueBudget | None = None) -> SendQueue:
    policies = {channel: build_policy() for channel in Channel} | (changes or {})
    return SendQueue(policies, budget or QueueBudget(), NetworkCounters(), 0)


def drain(queue: SendQueue, now_ms: int = 0) -> list[tuple[int, bytes]]:
    """Return what the other end reads of everything that may leave now."""
    reader = FrameReader(EVERYTHING)
    frames: list[tuple[int, bytes]] = []
    while plaintext := queue.take_plaintext(now_ms):
        assert len(plaintext) <= wire.RECORD_PLAIN_BYTES_MAX
        frames += reader.read(plaintext, now_ms)
    return frames


def test_every_channel_has_a_policy_and_the_wire_holds_its_longest_message() -> None:
    assert set(POLICIES) == set(Channel)
    for policy in POLICIES.values():
        assert policy.message_bytes_max <= 1 << 20
        assert policy.message_bytes_max + wire.FRAME_HEADER.size <= policy.queue_bytes_max


def test_lower_channels_leave_first_and_each_keeps_its_order() -> None:
    queue = build_queue()
    for channel, payload in [(5, b"e"), (3, b"c"), (0, b"a"), (3, b"d"), (0, b"b")]:
        assert queue.add(Channel(channel), encode_frame(channel, payload))
    queue.add_control(encode_frame(255, b"!"))
    plaintext = queue.take_plaintext(0)
    assert FrameReader(EVERYTHING).read(plaintext, 0) == [
        (255, b"!"),
        (0, b"a"),
        (0, b"b"),
        (3, b"c"),
        (3, b"d"),
        (5, b"e"),
    ]
    assert queue.take_plaintext(0) == b""


def test_a_vote_overtakes_a_message_that_is_half_sent() -> None:
    queue = build_queue()
    queue.add(Channel.SYNC, encode_frame(4, b"x" * 300_000))
    reader = FrameReader(EVERYTHING)
    assert reader.read(queue.take_plaintext(0), 0) == []
    queue.add(Channel.CONSENSUS, encode_frame(0, b"vote"))
    assert reader.read(queue.take_plaintext(0), 0) == [(0, b"vote")]
    rest = []
    while plaintext := queue.take_plaintext(0):
        rest += reader.read(plaintext, 0)
    assert rest == [(4, b"x" * 300_000)]


@pytest.mark.parametrize("length", [65_512, 65_513, 65_514, 65_515, 131_030, 131_031, 1 << 20])
def test_messages_around_the_cut_arrive_whole(length: int) -> None:
    queue = build_queue()
    payload = (bytes(range(251)) * (length // 251 + 1))[:length]
    for _ in range(2):
        queue.add(Channel.BODIES, encode_frame(2, payload))
    queue.add(Channel.BODIES, encode_frame(2, b"last"))
    assert drain(queue) == [(2, payload), (2, payload), (2, b"last")]


def test_a_full_queue_drops_by_the_policy_of_its_channel() -> None:
    for drop, kept, answers in [
        (DropPolicy.OLDEST, [b"2", b"3"], [True, True, True]),
        (DropPolicy.NEWEST, [b"1", b"2"], [True, True, False]),
    ]:
        queue = build_queue({Channel.STATUS: build_policy(queue_messages_max=2, drop=drop)})
        added = [queue.add(Channel.STATUS, encode_frame(1, payload)) for payload in (b"1", b"2", b"3")]
        assert added == answers
        assert queue.dropped_count == 1
        assert drain(queue) == [(1, payload) for payload in kept]


def test_the_queue_is_bounded_in_bytes() -> None:
    policy = build_policy(queue_bytes_max=100, drop=DropPolicy.OLDEST)
    queue = build_queue({Channel.STATUS: policy})
    for payload in (b"a" * 40, b"b" * 40, b"c" * 90):
        assert queue.add(Channel.STATUS, encode_frame(1, payload))
    assert drain(queue) == [(1, b"c" * 90)]


@pytest.mark.parametrize(("length", "is_accepted"), [(99, True), (100, True), (101, False)])
def test_the_sender_refuses_what_the_receiver_would(length: int, is_accepted: bool) -> None:
    queue = build_queue({Channel.STATUS: build_policy(message_bytes_max=100)})
    assert queue.add(Channel.STATUS, encode_frame(1, b"x" * length)) is is_accepted
    assert queue.dropped_count == (not is_accepted)


def test_a_channel_above_its_rate_waits_and_the_others_pass() -> None:
    cost = len(encode_frame(3, b"x" * 95)) + MESSAGE_COST_BYTES
    queue = build_queue({Channel.TRANSACTIONS: build_policy(rate_bytes_per_ms=10, burst_bytes=cost)})
    for _ in range(2):
        queue.add(Channel.TRANSACTIONS, encode_frame(3, b"x" * 95))
    queue.add(Channel.SYNC, encode_frame(4, b"y"))
    assert drain(queue, 0) == [(3, b"x" * 95), (4, b"y")]
    delay_ms = queue.delay_ms(0)
    assert delay_ms == 1
    assert drain(queue, delay_ms) == [(3, b"x" * 95)]
    assert queue.delay_ms(delay_ms) == 0


def test_all_connections_share_one_budget_that_consensus_ignores() -> None:
    budget = QueueBudget(bytes_max=1_000)
    first, second = build_queue(budget=budget), build_queue(budget=budget)
    assert first.add(Channel.SYNC, encode_frame(4, b"x" * 1_000))
    assert not second.add(Channel.SYNC, encode_frame(4, b"x"))
    assert second.add(Channel.CONSENSUS, encode_frame(0, b"vote"))
    first.clear()
    assert second.add(Channel.SYNC, encode_frame(4, b"x"))
    second.clear()
    assert budget.used_bytes == 0


def test_the_budget_is_returned_however_a_message_leaves() -> None:
    budget = QueueBudget()
    policy = build_policy(queue_messages_max=2, drop=DropPolicy.OLDEST)
    queue = build_queue({Channel.SYNC: policy}, budget)
    for _ in range(4):
        queue.add(Channel.SYNC, encode_frame(4, b"x" * 200_000))
    queue.add(Channel.STATUS, encode_frame(1, b"x"))
    drain(queue)
    assert budget.used_bytes == 0
    queue.add(Channel.SYNC, encode_frame(4, b"x" * 200_000))
    queue.take_plaintext(0)
    assert queue.message_count == 1
    queue.clear()
    assert (budget.used_bytes, queue.message_count, queue.take_plaintext(0)) == (0, 0, b"")


def test_a_bucket_lets_any_size_pass_and_pays_the_debt_at_its_rate() -> None:
    bucket = TokenBucket(rate_bytes_per_ms=10, burst_bytes=100, now_ms=0)
    assert bucket.debt_ms(0) == 0
    bucket.spend(150, 0)
    assert bucket.debt_ms(0) == 6
    assert bucket.debt_ms(5) == 1
    assert bucket.debt_ms(6) == 0
    bucket.spend(0, 1_000)
    bucket.spend(100, 1_000)
    assert bucket.debt_ms(1_000) == 1


@pytest.mark.parametrize("channel", [channel for channel in Channel if channel is not Channel.PEERS])
def test_tiny_messages_are_bounded_in_number_to_some_thousand_a_second(channel: Channel) -> None:
    policy = POLICIES[channel]
    cost = policy.message_cost_bytes + wire.FRAME_HEADER.size + 1
    assert 3_000 <= 1_000 * policy.rate_bytes_per_ms / cost <= 5_000
    assert policy.burst_bytes // cost >= 1_000


def test_the_cost_of_a_message_paces_a_sender() -> None:
    policy = build_policy(rate_bytes_per_ms=1_000, burst_bytes=4_000, message_cost_bytes=1_000)
    queue = build_queue({Channel.CONSENSUS: policy})
    for number in range(20):
        queue.add(Channel.CONSENSUS, encode_frame(0, bytes([number])))
    assert len(drain(queue, 0)) == 4
    assert len(drain(queue, 10)) == 4
    assert sum(len(drain(queue, now_ms)) for now_ms in range(11, 15)) == 4
