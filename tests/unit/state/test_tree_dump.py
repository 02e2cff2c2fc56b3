"""The stored table: what a restart loads, and every way in which a damaged one is refused."""

from __future__ import annotations

import io

import pytest

from state import tree_dump
from state.tree import Tree
from state.tree_bucket import bucket_records, record_count
from state.tree_dump import decode_dump, encode_dump
from state.tree_errors import DumpReason, DumpRejected
from state.tree_shape import key_path, value_hash


def records(start: int, end: int) -> dict[bytes, bytes]:
    return {key_path(b"key%d" % i): value_hash(b"v") for i in range(start, end)}


def encoded(reader, height=7):
    return b"".join(encode_dump(reader, height))


def rejection(table, cap=32):
    with pytest.raises(DumpRejected) as caught:
        decode_dump(io.BytesIO(table), cap=cap)
    return caught.value


@pytest.mark.parametrize("count", [0, 1, 4, 5, 17, 60, 300])
@pytest.mark.parametrize("cap", [32, 2])
def test_a_tree_comes_back_from_its_table(count, cap):
    tree = Tree.genesis(records(0, count), cap=cap)
    dump = decode_dump(io.BytesIO(encoded(tree)), cap=cap)
    restored = Tree.from_dump(dump, cap=cap)
    assert dump.height == 7
    assert (restored.k, restored.n, restored.root) == (tree.k, tree.n, tree.root)
    assert encoded(restored) == encoded(tree)


def test_the_table_holds_heads_counts_and_records_in_order_of_paths():
    tree = Tree.genesis(records(0, 28))
    assert tree.k == 2
    in_order = [tree.bucket(number) for number in (5, 6, 7, 8, 2, 3, 4)]
    expected = b"".join(number.to_bytes(8, "big") for number in (7, 2, 28))
    expected += b"".join(record_count(bucket).to_bytes(4, "big") for bucket in in_order)
    expected += b"".join(map(bucket_records, in_order))
    assert encoded(tree) == expected
    assert expected[24 + 28 :] == b"".join(path + digest for path, digest in sorted(records(0, 28).items()))


def test_small_slices_give_the_same_table(monkeypatch):
    tree = Tree.genesis(records(0, 300))
    whole = encoded(tree)
    monkeypatch.setattr(tree_dump, "SLICE_BUCKETS", 3)
    monkeypatch.setattr(tree_dump, "READ_BYTES_MAX", 10)
    slices = list(encode_dump(tree, 7))
    assert len(slices) > 40
    assert b"".join(slices) == whole
    assert Tree.from_dump(decode_dump(io.BytesIO(whole))).root == tree.root


def test_the_state_is_taken_when_the_dump_begins():
    tree = Tree.genesis(records(0, 100))
    expected = encoded(tree)
    slices = encode_dump(tree, 7)
    tree.apply(records(100, 200))
    tree.apply({})
    assert b"".join(slices) == expected


def test_a_dump_of_a_view_is_that_of_the_final_height_below():
    tree = Tree.genesis(records(0, 100))
    tree.apply(records(100, 160))
    expected = encoded(tree)
    undos = [tree.apply(records(160, 240)), tree.apply(dict.fromkeys(records(0, 90)))]
    assert encoded(tree.view(undos[::-1])) == expected


def test_a_loaded_dump_catches_up_through_later_growth():
    tree = Tree.genesis(records(0, 100))
    table = encoded(tree)
    touched: dict[bytes, bytes | None] = {}
    for changes in (records(100, 160), dict.fromkeys(records(0, 20)), records(160, 200)):
        tree.apply(changes)
        touched |= changes
    restored = Tree.from_dump(decode_dump(io.BytesIO(table)))
    restored.catch_up(touched, tree.k)
    assert (restored.k, restored.n, restored.root) == (tree.k, tree.n, tree.root)


def test_a_table_cut_anywhere_or_continued_is_refused():
    table = encoded(Tree.genesis(records(0, 17)))
    for length in range(len(table)):
        assert rejection(table[:length]).reason is DumpReason.BAD_LENGTH
    assert rejection(table + b"\x00").reason is DumpReason.BAD_LENGTH


def test_a_damaged_count_of_splits_asks_for_no_more_memory_than_the_table_has():
    table = encoded(Tree.genesis(records(0, 17)))
    huge = table[:8] + (1 << 62).to_bytes(8, "big") + table[16:]
    assert rejection(huge).reason is DumpReason.BAD_LENGTH
    many = table[:16] + ((1 << 32) - 1).to_bytes(8, "big") + b"\xff" * 4 + bytes(24) + table[52:]
    assert rejection(many).reason is DumpReason.BAD_LENGTH


def test_counts_that_do_not_add_up_are_refused():
    table = encoded(Tree.genesis(records(0, 17)))
    refused = rejection(table[:16] + (18).to_bytes(8, "big") + table[24:])
    assert (refused.reason, refused.seen, refused.bound) == (DumpReason.WRONG_KEY_COUNT, 17, 18)


def test_records_out_of_order_are_refused():
    table = encoded(Tree.genesis(records(0, 4)))
    assert rejection(table[:28] + table[92:156] + table[28:92] + table[156:]).reason is DumpReason.WRONG_ORDER
    assert rejection(table[:28] + table[28:92] * 2 + table[156:]).reason is DumpReason.WRONG_ORDER


def test_order_is_checked_across_slices(monkeypatch):
    monkeypatch.setattr(tree_dump, "SLICE_BUCKETS", 1)
    table = encoded(Tree.genesis(records(0, 5)))
    body = [table[start : start + 64] for start in range(40, len(table), 64)]
    assert rejection(table[:40] + b"".join(body[::-1])).reason in {DumpReason.WRONG_ORDER, DumpReason.WRONG_BUCKET}


@pytest.mark.parametrize(("moved", "position", "number"), [(-1, 1, 2), (1, 2, 1)])
def test_a_record_counted_to_the_bucket_beside_its_own_is_refused(moved, position, number):
    tree = Tree.genesis(records(0, 16))
    counts = [record_count(tree.bucket(number)) for number in (1, 2, 3, 4)]
    shifted = [counts[0] + moved, counts[1] - moved, *counts[2:]]
    table = encoded(tree)
    altered = table[:24] + b"".join(count.to_bytes(4, "big") for count in shifted) + table[40:]
    refused = rejection(altered)
    assert (refused.reason, refused.seen, refused.bound) == (DumpReason.WRONG_BUCKET, position, number)


def test_a_changed_value_hash_shows_in_the_root():
    tree = Tree.genesis(records(0, 17))
    table = encoded(tree)
    altered = Tree.from_dump(decode_dump(io.BytesIO(table[:-1] + bytes([table[-1] ^ 1]))))
    assert altered.root != tree.root
