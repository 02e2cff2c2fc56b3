"""Spreading blobs by 32-byte ids."""

from __future__ import annotations

import hashlib
from collections import deque

import pytest

from p2p import codec
from p2p.channels import POLICIES, Channel
from p2p.errors import PeerViolation, ViolationReason
from p2p.gossip import ANSWER_BYTES_MAX, PUSH_PEERS_MAX, Gossip, GossipStore, Handled, Outgoing, RecentIds
from p2p.gossip_messages import (
    BATCH_BYTES_MAX,
    BLOB_BYTES_MAX,
    IDS_MAX,
    Announce,
    Ask,
    Deliver,
    cut_blobs,
    decode_gossip,
)
from p2p.wants import ASK_TIMEOUT_MS


def identify(blob: bytes) -> bytes:
    return hashlib.sha256(blob).digest()


class Node:
    """A node that takes in every blob that it receives."""

    def __init__(self, name: str, is_push_mode: bool) -> None:
        self.name = name
        self.blobs: dict[bytes, bytes] = {}
        store = GossipStore(identify=identify, is_known=self.blobs.__contains__, find_blob=self.blobs.get)
        self.gossip = Gossip(store, is_push_mode=is_push_mode)
        self.duplicates = 0

    def take_in(self, blobs: list[bytes], source: str | None = None) -> list[bytes]:
        ids = [identify(blob) for blob in blobs]
        self.blobs.update(zip(ids, blobs, strict=True))
        self.gossip.publish(ids, source)
        return ids

    def handle(self, source: str, payload: bytes, now_ms: int = 0) -> list[Outgoing]:
        handled = self.gossip.handle(source, payload, now_ms)
        self.duplicates += handled.duplicate_count
        if handled.received:
            self.take_in([blob for _, blob in handled.received], source)
        return [*handled.outgoing, *self.gossip.flush()]


class Net:
    """Nodes that deliver to each other in order."""

    def __init__(self, names: str, is_push_mode: bool, links: list[str] | None = None) -> None:
        self.nodes = {name: Node(name, is_push_mode) for name in names}
        for link in links or [a + b for a in names for b in names if a < b]:
            self.nodes[link[0]].gossip.add_peer(link[1])
            self.nodes[link[1]].gossip.add_peer(link[0])
        self.sent_bytes = 0
        self.queue: deque[tuple[str, Outgoing]] = deque()

    def send(self, source: str, outgoing: list[Outgoing]) -> None:
        self.queue.extend((source, message) for message in outgoing)

    def run(self) -> None:
        while self.queue:
            source, message = self.queue.popleft()
            self.sent_bytes += len(message.payload)
            self.send(message.peer_id, self.nodes[message.peer_id].handle(source, message.payload))

    def submit(self, name: str, blobs: list[bytes]) -> None:
        node = self.nodes[name]
        node.take_in(blobs)
        self.send(name, node.gossip.flush())


def build_gossip(blobs: list[bytes] = [], is_push_mode: bool = False, peers: str = "pq") -> Gossip:  # noqa: B006
    held = {identify(blob): blob for blob in blobs}
    store = GossipStore(identify=identify, is_known=held.__contains__, find_blob=held.get)
    gossip = Gossip(store, is_push_mode=is_push_mode)
    for peer_id in peers:
        gossip.add_peer(peer_id)
    return gossip


def decoded(outgoing: list[Outgoing]) -> list[tuple[str, object]]:
    return [(message.peer_id, decode_gossip(message.payload)) for message in outgoing]


