"""Records and frames: how messages travel on an encrypted stream.

A *record* is its ciphertext's length (2 bytes, big-endian) and the ciphertext, one Noise message. The plaintext begins
with its kind:

    0 BATCH      whole frames, one after the other
    1 START      the first part of a frame that is longer than one record
    2 CONTINUE   channel (1 byte) and the next part of that channel's begun frame

A *frame* is channel (1 byte), length (4 bytes, big-endian) and that many bytes of payload. At most one frame per
channel is begun at a time; between its parts other channels go ahead. Every part but the last fills its record, so a
peer cannot make us work on crumbs. All lengths are checked before anything is stored.
"""

import struct
from collections.abc import Iterator, Mapping

from p2p.errors import PeerViolation, ViolationReason
from p2p.noise import MESSAGE_BYTES_MAX, TAG_BYTES, CipherState

RECORD_PLAIN_BYTES_MAX = MESSAGE_BYTES_MAX - TAG_BYTES
"""Longest plaintext of a record, its kind byte included."""
RECORD_CIPHER_BYTES_MIN = TAG_BYTES + 1
REKEY_INTERVAL = 1 << 20
"""Records under one key; both ends replace it after the same record."""

BATCH = 0
START = 1
CONTINUE = 2

FRAME_HEADER = struct.Struct(">BI")
BATCH_BYTES_MAX = RECORD_PLAIN_BYTES_MAX - 1
"""Frames in one BATCH record."""
START_BYTES = RECORD_PLAIN_BYTES_MAX - 1
"""Frame bytes, header included, in a START record."""
CONTINUE_BYTES_MAX = RECORD_PLAIN_BYTES_MAX - 2
"""Payload bytes in a CONTINUE record."""
FRAME_TIMEOUT_MS = 60_000
"""A long frame must be complete this long after its beginning."""

_RECORD_LENGTH = struct.Struct(">H")


def encode_frame(channel: int, payload: bytes) -> bytes:
    """Put the frame header before a payload."""
    return FRAME_HEADER.pack(channel, len(payload)) + payload


class RecordWriter:
    """Encrypts plaintexts to records."""

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher

    def write(self, plaintext: bytes) -> bytes:
        """Return the record of 1 to `RECORD_PLAIN_BYTES_MAX` bytes of plaintext."""
        ciphertext = self._cipher.encrypt(plaintext)
        if self._cipher.nonce % REKEY_INTERVAL == 0:
            self._cipher.rekey()
        return _RECORD_LENGTH.pack(len(ciphertext)) + ciphertext


class RecordReader:
    """Cuts a byte stream into records and decrypts them; holds at most one unfinished record."""

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher
        self._unfinished = bytearray()
        self._is_finished = False
        """Whether `_unfinished` holds a whole record now."""

    def read(self, received: bytes | memoryview) -> Iterator[bytes]:
        """Yield the plaintexts of the records that these bytes complete; what comes before a bad record counts.

        Raises:
            PeerViolation: RECORD_LENGTH, BAD_CIPHERTEXT.
        """
        view = memoryview(received)
        position = self._continue(view) if self._unfinished else 0
        if self._is_finished:
            ciphertext = bytes(self._unfinished[2:])
            self._unfinished.clear()
            self._is_finished = False
            yield self._decrypt(ciphertext)
        end = len(view)
        while end - position >= 2:
            next_position = position + 2 + _check_record_length(view[position] << 8 | view[position + 1])
            if next_position > end:
                break
            yield self._decrypt(view[position + 2 : next_position])
            position = next_position
        if position < end:
            self._unfinished += view[position:]

    def _continue(self, view: memoryview) -> int:
        """Complete the unfinished record as far as possible and return how many bytes that took."""
        unfinished = self._unfinished
        position = 0
        if len(unfinished) == 1:
            unfinished += view[:1]
            position = len(view[:1])
        if len(unfinished) < 2:
            return position
        missing = 2 + _check_record_length(unfinished[0] << 8 | unfinished[1]) - len(unfinished)
        piece = view[position : position + missing]
        unfinished += piece
        self._is_finished = len(piece) == missing
        return position + len(piece)

    def _decrypt(self, ciphertext: bytes | memoryview) -> bytes:
        plaintext = self._cipher.decrypt(ciphertext)
        if self._cipher.nonce % REKEY_INTERVAL == 0:
            self._cipher.rekey()
        return plaintext


