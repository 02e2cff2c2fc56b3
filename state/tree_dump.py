"""The stored table of the tree: what a restart loads instead of reading every record of the state.

Bytes: height, split count k and key count n (8 each), the record count of each bucket (4 each), then all records
(64 each). Buckets stand in order of paths: the deepest level lies before the one above it. A dump describes the state
of one final height, in the shape that this height's root commits to, and is no proof: after loading and catching up
the root is compared with the stored one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import BinaryIO

from state.tree_bucket import (
    BUCKET_RECORDS_MAX,
    RECORD_BYTES,
    Bucket,
    bucket_records,
    make_bucket,
    record_count,
)
from state.tree_errors import DumpReason, DumpRejected
from state.tree_proof import TreeReader
from state.tree_shape import PATH_BYTES, bucket_position, first_node, node_depth

SLICE_BUCKETS = 4096
"""Buckets in one slice of a dump: about 1 MiB, a few milliseconds of work between two blocks."""

READ_BYTES_MAX = 1 << 20
"""Most bytes asked of a stream at once, so that a damaged count cannot ask for more memory than the file has."""

_HEAD = struct.Struct(">QQQ")


@dataclass(frozen=True, slots=True)
class Dump:
    """The tree of one final height as it was stored."""

    height: int
    k: int
    """Number of splits."""
    n: int
    """Number of keys."""
    buckets: list[Bucket]
    """All nodes by number: b"" for inner ones, then the buckets."""


def encode_dump(reader: TreeReader, height: int) -> Iterator[bytes]:
    """Return the slices of the stored table of this state.

    The state is taken at the call; the slices may be drawn later, also in another thread, while the tree changes.
    """
    k, buckets = reader.k, reader.copy_buckets()
    deep = first_node(node_depth(k) + 1)
    return chain([_HEAD.pack(height, k, reader.n)], _encode_buckets(buckets[deep:] + buckets[k:deep]))


def _encode_buckets(buckets: list[Bucket]) -> Iterator[bytes]:
    slices = range(0, len(buckets), SLICE_BUCKETS)
    for start in slices:
        counts = [record_count(bucket) for bucket in buckets[start : start + SLICE_BUCKETS]]
        yield struct.pack(f">{len(counts)}I", *counts)
    for start in slices:
        yield b"".join([bucket_records(bucket) for bucket in buckets[start : start + SLICE_BUCKETS]])


def decode_dump(stream: BinaryIO, *, cap: int = BUCKET_RECORDS_MAX) -> Dump:
    """Read a stored table to the end of the stream.

    Memory stays within a small multiple of the bytes that the stream really holds.

    Raises:
        DumpRejected: any `DumpReason`.
    """
    height, k, n = _HEAD.unpack(_read(stream, _HEAD.size))
    counts: list[int] = []
    while len(counts) < 3 * k + 1:
        count = min(SLICE_BUCKETS, 3 * k + 1 - len(counts))
        counts += struct.unpack(f">{count}I", _read(stream, 4 * count))
    if sum(counts) != n:
        raise DumpRejected(DumpReason.WRONG_KEY_COUNT, sum(counts), n)
    buckets: list[Bucket] = [b""] * (4 * k + 1)
    last_path = b""
    deep = first_node(node_depth(k) + 1)
    numbers = [*range(deep, 4 * k + 1), *range(k, deep)]
    for start in range(0, len(counts), SLICE_BUCKETS):
        slice_counts = counts[start : start + SLICE_BUCKETS]
        records = _read(stream, RECORD_BYTES * sum(slice_counts))
        last_path = _check_order(records, last_path)
        end = 0
        for number, count in zip(numbers[start : start + SLICE_BUCKETS], slice_counts, strict=True):
            begin, end = end, end + RECORD_BYTES * count
            buckets[number] = _decode_bucket(records[begin:end], number, k, cap)
    if stream.read(1):
        raise DumpRejected(DumpReason.BAD_LENGTH, "more bytes", "end of the last record")
    return Dump(height=height, k=k, n=n, buckets=buckets)


def _read(stream: BinaryIO, length: int) -> bytes:
    pieces = []
    missing = length
    while missing:
        piece = stream.read(min(missing, READ_BYTES_MAX))
        if not piece:
            raise DumpRejected(DumpReason.BAD_LENGTH, length - missing, length)
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _check_order(records: bytes, last_path: bytes) -> bytes:
    """Return the last path of the records, which must go on ascending from the last one before them."""
    paths = [records[start : start + PATH_BYTES] for start in range(0, len(records), RECORD_BYTES)]
    for before, after in pairwise([last_path, *paths]):
        if before >= after:
            raise DumpRejected(DumpReason.WRONG_ORDER, after.hex(), before.hex())
    return paths[-1] if paths else last_path


def _decode_bucket(records: bytes, number: int, k: int, cap: int) -> Bucket:
    """Build a bucket from ascending records; the first and the last show that all belong to it."""
    depth = node_depth(k)
    for start in (0, len(records) - RECORD_BYTES) if records else ():
        position, depth = bucket_position(records[start : start + PATH_BYTES], k)
        if position != number:
            raise DumpRejected(DumpReason.WRONG_BUCKET, position, number)
    return make_bucket(records, depth, cap)
