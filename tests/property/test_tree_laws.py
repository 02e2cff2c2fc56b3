"""Laws of the authenticated tree under random blocks: it equals the reference, and taking back is exact."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.tree import Tree
from state.tree_dump import decode_dump, encode_dump
from state.tree_errors import DumpRejected, ProofRejected, SnapshotRejected
from state.tree_proof import verify_proof
from state.tree_shape import key_path, value_hash
from state.tree_snapshot import level_digests, verify_chunk, verify_manifest
from tests.support.naive_tree import NaiveTree

KEYS = [b"key%d" % i for i in range(90)]
SCATTERED = [key_path(key) for key in KEYS]
CROWDED = [bytes(31) + bytes([last]) for last in range(12)]
"""Paths that differ in their last symbols only: overflow of the greatest depth, and look-alikes at shifted places."""

DIGESTS = [bytes(32), bytes(31) + b"\x01", hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()]

paths = st.sampled_from(SCATTERED + CROWDED)
changes = st.dictionaries(paths, st.none() | st.sampled_from(DIGESTS), max_size=12)
many = st.integers(0, 80).map(lambda count: dict.fromkeys(SCATTERED[:count], DIGESTS[3]))
deletions = st.integers(0, 80).map(lambda start: dict.fromkeys(SCATTERED[start:]))
blocks = st.lists(changes | many | deletions, max_size=6)
caps = st.sampled_from([2, 3, 32])


def fields(tree: Tree) -> tuple:
    buckets = [(bucket if isinstance(bucket, bytes) else bucket.digest) for bucket in tree.copy_buckets()]
    return (tree.k, tree.n, tree.top, tree.root, buckets, [tree.children(i) for i in range(tree.k)])


@settings(deadline=None, max_examples=60)
@given(blocks, caps)
def test_block_by_block_equals_bulk_build_equals_reference(block_list, cap):
    tree, naive = Tree.genesis({}, cap=cap), NaiveTree.genesis({}, cap=cap)
    for block in block_list:
        tree.apply(block)
        naive = naive.after(block)
        assert (tree.k, tree.n, tree.root) == (naive.k, len(naive.records), naive.root)
    assert fields(Tree.build(sorted(naive.records.items()), naive.k, cap=cap)) == fields(tree)


@settings(deadline=None, max_examples=40)
@given(blocks, caps, paths)
def test_proofs_at_every_height_are_those_of_the_reference(block_list, cap, path):
    tree, naive = Tree.genesis({}, cap=cap), NaiveTree.genesis({}, cap=cap)
    undos, states = [], [naive]
    for block in block_list:
        undos.append(tree.apply(block))
        states.append(states[-1].after(block))
    for height, state in enumerate(states):
        view = tree.view(undos[height:][::-1])
        assert (view.root, view.prove(path)) == (state.root, state.prove(path))


@settings(deadline=None, max_examples=100)
@given(blocks, st.lists(blocks, max_size=3), caps)
def test_taking_back_is_exact_at_every_step_also_with_growth_on_unfinal_blocks(final, tries, cap):
    tree, naive = Tree.genesis({}, cap=cap), NaiveTree.genesis({}, cap=cap)
    for block in final:
        tree.apply(block)
        naive = naive.after(block)
    for speculative in tries:
        before, undos = [], []
        for block in speculative:
            before.append(fields(tree))
            undos.append(tree.apply(block))
        while undos:
            tree.rollback(undos.pop())
            assert fields(tree) == before.pop()
    for block in (dict.fromkeys(SCATTERED, DIGESTS[2]), {}):
        tree.apply(block)
        naive = naive.after(block)
    assert tree.root == naive.root


@settings(deadline=None, max_examples=60)
@given(changes | many, st.lists(changes | many, max_size=3), caps)
def test_order_and_grouping_of_changes_do_not_matter_within_a_shape(start, block_list, cap):
    one_by_one, at_once = (Tree.genesis({p: d for p, d in start.items() if d}, cap=cap) for _ in range(2))
    merged: dict[bytes, bytes | None] = {}
    for block in block_list:
        for path, digest in reversed(block.items()):
            one_by_one.apply({path: digest})
        merged |= block
    one_by_one.apply({})
    at_once.catch_up(merged, one_by_one.k)
    assert fields(at_once) == fields(one_by_one)


@settings(deadline=None, max_examples=60)
@given(blocks, blocks, caps)
def test_dump_and_snapshot_of_a_final_height_hold_under_unfinal_blocks(final, unfinal, cap):
    tree = Tree.genesis({}, cap=cap)
    for block in final:
        tree.apply(block)
    expected = (tree.root, b"".join(encode_dump(tree, 1)), level_digests(tree))
    undos = [tree.apply(block) for block in unfinal]
    view = tree.view(undos[::-1])
    assert (view.root, b"".join(encode_dump(view, 1)), level_digests(view)) == expected
    verify_manifest(view.root, view.k, view.n, *level_digests(view))
    assert Tree.from_dump(decode_dump(io.BytesIO(expected[1]), cap=cap), cap=cap).root == view.root


@settings(deadline=None, max_examples=100)
@given(st.sets(st.sampled_from(KEYS)), st.sampled_from(KEYS), st.sampled_from([b"v", b"w", b"", None]), caps)
def test_a_proof_shows_exactly_what_the_state_holds(keys, key, claim, cap):
    tree = Tree.genesis({key_path(each): value_hash(b"v") for each in keys}, cap=cap)
    proof = tree.prove(key_path(key))
    held = b"v" if key in keys else None
    if claim == held:
        verify_proof(tree.root, key, claim, proof)
    else:
        assert refuses_proof(tree.root, key, claim, proof)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=700), st.none() | st.binary(max_size=4))
def test_no_bytes_prove_anything_under_an_unrelated_root(proof, value):
    assert refuses_proof(hashlib.sha256(b"unrelated").digest(), b"key", value, proof)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_table_is_refused_or_has_another_root(data):
    tree = Tree.genesis(dict.fromkeys(SCATTERED[:40] + CROWDED, DIGESTS[2]), cap=3)
    table = bytearray(b"".join(encode_dump(tree, 1)))
    for _ in range(data.draw(st.integers(1, 3))):
        table[data.draw(st.integers(8, len(table) - 1))] ^= data.draw(st.integers(1, 255))
    if bytes(table) == b"".join(encode_dump(tree, 1)):
        return
    try:
        dump = decode_dump(io.BytesIO(bytes(table)), cap=3)
    except DumpRejected:
        return
    assert Tree.from_dump(dump, cap=3).root != tree.root


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=12), max_size=4), st.integers(-1, 2), st.integers(0, 5))
def test_no_entries_pass_under_an_unrelated_digest(entries, index, k):
    with pytest.raises(SnapshotRejected):
        verify_chunk(entries, index, k=k, n=3, level=0, digests=[bytes(32)])


def refuses_proof(root, key, value, proof):
    try:
        verify_proof(root, key, value, proof)
    except ProofRejected:
        return True
    return False
