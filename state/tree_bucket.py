"""Buckets of the authenticated tree: immutable sets of (path, value hash) records.

A plain bucket is the exact preimage of its digest: the tag 02, then 64 bytes for each record, paths strictly
ascending. More than `cap` records at one position become an `Overflow`: an inner node (tag 03) over four bucket
positions one level deeper, and a plain bucket again as soon as they fit. So a bucket is a pure function of its
records, whatever the order of changes. Every change returns another object; holding the old one is a complete undo.
"""

from __future__ import annotations

from bisect import bisect_left
from hashlib import sha256

from state.tree_shape import BUCKET_TAG, NODE_TAG, PATH_BYTES, symbol

BUCKET_RECORDS_MAX = 32
"""Most records in a plain bucket: bounds the bucket in a proof to 2 KiB. Part of the hashing rules."""

RECORD_BYTES = 2 * PATH_BYTES
"""One record: path, then value hash."""

EMPTY_BUCKET = BUCKET_TAG
"""The bucket without records."""


class Overflow:
    """A bucket position that holds more records than a plain bucket may; immutable."""

    __slots__ = ("children", "count", "digest", "record")

    def __init__(self, children: tuple[Bucket, ...], record: bytes) -> None:
        self.children = children
        """The four bucket positions one level deeper."""
        self.record = record
        """The tag 03 and the four digests of the children, 129 bytes."""
        self.digest = sha256(record).digest()
        self.count = sum(map(record_count, children))

    def replace(self, index: int, child: Bucket) -> Overflow:
        """Return this position with another child."""
        start = 1 + PATH_BYTES * index
        record = self.record[:start] + bucket_digest(child) + self.record[start + PATH_BYTES :]
        return Overflow((*self.children[:index], child, *self.children[index + 1 :]), record)


Bucket = bytes | Overflow


def bucket_digest(bucket: Bucket) -> bytes:
    """Return the digest that stands for a bucket position in its parent."""
    return sha256(bucket).digest() if isinstance(bucket, bytes) else bucket.digest


def record_count(bucket: Bucket) -> int:
    """Return how many records a bucket position holds."""
    return len(bucket) // RECORD_BYTES if isinstance(bucket, bytes) else bucket.count


def bucket_records(bucket: Bucket) -> bytes:
    """Return all records of a bucket position in ascending order of paths."""
    return bucket[1:] if isinstance(bucket, bytes) else b"".join(map(bucket_records, bucket.children))


def make_bucket(records: bytes, depth: int, cap: int) -> Bucket:
    """Build the bucket at this depth from records with strictly ascending paths."""
    if len(records) <= RECORD_BYTES * cap:
        return BUCKET_TAG + records
    children = tuple(make_bucket(part, depth + 1, cap) for part in partition(records, depth))
    return Overflow(children, NODE_TAG + b"".join(map(bucket_digest, children)))


def partition(records: bytes, depth: int) -> list[bytes]:
    """Divide ascending records that agree in all symbols before `depth` into the four runs by that symbol."""
    offsets = range(0, len(records), RECORD_BYTES)
    index, shift = depth >> 2, 6 - 2 * (depth & 3)
    cuts = [RECORD_BYTES * bisect_left(offsets, c, key=lambda o: records[o + index] >> shift & 3) for c in (1, 2, 3)]
    return [records[start:end] for start, end in zip((0, *cuts), (*cuts, len(records)), strict=True)]


def split_bucket(bucket: Bucket, depth: int) -> tuple[Bucket, ...]:
    """Return the four buckets one level deeper that replace the bucket at this depth."""
    if isinstance(bucket, Overflow):
        return bucket.children
    return tuple(BUCKET_TAG + part for part in partition(bucket[1:], depth))


def find_record(bucket: bytes, path: bytes) -> tuple[int, bool]:
    """Return the offset of a path's record in a plain bucket, or where it belongs, and whether it is there."""
    starts = range(1, len(bucket), RECORD_BYTES)
    start = 1 + RECORD_BYTES * bisect_left(starts, path, key=lambda o: bucket[o : o + PATH_BYTES])
    return start, bucket.startswith(path, start)


def with_record(bucket: Bucket, path: bytes, digest: bytes, depth: int, cap: int) -> Bucket:
    """Return the bucket at this depth with the path's value hash set, whether or not it was there."""
    if isinstance(bucket, Overflow):
        index = symbol(path, depth)
        return bucket.replace(index, with_record(bucket.children[index], path, digest, depth + 1, cap))
    start, is_present = find_record(bucket, path)
    rest = bucket[start + RECORD_BYTES * is_present :]
    changed = bucket[:start] + path + digest + rest
    return changed if record_count(changed) <= cap else make_bucket(changed[1:], depth, cap)


def without_record(bucket: Bucket, path: bytes, depth: int, cap: int) -> Bucket:
    """Return the bucket at this depth without the path; the same object if the path is not there."""
    if isinstance(bucket, bytes):
        start, is_present = find_record(bucket, path)
        return bucket[:start] + bucket[start + RECORD_BYTES :] if is_present else bucket
    index = symbol(path, depth)
    child = without_record(bucket.children[index], path, depth + 1, cap)
    if child is bucket.children[index]:
        return bucket
    if bucket.count - 1 <= cap:
        children = (*bucket.children[:index], child, *bucket.children[index + 1 :])
        return BUCKET_TAG + b"".join(map(bucket_records, children))
    return bucket.replace(index, child)