@pytest.mark.parametrize("is_push_mode", [False, True])
def test_a_mesh_of_seven_gives_each_node_each_blob_once_at_little_cost(is_push_mode: bool) -> None:
    net = Net("abcdefg", is_push_mode)
    blobs = [number.to_bytes(4, "big") * 60 for number in range(500)]
    for start in range(0, 500, 50):
        net.submit("abcdefg"[start // 50 % 7], blobs[start : start + 50])
        net.run()
    expected = {identify(blob): blob for blob in blobs}
    assert all(node.blobs == expected for node in net.nodes.values())
    assert sum(node.duplicates for node in net.nodes.values()) == 0
    needed_bytes = 6 * sum(map(len, blobs))
    assert net.sent_bytes / needed_bytes < 2.5


@pytest.mark.parametrize("is_push_mode", [False, True])
def test_blobs_travel_along_a_line(is_push_mode: bool) -> None:
    net = Net("abcd", is_push_mode, ["ab", "bc", "cd"])
    net.submit("a", [b"blob"])
    net.run()
    assert all(list(node.blobs.values()) == [b"blob"] for node in net.nodes.values())


def test_push_mode_sends_the_blob_at_once_and_a_relay_only_announces_it() -> None:
    gossip = build_gossip([b"blob"], is_push_mode=True)
    gossip.publish([identify(b"blob")])
    assert decoded(gossip.flush()) == [("p", Deliver([b"blob"])), ("q", Deliver([b"blob"]))]
    relay = build_gossip([b"blob"], is_push_mode=True)
    relay.publish([identify(b"blob")], source="p")
    assert decoded(relay.flush()) == [("q", Announce([identify(b"blob")]))]
    assert relay.flush() == []


def test_a_large_network_announces_even_in_push_mode() -> None:
    peers = "abcdefghijk"[: PUSH_PEERS_MAX + 1]
    gossip = build_gossip([b"blob"], is_push_mode=True, peers=peers)
    gossip.publish([identify(b"blob")])
    assert {type(message) for _, message in decoded(gossip.flush())} == {Announce}


def test_nothing_goes_back_to_a_peer_that_has_it() -> None:
    blob_id = identify(b"blob")
    gossip = build_gossip([b"blob"])
    gossip.publish([blob_id])
    gossip.handle("p", codec.encode(Announce([blob_id])), 0)
    assert decoded(gossip.flush()) == [("q", Announce([blob_id]))]
    gossip.publish([blob_id])
    assert [peer_id for peer_id, _ in decoded(gossip.flush())] == ["q"]


def test_identical_batches_are_encoded_once() -> None:
    gossip = build_gossip([b"blob"])
    gossip.publish([identify(b"blob")])
    first, second = gossip.flush()
    assert first.payload is second.payload
    assert first.channel is Channel.TRANSACTIONS


def test_an_announced_id_is_asked_from_one_peer_at_a_time() -> None:
    gossip = build_gossip()
    blob_id = identify(b"blob")
    announce = codec.encode(Announce([blob_id]))
    assert decoded(gossip.handle("p", announce, 0).outgoing) == [("p", Ask([blob_id]))]
    assert gossip.handle("q", announce, 0) == Handled([], [], 0)
    assert gossip.tick(ASK_TIMEOUT_MS - 1) == []
    assert decoded(gossip.tick(ASK_TIMEOUT_MS)) == [("q", Ask([blob_id]))]
    handled = gossip.handle("q", codec.encode(Deliver([b"blob"])), ASK_TIMEOUT_MS)
    assert handled.received == [(blob_id, b"blob")]
    assert gossip.wanted_count == 0


def test_an_answer_after_the_timeout_is_welcome() -> None:
    gossip = build_gossip()
    blob_id = identify(b"blob")
    gossip.handle("p", codec.encode(Announce([blob_id])), 0)
    for attempt in range(1, 100):
        gossip.tick(attempt * ASK_TIMEOUT_MS)
    assert gossip.wanted_count == 0
    assert gossip.handle("p", codec.encode(Deliver([b"blob"])), 1 << 20).received == [(blob_id, b"blob")]


def test_what_a_peer_that_left_owed_is_asked_from_another() -> None:
    gossip = build_gossip()
    blob_id = identify(b"blob")
    for peer_id in "pq":
        gossip.handle(peer_id, codec.encode(Announce([blob_id])), 0)
    assert decoded(gossip.remove_peer("p", 10)) == [("q", Ask([blob_id]))]
    assert gossip.remove_peer("q", 10) == []
    assert gossip.wanted_count == 0


def test_an_unasked_blob_is_a_violation_outside_push_mode() -> None:
    with pytest.raises(PeerViolation) as caught:
        build_gossip().handle("p", codec.encode(Deliver([b"blob"])), 0)
    assert caught.value.reason is ViolationReason.UNASKED
    pushed = build_gossip(is_push_mode=True).handle("p", codec.encode(Deliver([b"blob"])), 0)
    assert pushed.received == [(identify(b"blob"), b"blob")]


def test_a_blob_on_its_way_through_admission_is_neither_asked_nor_handed_over_again() -> None:
    gossip = build_gossip(is_push_mode=True)
    deliver = codec.encode(Deliver([b"blob"]))
    gossip.handle("p", deliver, 0)
    assert gossip.handle("q", codec.encode(Announce([identify(b"blob")])), 0).outgoing == []
    assert gossip.handle("q", deliver, 0) == Handled([], [], 1)
    gossip.forget(identify(b"blob"))
    assert gossip.handle("q", deliver, 0).received == [(identify(b"blob"), b"blob")]


def test_a_question_is_answered_with_the_blobs_that_are_there() -> None:
    gossip = build_gossip([b"one", b"two"])
    ask = codec.encode(Ask([identify(b"one"), identify(b"gone"), identify(b"two")]))
    assert decoded(gossip.handle("p", ask, 0).outgoing) == [("p", Deliver([b"one", b"two"]))]


def test_an_answer_is_bounded_and_every_batch_fits_its_channel() -> None:
    blobs = [bytes([number]) * BLOB_BYTES_MAX for number in range(10)]
    gossip = build_gossip(blobs)
    outgoing = gossip.handle("p", codec.encode(Ask([identify(blob) for blob in blobs])), 0).outgoing
    delivered = [blob for _, message in decoded(outgoing) for blob in message.blobs]
    assert delivered == blobs[: ANSWER_BYTES_MAX // BLOB_BYTES_MAX]
    limit = POLICIES[Channel.TRANSACTIONS].message_bytes_max
    assert all(len(message.payload) <= limit for message in outgoing)


def test_batches_stay_within_256_kib_and_keep_their_order() -> None:
    blobs = [bytes([number % 250]) * 3_000 for number in range(300)]
    batches = list(cut_blobs(blobs))
    assert [blob for batch in batches for blob in batch] == blobs
    assert all(len(codec.encode(Deliver(batch))) <= 256 << 10 for batch in batches)
    tiny = list(cut_blobs([b"x"] * 5_000))
    assert [len(batch) for batch in tiny] == [2_048, 2_048, 904]
    assert BATCH_BYTES_MAX < 256 << 10


def test_long_lists_of_ids_are_cut() -> None:
    blobs = [number.to_bytes(4, "big") for number in range(IDS_MAX + 1)]
    gossip = build_gossip(blobs, peers="p")
    gossip.publish([identify(blob) for blob in blobs])
    assert [len(message.ids) for _, message in decoded(gossip.flush())] == [IDS_MAX, 1]


def test_a_new_peer_can_be_told_what_is_pending() -> None:
    gossip = build_gossip([b"blob"], peers="")
    gossip.add_peer("p", [identify(b"blob")])
    assert decoded(gossip.flush()) == [("p", Announce([identify(b"blob")]))]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", ViolationReason.MESSAGE_MALFORMED),
        (b"\x92\x03\x90", ViolationReason.MESSAGE_MALFORMED),
        (codec.encode(Announce([])), ViolationReason.MESSAGE_MALFORMED),
        (codec.encode(Announce([b"x" * 31])), ViolationReason.MESSAGE_MALFORMED),
        (codec.encode(Announce([bytes([n % 256, n // 256]) * 16 for n in range(1_025)])), ViolationReason.MESSAGE_MALFORMED),
        (codec.encode(Ask([bytes(32), bytes(32)])), ViolationReason.DUPLICATE_ENTRY),
        (codec.encode(Deliver([b"x", b"x"])), ViolationReason.DUPLICATE_ENTRY),
        (codec.encode(Deliver([b""])), ViolationReason.MESSAGE_MALFORMED),
        (codec.encode(Deliver([bytes(BLOB_BYTES_MAX + 1)])), ViolationReason.MESSAGE_MALFORMED),
        (codec.encode(Ask([bytes(32)])) + b"\x00", ViolationReason.MESSAGE_MALFORMED),
        (codec.encode(Ask([bytes(32)])).replace(b"\x92\x01", b"\x92\xcc\x01"), ViolationReason.MESSAGE_NOT_CANONICAL),
        (codec.encode(Ask([bytes(32)])).replace(b"\xc4\x20", b"\xc5\x00\x20"), ViolationReason.MESSAGE_NOT_CANONICAL),
    ],
)  # fmt: skip
def test_each_malformed_message_has_its_reason(payload: bytes, reason: ViolationReason) -> None:
    with pytest.raises(PeerViolation) as caught:
        build_gossip().handle("p", payload, 0)
    assert caught.value.reason is reason


def test_recent_ids_are_bounded_and_keep_the_newest_half() -> None:
    recent = RecentIds(100)
    for number in range(1_000):
        recent.add(number.to_bytes(4, "big"))
        assert len(recent) <= 100
    assert all(number.to_bytes(4, "big") in recent for number in range(950, 1_000))
    assert (0).to_bytes(4, "big") not in recent
