"""Snapshots: cut into chunks that verify one by one, and refuse whatever was changed in them."""

from __future__ import annotations

import pytest

from state import tree_snapshot
from state.tree import Tree
from state.tree_errors import SnapshotReason, SnapshotRejected
from state.tree_shape import key_path, value_hash
from state.tree_snapshot import (
    decode_entry,
    encode_entry,
    level_digests,
    snapshot_level,
    verify_chunk,
    verify_manifest,
)

CONTENT = {b"key%d" % i: b"val%d" % i for i in range(400)}


@pytest.fixture(params=[32, 3], ids="cap{}".format)
def state(request, monkeypatch):
    """Return a tree cut at level 2, the manifest's fields and the chunks, as keyword arguments and lists."""
    monkeypatch.setattr(tree_snapshot, "CHUNK_KEYS", 30)
    tree = Tree.genesis({key_path(key): value_hash(value) for key, value in CONTENT.items()}, cap=request.param)
    level, digests = level_digests(tree)
    chunks: list[list[bytes]] = [[] for _ in digests]
    for key, value in sorted(CONTENT.items(), key=lambda item: key_path(item[0])):
        chunks[key_path(key)[0] >> 4].append(encode_entry(key, value))
    manifest = {"k": tree.k, "n": tree.n, "level": level, "digests": digests}
    return tree, manifest, chunks, request.param


def refusal(chunk, index, manifest, cap):
    with pytest.raises(SnapshotRejected) as caught:
        verify_chunk(chunk, index, **manifest, cap=cap)
    return caught.value


@pytest.mark.parametrize(
    ("k", "n", "level"),
    [
        (0, 0, 0),
        (341, 4096, 0),
        (341, 4097, 1),
        (341, 16_384, 1),
        (1365, 16_385, 2),
        (83_333, 1_000_000, 4),
        (3, 10**6, 1),
    ],
)
def test_level_is_the_least_with_chunks_of_4096_keys_and_no_deeper_than_the_full_level(k, n, level):
    assert snapshot_level(k, n) == level


def test_all_chunks_of_a_state_verify(state):
    tree, manifest, chunks, cap = state
    assert manifest["level"] == 2
    verify_manifest(tree.root, **manifest)
    paths = [path for index, chunk in enumerate(chunks) for path in verify_chunk(chunk, index, **manifest, cap=cap)]
    assert paths == sorted(map(key_path, CONTENT))


def test_a_state_built_from_the_chunks_has_the_root(state):
    tree, manifest, chunks, cap = state
    entries = [decode_entry(entry) for chunk in chunks for entry in chunk]
    records = [(key_path(key), value_hash(value)) for key, value in entries]
    assert Tree.build(records, manifest["k"], cap=cap).root == tree.root


def test_a_snapshot_of_a_view_is_that_of_the_older_height(state):
    tree, manifest, _, _ = state
    undo = tree.apply({key_path(b"other%d" % i): value_hash(b"") for i in range(200)})
    assert level_digests(tree.view([undo])) == (manifest["level"], manifest["digests"])


def test_a_small_state_is_one_chunk_under_the_top():
    tree = Tree.genesis({key_path(key): value_hash(value) for key, value in CONTENT.items()})
    assert level_digests(tree) == (0, [tree.top])
    verify_manifest(tree.root, tree.k, tree.n, 0, [tree.top])
    entries = [encode_entry(key, CONTENT[key]) for key in sorted(CONTENT, key=key_path)]
    assert len(verify_chunk(entries, 0, k=tree.k, n=tree.n, level=0, digests=[tree.top])) == 400


def test_the_empty_state_is_one_empty_chunk():
    tree = Tree.genesis({})
    verify_manifest(tree.root, 0, 0, 0, [tree.top])
    assert verify_chunk([], 0, k=0, n=0, level=0, digests=[tree.top]) == []


