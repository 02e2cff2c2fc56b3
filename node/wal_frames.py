"""Frames of the log file: how groups of records lie on the disk, and how a torn end differs from damage.

    magic (4)  length u32  payload  crc32 u32 over magic, length and payload

The payload is a canonical (salt, sequence, records). Sequences count from 0; the salt is random for each file, so that no bytes
from outside, stored inside a record, pass for a frame. Frame 0 holds one record, the header, which says whose log it is.

A bad frame is the torn end of the last group only if no valid frame follows it. A file without a valid first frame is always
damaged, because it is created as a whole.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from state.codec import Codec, UInt, Wire, encode
from state.errors import Malformed

GROUP_BYTES_MAX: Final = 64 << 20
"""A group of more is divided, and could then be kept in part; no step of consensus appends as much."""

_MAGIC: Final = b"bWL1"
_SALT_BYTES: Final = 8
_HEAD_BYTES: Final = 8
_SALT_START: Final = _HEAD_BYTES + 3
"""Behind the array's and the salt's MessagePack heads."""


class _Group(Wire, frozen=True):
    """Payload of a frame."""

    salt: Annotated[bytes, Meta(min_length=_SALT_BYTES, max_length=_SALT_BYTES)]
    sequence: UInt
    records: tuple[bytes, ...]


_GROUP_CODEC: Final = Codec(_Group, GROUP_BYTES_MAX + 64)


class Scan(Struct, frozen=True):
    """What a log file holds."""

    records: tuple[bytes, ...]
    """All records of the valid frames at the start of the file, the header first."""
    valid_bytes: int
    """Where the first bad frame starts; the length of the file if there is none."""
    file_bytes: int
    is_damaged: bool
    """The bad frame is not merely the torn end of the last group."""


def scan_log(content: bytes) -> Scan:
    """Read the valid frames at the start of a log file and judge what follows them."""
    records: list[bytes] = []
    salt = content[_SALT_START : _SALT_START + _SALT_BYTES]
    offset, sequence = 0, 0
    while frame := _read_frame(content, offset):
        group, end = frame
        if group.salt != salt or group.sequence != sequence:
            break
        records += group.records
        offset, sequence = end, sequence + 1
    is_damaged = sequence == 0 or _has_frame_from(content, offset, salt)
    return Scan(tuple(records), offset, len(content), is_damaged)


def _read_frame(content: bytes, offset: int) -> tuple[_Group, int] | None:
    """Return the group of the frame at this offset and the offset after it, or None if no valid frame is there."""
    if not content.startswith(_MAGIC, offset):
        return None
    payload_start = offset + _HEAD_BYTES
    payload_end = payload_start + int.from_bytes(content[offset + 4 : payload_start], "big")
    checksum = content[payload_end : payload_end + 4]
    with memoryview(content) as view:
        if len(checksum) < 4 or zlib.crc32(view[offset:payload_end]) != int.from_bytes(checksum, "big"):
            return None
    try:
        return _GROUP_CODEC.decode(content[payload_start:payload_end]), payload_end + 4
    except Malformed:
        return None


def _has_frame_from(content: bytes, offset: int, salt: bytes) -> bool:
    """Tell whether a valid frame of this file starts at the offset or anywhere after it.

    The salt is compared before any checksum is computed: records full of fake frames cost one comparison each.
    """
    candidate = content.find(_MAGIC, offset)
    while candidate >= 0:
        if content.startswith(salt, candidate + _SALT_START) and _read_frame(content, candidate):
            return True
        candidate = content.find(_MAGIC, candidate + 1)
    return False


class FrameWriter:
    """Makes the frames of one file in their order."""

    def __init__(self) -> None:
        self._salt = os.urandom(_SALT_BYTES)
        self._sequence = 0

    def frame(self, records: Sequence[bytes]) -> bytes:
        """Return the next frame, with these records."""
        payload = encode(_Group(salt=self._salt, sequence=self._sequence, records=tuple(records)))
        self._sequence += 1
        framed = _MAGIC + len(payload).to_bytes(4, "big") + payload
        return framed + zlib.crc32(framed).to_bytes(4, "big")

    def frames(self, records: Sequence[bytes]) -> Iterator[bytes]:
        """Yield frames with these records, as few as their size allows."""
        group: list[bytes] = []
        group_bytes = 0
        for record in records:
            if group_bytes + len(record) + 8 > GROUP_BYTES_MAX:
                yield self.frame(group)
                group, group_bytes = [], 0
            group.append(record)
            group_bytes += len(record) + 8
        if group:
            yield self.frame(group)
