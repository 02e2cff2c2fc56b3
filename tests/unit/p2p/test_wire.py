"""Records and frames."""

from __future__ import annotations

import pytest

from p2p import wire
from p2p.errors import PeerViolation, ViolationReason
from p2p.noise import CipherState
from p2p.wire import FrameReader, RecordReader, RecordWriter, encode_frame
from tests.unit.p2p.builders import build_cipher_pair

LIMITS = {0: 200_000, 3: 200_000, 4: 10}
PLAIN_MAX = 65_519


def build_parts(channel: int, payload: bytes) -> list[bytes]:
    """Cut a frame as a sender does."""
    frame = encode_frame(channel, payload)
    return [b"\x01" + frame[: wire.START_BYTES]] + [
        bytes((2, channel)) + frame[start : start + wire.CONTINUE_BYTES_MAX]
        for start in range(wire.START_BYTES, len(frame), wire.CONTINUE_BYTES_MAX)
    ]


def read_violation(*plaintexts: bytes) -> ViolationReason:
    reader = FrameReader(LIMITS)
    for plaintext in plaintexts[:-1]:
        reader.read(plaintext, 0)
    with pytest.raises(PeerViolation) as caught:
        reader.read(plaintexts[-1], 0)
    return caught.value.reason


def test_the_longest_plaintext_makes_the_longest_noise_message() -> None:
    send, _ = build_cipher_pair()
    assert len(RecordWriter(send).write(bytes(PLAIN_MAX))) == 2 + 65_535


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000, 70_000])
def test_records_survive_any_cut_of_the_stream(step: int) -> None:
    send, receive = build_cipher_pair()
    writer, reader = RecordWriter(send), RecordReader(receive)
    plaintexts = [b"a", b"b" * 3_000, b"c" * 17]
    stream = b"".join(writer.write(plaintext) for plaintext in plaintexts)
    found = [
        plaintext for start in range(0, len(stream), step) for plaintext in reader.read(stream[start : start + step])
    ]
    assert found == plaintexts


@pytest.mark.parametrize("length", [0, 1, 16])
@pytest.mark.parametrize("is_split", [False, True])
def test_a_record_too_short_for_a_byte_is_refused_before_it_comes(length: int, is_split: bool) -> None:
    reader = RecordReader(build_cipher_pair()[1])
    header = length.to_bytes(2, "big")
    if is_split:
        assert list(reader.read(header[:1])) == []
        header = header[1:]
    with pytest.raises(PeerViolation) as caught:
        list(reader.read(header))
    assert (caught.value.reason, caught.value.seen) == (ViolationReason.RECORD_LENGTH, length)


@pytest.mark.parametrize("change", ["altered", "replayed", "skipped"])
def test_an_altered_replayed_or_skipped_record_is_noticed(change: str) -> None:
    send, receive = build_cipher_pair()
    writer, reader = RecordWriter(send), RecordReader(receive)
    first, second = writer.write(b"first"), writer.write(b"second")
    stream = {
        "altered": first[:-1] + bytes([first[-1] ^ 1]),
        "replayed": first + first,
        "skipped": second,
    }[change]
    with pytest.raises(PeerViolation) as caught:
        list(reader.read(stream))
    assert caught.value.reason is ViolationReason.BAD_CIPHERTEXT


def test_what_comes_before_a_bad_record_counts() -> None:
    send, receive = build_cipher_pair()
    stream = RecordWriter(send).write(b"good") + b"\x00\x00"
    found = RecordReader(receive).read(stream)
    assert next(found) == b"good"
    with pytest.raises(PeerViolation):
        next(found)


def test_both_ends_change_the_key_after_the_same_record() -> None:
    key = b"\x31" * 32
    start = wire.REKEY_INTERVAL - 2
    writer, reader = RecordWriter(CipherState(key, start)), RecordReader(CipherState(key, start))
    unchanged = CipherState(key, start)
    for index in range(4):
        record = writer.write(b"message")
        assert list(reader.read(record)) == [b"message"]
        has_old_key = record[2:] == unchanged.encrypt(b"message")
        assert has_old_key == (index < 2)


def test_a_batch_holds_frames_of_several_channels_in_order() -> None:
    plaintext = b"\x00" + encode_frame(3, b"one") + encode_frame(0, b"two") + encode_frame(3, b"three")
    assert FrameReader(LIMITS).read(plaintext, 0) == [(3, b"one"), (0, b"two"), (3, b"three")]