def test_manifest_refuses_another_level_count_or_root(state):
    tree, manifest, _, _ = state
    digests = manifest["digests"]
    changed = [digests[1], digests[0], *digests[2:]]
    cases = [
        (manifest | {"level": 1}, SnapshotReason.WRONG_LEVEL),
        (manifest | {"digests": digests[:-1]}, SnapshotReason.WRONG_DIGEST_COUNT),
        (manifest | {"digests": [*digests, digests[0]]}, SnapshotReason.WRONG_DIGEST_COUNT),
        (manifest | {"digests": [*digests[:-1], digests[-1][:31]]}, SnapshotReason.WRONG_DIGEST_COUNT),
        (manifest | {"digests": changed}, SnapshotReason.WRONG_ROOT),
        (manifest | {"k": manifest["k"] + 1}, SnapshotReason.WRONG_ROOT),
        (manifest | {"n": manifest["n"] + 1}, SnapshotReason.WRONG_ROOT),
    ]
    for fields, reason in cases:
        with pytest.raises(SnapshotRejected) as caught:
            verify_manifest(tree.root, **fields)
        assert caught.value.reason is reason


def test_a_chunk_with_an_entry_left_out_changed_or_put_in_is_refused(state):
    _, manifest, chunks, cap = state
    chunk = chunks[5]
    key, _ = decode_entry(chunk[3])
    for altered in (chunk[:3] + chunk[4:], [], [*chunk[:3], encode_entry(key, b"other"), *chunk[4:]]):
        assert refusal(altered, 5, manifest, cap).reason is SnapshotReason.WRONG_CHUNK_DIGEST
    inside = next(b"new%d" % i for i in range(1000) if key_path(b"new%d" % i)[0] >> 4 == 5)
    grown = sorted([*chunk, encode_entry(inside, b"")], key=lambda entry: key_path(decode_entry(entry)[0]))
    assert refusal(grown, 5, manifest, cap).reason is SnapshotReason.WRONG_CHUNK_DIGEST


def test_a_chunk_in_another_order_or_with_an_entry_twice_is_refused(state):
    _, manifest, chunks, cap = state
    chunk = chunks[5]
    for altered in ([chunk[1], chunk[0], *chunk[2:]], [chunk[0], *chunk], chunk[::-1]):
        assert refusal(altered, 5, manifest, cap).reason is SnapshotReason.WRONG_ORDER


def test_an_entry_of_another_chunk_is_refused(state):
    _, manifest, chunks, cap = state
    assert refusal(chunks[6], 5, manifest, cap).reason is SnapshotReason.OUTSIDE_CHUNK
    assert refusal([*chunks[5], chunks[6][0]], 5, manifest, cap).reason is SnapshotReason.OUTSIDE_CHUNK


@pytest.mark.parametrize("index", [-1, 16])
def test_an_index_without_a_chunk_is_refused(state, index):
    _, manifest, _, cap = state
    refused = refusal([], index, manifest, cap)
    assert (refused.reason, refused.seen, refused.bound) == (SnapshotReason.WRONG_CHUNK_INDEX, index, 16)


def test_more_entries_than_keys_are_refused_before_they_are_read():
    with pytest.raises(SnapshotRejected) as caught:
        verify_chunk([b"", b""], 0, k=0, n=1, level=0, digests=[bytes(32)])
    assert (caught.value.reason, caught.value.seen, caught.value.bound) == (SnapshotReason.TOO_MANY_RECORDS, 2, 1)


@pytest.mark.parametrize(
    "entry", [b"", b"\x01", b"\x00\x00", b"\x00\x00value", b"\x00\x02k", b"\xff\xff" + bytes(65_534)]
)
def test_an_entry_whose_key_is_empty_or_cut_is_refused(entry):
    with pytest.raises(SnapshotRejected) as caught:
        decode_entry(entry)
    assert caught.value.reason is SnapshotReason.BAD_KEY_LENGTH


def test_a_value_above_its_limit_is_refused(monkeypatch):
    monkeypatch.setattr(tree_snapshot, "VALUE_BYTES_MAX", 8)
    assert decode_entry(encode_entry(b"k", bytes(8))) == (b"k", bytes(8))
    with pytest.raises(SnapshotRejected) as caught:
        decode_entry(encode_entry(b"k", bytes(9)))
    assert (caught.value.reason, caught.value.seen, caught.value.bound) == (SnapshotReason.VALUE_TOO_LONG, 9, 8)


@pytest.mark.parametrize(("key", "value"), [(b"k", b""), (b"k" * 65_535, b"v"), (b"\x00", bytes(70_000))])
def test_entries_round_trip(key, value):
    assert decode_entry(encode_entry(key, value)) == (key, value)
