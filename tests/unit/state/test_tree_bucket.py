"""Buckets: order, overflow and collapse, and records that look like others at a shifted place."""

from __future__ import annotations

import hashlib
import random

import pytest

from state.tree_bucket import (
    EMPTY_BUCKET,
    Overflow,
    bucket_digest,
    bucket_records,
    make_bucket,
    record_count,
    split_bucket,
    with_record,
    without_record,
)

DIGEST = b"d" * 32


def path_at(prefix: str, tail: int = 0) -> bytes:
    """Return a path that starts with these symbols and ends with a number."""
    head = int(prefix.ljust(16, "0"), 4).to_bytes(4, "big")
    return head + tail.to_bytes(28, "big")


def filled(paths, cap=2, depth=0):
    bucket = EMPTY_BUCKET
    for path in paths:
        bucket = with_record(bucket, path, DIGEST, depth, cap)
    return bucket


def test_empty_bucket_is_its_tag():
    assert bucket_digest(EMPTY_BUCKET) == hashlib.sha256(b"\x02").digest()
    assert record_count(EMPTY_BUCKET) == 0


def test_plain_bucket_is_the_preimage_in_order_of_paths():
    paths = [path_at("", tail) for tail in (3, 1, 2)]
    assert filled(paths, cap=3) == b"\x02" + b"".join(path + DIGEST for path in sorted(paths))


def test_one_record_above_the_cap_makes_an_inner_node_of_four_buckets():
    paths = [path_at(prefix) for prefix in ("0", "2", "3")]
    bucket = filled(paths)
    assert isinstance(bucket, Overflow)
    assert bucket.children == (
        b"\x02" + paths[0] + DIGEST,
        b"\x02",
        b"\x02" + paths[1] + DIGEST,
        b"\x02" + paths[2] + DIGEST,
    )
    assert bucket.record == b"\x03" + b"".join(hashlib.sha256(child).digest() for child in bucket.children)
    assert bucket.digest == bucket_digest(bucket) == hashlib.sha256(bucket.record).digest()
    assert record_count(bucket) == 3


def test_overflow_goes_down_to_the_last_symbol():
    bucket = filled([path_at("", tail) for tail in range(4)], cap=1)
    for _ in range(127):
        bucket = bucket.children[0]
    assert bucket.children == tuple(b"\x02" + path_at("", tail) + DIGEST for tail in range(4))


def test_bucket_is_plain_again_as_soon_as_it_fits():
    paths = [path_at(prefix) for prefix in ("00", "01", "10")]
    overflow = filled(paths)
    assert without_record(overflow, paths[1], 0, 2) == b"\x02" + paths[0] + DIGEST + paths[2] + DIGEST
    assert bucket_records(overflow) == b"".join(path + DIGEST for path in paths)


@pytest.mark.parametrize("cap", [2, 5])
def test_removing_an_absent_path_returns_the_same_object(cap):
    bucket = filled([path_at(prefix) for prefix in ("0", "1", "2")], cap=cap)
    assert without_record(bucket, path_at("3"), 0, cap) is bucket


def test_changes_leave_the_old_object_alone():
    overflow = filled([path_at(prefix) for prefix in ("0", "1", "2")])
    digest, records = overflow.digest, bucket_records(overflow)
    changed = with_record(overflow, path_at("1"), b"e" * 32, 0, 2)
    assert (overflow.digest, bucket_records(overflow)) == (digest, records)
    assert bucket_records(changed) == records.replace(path_at("1") + DIGEST, path_at("1") + b"e" * 32)


def test_a_path_that_first_appears_inside_other_records_is_found_at_its_own_place():
    wanted = bytes(31) + b"\x02"
    other = bytes(31) + b"\x01"
    bucket = with_record(filled([other], cap=4), other, bytes(31) + b"\x02", 0, 4)
    assert bucket.find(wanted) == 33
    bucket = with_record(bucket, wanted, DIGEST, 0, 4)
    assert bucket == b"\x02" + other + bytes(31) + b"\x02" + wanted + DIGEST
    assert without_record(bucket, wanted, 0, 4) == b"\x02" + other + bytes(31) + b"\x02"


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_split_divides_by_the_symbol_at_the_depth_and_keeps_overflow_children(depth):
    chance = random.Random(depth)
    prefix = "".join(chance.choice("0123") for _ in range(depth))
    paths = sorted(path_at(prefix + chance.choice("0123"), tail) for tail in range(12))
    records = b"".join(path + DIGEST for path in paths)
    plain, overflow = make_bucket(records, depth, 12), make_bucket(records, depth, 11)
    assert isinstance(overflow, Overflow)
    assert split_bucket(plain, depth) == split_bucket(overflow, depth) == overflow.children
    assert b"".join(map(bucket_records, split_bucket(plain, depth))) == records


def test_bucket_depends_on_its_records_alone():
    chance = random.Random(7)
    paths = [path_at("012", chance.randrange(1 << 20)) for _ in range(20)]
    kept = paths[:9]
    grown = filled(paths, cap=3, depth=3)
    for path in set(paths) - set(kept):
        grown = without_record(grown, path, 3, 3)
    direct = make_bucket(b"".join(path + DIGEST for path in sorted(set(kept))), 3, 3)
    assert bucket_digest(grown) == bucket_digest(direct)
    assert bucket_records(grown) == bucket_records(direct)