@pytest.mark.parametrize("length", [65_514, 65_515, 131_000, 200_000])
def test_a_long_frame_is_put_together_while_other_channels_pass(length: int) -> None:
    payload = bytes(range(256)) * (length // 256 + 1)
    parts = build_parts(3, payload[:length])
    reader = FrameReader(LIMITS)
    for part in parts[:-1]:
        assert reader.read(part, 0) == []
        assert reader.read(b"\x00" + encode_frame(0, b"vote"), 0) == [(0, b"vote")]
    assert reader.read(parts[-1], 0) == [(3, payload[:length])]


def test_frames_of_two_channels_may_be_under_way_at_once() -> None:
    first, second = build_parts(0, b"a" * 100_000), build_parts(3, b"b" * 100_000)
    reader = FrameReader(LIMITS)
    for part in (first[0], second[0]):
        assert reader.read(part, 0) == []
    assert reader.read(second[1], 0) == [(3, b"b" * 100_000)]
    assert reader.read(first[1], 0) == [(0, b"a" * 100_000)]


START = build_parts(3, b"x" * 100_000)[0]
FULL = b"x" * (PLAIN_MAX - 6)


@pytest.mark.parametrize(
    ("plaintexts", "reason"),
    [
        ([b"\x03"], ViolationReason.UNKNOWN_RECORD_KIND),
        ([b"\xff" + encode_frame(0, b"x")], ViolationReason.UNKNOWN_RECORD_KIND),
        ([b"\x00" + encode_frame(9, b"x")], ViolationReason.UNKNOWN_CHANNEL),
        ([b"\x01" + encode_frame(9, b"x" * 100_000)[: PLAIN_MAX - 1]], ViolationReason.UNKNOWN_CHANNEL),
        ([b"\x00" + encode_frame(0, b"")], ViolationReason.FRAME_LENGTH),
        ([b"\x00" + encode_frame(4, b"x" * 11)], ViolationReason.FRAME_LENGTH),
        ([b"\x00\x00\x00"], ViolationReason.FRAME_LENGTH),
        ([b"\x00" + encode_frame(0, b"xx")[:-1]], ViolationReason.FRAME_LENGTH),
        ([b"\x00" + encode_frame(0, b"xx") + b"\x00"], ViolationReason.FRAME_LENGTH),
        ([b"\x00\x00\xff\xff\xff\xff"], ViolationReason.FRAME_LENGTH),
        ([b"\x01\x00\x00\x03\x0d\x41" + FULL], ViolationReason.FRAME_LENGTH),  # 200,001
        ([b"\x01\x00\x00\x00\xff\xe9" + FULL], ViolationReason.FRAME_LENGTH),  # nothing would be missing
        ([START[:-1]], ViolationReason.RECORD_LENGTH),
        ([b"\x01"], ViolationReason.RECORD_LENGTH),
        ([START, START], ViolationReason.FRAME_ORDER),
        ([START, b"\x00" + encode_frame(3, b"x")], ViolationReason.FRAME_ORDER),
        ([b"\x02\x03x"], ViolationReason.FRAME_ORDER),
        ([START, b"\x02\x00x"], ViolationReason.FRAME_ORDER),
        ([b"\x02"], ViolationReason.FRAME_ORDER),
        ([START, b"\x02\x03"], ViolationReason.RECORD_LENGTH),
        ([START, b"\x02\x03x"], ViolationReason.RECORD_LENGTH),
        ([START, b"\x02\x03" + b"x" * 34_488], ViolationReason.RECORD_LENGTH),
    ],
)
def test_each_rule_of_frames_has_its_reason(plaintexts: list[bytes], reason: ViolationReason) -> None:
    assert read_violation(*plaintexts) is reason


@pytest.mark.parametrize(("length", "is_accepted"), [(9, True), (10, True), (11, False)])
def test_the_limit_of_a_channel_is_exact(length: int, is_accepted: bool) -> None:
    plaintext = b"\x00" + encode_frame(4, b"x" * length)
    if is_accepted:
        assert FrameReader(LIMITS).read(plaintext, 0) == [(4, b"x" * length)]
    else:
        assert read_violation(plaintext) is ViolationReason.FRAME_LENGTH


def test_a_begun_frame_must_be_completed_in_time() -> None:
    reader = FrameReader(LIMITS)
    reader.read(START, 1_000)
    reader.check_deadlines(1_000 + wire.FRAME_TIMEOUT_MS)
    with pytest.raises(PeerViolation) as caught:
        reader.check_deadlines(1_001 + wire.FRAME_TIMEOUT_MS)
    assert caught.value.reason is ViolationReason.FRAME_TIMEOUT
