"""Bytes into every parser of p2p: only typed errors come out, and what is accepted is canonical."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from p2p import codec, wire
from p2p.address import find_address, find_dialable, resolve_claim
from p2p.channels import Channel
from p2p.control import decode_control
from p2p.errors import ConnectionRefused, PeerBookRejected, PeerViolation
from p2p.exchange import AddressExchange
from p2p.gossip import Gossip, GossipStore
from p2p.gossip_messages import decode_gossip
from p2p.handshake import Handshake
from p2p.noise import Role
from p2p.peer_book import PeerBook
from p2p.requests import PendingRequests, encode_message, split_message
from p2p.session import Session
from p2p.wire import FrameReader, RecordReader, RecordWriter
from tests.unit.p2p.builders import (
    build_cipher_pair,
    build_handshakes,
    build_identity,
    build_sessions,
    take_all,
)

FUZZ = settings(max_examples=300, deadline=None)
RECORDS = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.builds(
        lambda kind, channel, length, tail: bytes((kind, channel)) + length.to_bytes(4, "big") + tail,
        st.integers(0, 3),
        st.sampled_from([0, 1, 5, 9, 255]),
        st.one_of(st.integers(0, 40), st.integers(0, (1 << 32) - 1)),
        st.binary(max_size=60),
    ),
    st.builds(
        lambda channel, length: b"\x01" + wire.encode_frame(channel, bytes(length))[: wire.START_BYTES],
        st.sampled_from([0, 2, 5]),
        st.integers(65_000, 140_000),
    ),
)
# Seeds near the messages that exist, so that hypothesis gets past the first byte.
MSGPACK = st.recursive(
    st.one_of(st.integers(0, 300), st.binary(max_size=40), st.text(max_size=20), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
).map(codec.encode)
PAYLOADS = st.one_of(st.binary(max_size=200), MSGPACK)


@FUZZ
@given(st.lists(st.binary(max_size=400), max_size=6), st.sampled_from(Role))
def test_any_bytes_into_a_handshake(chunks: list[bytes], role: Role) -> None:
    handshake = Handshake(role, build_identity(1), b"\x0b" * 32)
    handshake.start()
    with suppress(PeerViolation, ConnectionRefused):
        for chunk in chunks:
            handshake.receive(chunk)
    assert not handshake.is_complete


@FUZZ
@given(st.data())
def test_a_handshake_with_one_changed_byte_never_completes_at_the_reader(data: st.DataObject) -> None:
    initiator, responder = build_handshakes()
    opening = initiator.start()
    answer = responder.receive(opening)
    last = initiator.receive(answer)
    stage = data.draw(st.sampled_from(["answer", "last"]))
    original = answer if stage == "answer" else last
    position = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[position] ^= data.draw(st.integers(1, 255))
    reader = build_handshakes()[0 if stage == "answer" else 1]
    if stage == "answer":
        reader.start()
    else:
        reader.receive(opening)
    with suppress(PeerViolation, ConnectionRefused):
        reader.receive(bytes(changed))
    assert not reader.is_complete


@FUZZ
@given(PAYLOADS.map(lambda payload: b"\x00\x01" + payload))
def test_any_identity_payload(payload: bytes) -> None:
    initiator, responder = build_handshakes()
    opening = initiator.start()
    responder._build_payload = lambda: payload
    with suppress(PeerViolation, ConnectionRefused):
        initiator.receive(responder.receive(opening))
        raise AssertionError("an identity without a signature was accepted")


@FUZZ
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_as_records(chunks: list[bytes]) -> None:
    reader = RecordReader(build_cipher_pair()[1])
    with suppress(PeerViolation):
        for chunk in chunks:
            assert list(reader.read(chunk)) == []
    assert len(reader._unfinished) <= 65_537


@FUZZ
@given(st.lists(st.integers(1, 4_000), max_size=20), st.lists(st.binary(min_size=1, max_size=2_000), max_size=8))
def test_any_cut_of_a_stream_gives_the_same_records(cuts: list[int], plaintexts: list[bytes]) -> None:
    send, receive = build_cipher_pair()
    writer, reader = RecordWriter(send), RecordReader(receive)
    stream = b"".join(map(writer.write, plaintexts))
    found: list[bytes] = []
    for cut in cuts:
        found += reader.read(stream[:cut])
        stream = stream[cut:]
    found += reader.read(stream)
    assert found == plaintexts


@FUZZ
@given(st.lists(RECORDS, max_size=8))
def test_any_plaintexts_as_frames(plaintexts: list[bytes]) -> None:
    limits = {0: 100_000, 1: 20, 2: 140_000, 5: 100}
    reader = FrameReader(limits)
    with suppress(PeerViolation):
        for plaintext in plaintexts:
            for channel, payload in reader.read(plaintext, 0):
                assert 0 < len(payload) <= limits[channel]


@FUZZ
@example([(Channel.STATUS, 65_517), *[(Channel.STATUS, 65_536)] * 3])
@given(st.lists(st.tuples(st.sampled_from(list(Channel)), st.integers(1, 150_000)), max_size=12))
def test_any_messages_arrive_whole_and_in_order_within_their_channel(messages: list[tuple[Channel, int]]) -> None:
    initiator, responder = build_sessions()
    responder.admit()
    list(initiator.receive(take_all(responder), 0))
    sent: list[tuple[int, bytes]] = []
    for index, (channel, length) in enumerate(messages):
        payload = bytes([index]) * length
        dropped_before = initiator.queue.dropped_count
        if initiator.queue.add(channel, wire.encode_frame(channel, payload)):
            for _ in range(initiator.queue.dropped_count - dropped_before):
                sent.remove(next(item for item in sent if item[0] == channel))  # a full queue gave up its oldest
            sent.append((channel, payload))
    received: list[tuple[int, bytes]] = []
    for now_ms in (0, 10_000, 20_000):
        received += responder.receive(take_all(initiator, now_ms), now_ms)
    for channel in Channel:
        assert [item for item in received if item[0] == channel] == [item for item in sent if item[0] == channel]


@FUZZ
@given(st.lists(st.tuples(st.sampled_from([0, 3, 5, 7, 255]), PAYLOADS), max_size=6))
def test_any_authenticated_plaintext_into_a_session(frames: list[tuple[int, bytes]]) -> None:
    initiator, responder = build_sessions()
    stream = initiator._records_out.write(b"\x00" + b"".join(wire.encode_frame(*frame) for frame in frames))
    with suppress(PeerViolation):
        for channel, payload in responder.receive(stream, 0):
            assert (channel, payload) in frames
    assert isinstance(responder, Session)


@FUZZ
@given(PAYLOADS)
def test_any_control_message(payload: bytes) -> None:
    with suppress(PeerViolation):
        assert codec.encode(decode_control(payload)) == payload


@FUZZ
@given(PAYLOADS)
def test_any_gossip_message(payload: bytes) -> None:
    with suppress(PeerViolation):
        assert codec.encode(decode_gossip(payload)) == payload


@FUZZ
@given(st.lists(st.tuples(st.sampled_from("pq"), PAYLOADS), max_size=8), st.booleans())
def test_any_gossip_conversation(messages: list[tuple[str, bytes]], is_push_mode: bool) -> None:
    held = {bytes(32): b"held"}
    store = GossipStore(
        identify=lambda blob: hashlib.sha256(blob).digest(), is_known=held.__contains__, find_blob=held.get
    )
    gossip = Gossip(store, is_push_mode=is_push_mode)
    for peer_id in "pq":
        gossip.add_peer(peer_id)
    for index, (peer_id, payload) in enumerate(messages):
        with suppress(PeerViolation):
            handled = gossip.handle(peer_id, payload, index * 600)
            assert all(hashlib.sha256(blob).digest() == blob_id for blob_id, blob in handled.received)
        gossip.tick(index * 600)


@FUZZ
@given(PAYLOADS, st.booleans())
def test_any_message_about_addresses(payload: bytes, is_asked: bool) -> None:
    exchange = AddressExchange(is_enabled=True, allows_private=False)
    exchange.add_peer("p")
    if is_asked:
        exchange.take_due(0)
    with suppress(PeerViolation):
        _, learned = exchange.handle("p", payload, 0, lambda _: [])
        assert all(find_dialable(str(address), allows_private=False) == address for address in learned)


@FUZZ
@given(PAYLOADS)
def test_any_stored_book(stored: bytes) -> None:
    with suppress(PeerBookRejected):
        assert len(PeerBook.decode(stored)) <= 1_000


@FUZZ
@given(st.text(max_size=80))
def test_any_text_as_an_address(text: str) -> None:
    for address in (find_address(text), find_dialable(text, allows_private=True)):
        assert address is None or str(address) == text
    resolve_claim(text, "9.9.9.9")


@FUZZ
@given(st.binary(max_size=40))
def test_any_answer_to_a_question(payload: bytes) -> None:
    table: PendingRequests[str] = PendingRequests(4, 4)
    request = table.register("p", 1, "x", 10, 20)
    assert request is not None
    with suppress(PeerViolation):
        kind, request_id, body = split_message(payload)
        assert encode_message(kind, request_id, body) == payload
        assert table.settle("p", kind, request_id, len(body)) == request