class FrameReader:
    """Takes frames out of plaintexts; holds at most one begun frame per channel."""

    def __init__(self, payload_bytes_max: Mapping[int, int]) -> None:
        self._payload_bytes_max = payload_bytes_max
        """Longest payload of each channel that exists."""
        self._begun: dict[int, _BegunFrame] = {}

    def read(self, plaintext: bytes, now_ms: int) -> list[tuple[int, bytes]]:
        """Return channel and payload of each frame that this plaintext completes, in order.

        Raises:
            PeerViolation: UNKNOWN_RECORD_KIND, UNKNOWN_CHANNEL, RECORD_LENGTH, FRAME_LENGTH, FRAME_ORDER.
        """
        kind = plaintext[0]
        if kind == BATCH:
            return self._read_batch(plaintext)
        if kind == START:
            self._start(plaintext, now_ms)
            return []
        if kind == CONTINUE:
            return self._continue(plaintext)
        raise PeerViolation(ViolationReason.UNKNOWN_RECORD_KIND, kind, CONTINUE)

    def check_deadlines(self, now_ms: int) -> None:
        """Check that no long frame has been under way for too long.

        Raises:
            PeerViolation: FRAME_TIMEOUT.
        """
        for begun in self._begun.values():
            age_ms = now_ms - begun.begun_ms
            if age_ms > FRAME_TIMEOUT_MS:
                raise PeerViolation(ViolationReason.FRAME_TIMEOUT, age_ms, FRAME_TIMEOUT_MS)

    def _read_batch(self, plaintext: bytes) -> list[tuple[int, bytes]]:
        frames = []
        position = 1
        end = len(plaintext)
        while position < end:
            start = position + FRAME_HEADER.size
            if start > end:
                raise PeerViolation(ViolationReason.FRAME_LENGTH, end - position, FRAME_HEADER.size)
            channel, length = FRAME_HEADER.unpack_from(plaintext, position)
            self._check_frame(channel, length)
            position = start + length
            if position > end:
                raise PeerViolation(ViolationReason.FRAME_LENGTH, length, end - start)
            if channel in self._begun:
                raise PeerViolation(ViolationReason.FRAME_ORDER, channel)
            frames.append((channel, plaintext[start:position]))
        return frames

    def _start(self, plaintext: bytes, now_ms: int) -> None:
        if len(plaintext) != RECORD_PLAIN_BYTES_MAX:
            raise PeerViolation(ViolationReason.RECORD_LENGTH, len(plaintext), RECORD_PLAIN_BYTES_MAX)
        channel, length = FRAME_HEADER.unpack_from(plaintext, 1)
        self._check_frame(channel, length)
        part = plaintext[1 + FRAME_HEADER.size :]
        if length <= len(part):
            raise PeerViolation(ViolationReason.FRAME_LENGTH, length, len(part))
        if channel in self._begun:
            raise PeerViolation(ViolationReason.FRAME_ORDER, channel)
        self._begun[channel] = _BegunFrame(part, length - len(part), now_ms)

    def _continue(self, plaintext: bytes) -> list[tuple[int, bytes]]:
        channel = plaintext[1] if len(plaintext) > 1 else -1
        begun = self._begun.get(channel)
        if begun is None:
            raise PeerViolation(ViolationReason.FRAME_ORDER, channel)
        part = plaintext[2:]
        expected = min(begun.missing_bytes, CONTINUE_BYTES_MAX)
        if len(part) != expected:
            raise PeerViolation(ViolationReason.RECORD_LENGTH, len(part), expected)
        begun.parts.append(part)
        begun.missing_bytes -= len(part)
        if begun.missing_bytes:
            return []
        del self._begun[channel]
        return [(channel, b"".join(begun.parts))]

    def _check_frame(self, channel: int, length: int) -> None:
        bound = self._payload_bytes_max.get(channel)
        if bound is None:
            raise PeerViolation(ViolationReason.UNKNOWN_CHANNEL, channel)
        if not 0 < length <= bound:
            raise PeerViolation(ViolationReason.FRAME_LENGTH, length, bound)


class _BegunFrame:
    """A frame of which parts are still missing."""

    def __init__(self, first_part: bytes, missing_bytes: int, begun_ms: int) -> None:
        self.parts = [first_part]
        self.missing_bytes = missing_bytes
        self.begun_ms = begun_ms


def _check_record_length(length: int) -> int:
    if length < RECORD_CIPHER_BYTES_MIN:
        raise PeerViolation(ViolationReason.RECORD_LENGTH, length, RECORD_CIPHER_BYTES_MIN)
    return length
