"""Proofs of one key: what they accept, and each way in which they refuse."""

from __future__ import annotations

import pytest

from state.tree import Tree
from state.tree_errors import ProofReason, ProofRejected
from state.tree_proof import verify_proof
from state.tree_shape import bucket_position, key_path, value_hash
from tests.support.naive_tree import NaiveTree

CONTENT = {b"key%d" % i: b"val%d" % i for i in range(60)}
RECORDS = {key_path(key): value_hash(value) for key, value in CONTENT.items()}
ABSENT = [b"absent%d" % i for i in range(60)]


@pytest.fixture(params=[(32, 0), (32, 1), (32, 5), (3, 1), (2, 0)], ids="cap{0[0]}-k{0[1]}".format)
def tree(request):
    cap, k = request.param
    return Tree.build(sorted(RECORDS.items()), k, cap=cap)


def rejection(root, key, value, proof):
    with pytest.raises(ProofRejected) as caught:
        verify_proof(root, key, value, proof)
    return caught.value


def test_every_key_is_proved_present_and_every_other_absent(tree):
    for key, value in CONTENT.items():
        verify_proof(tree.root, key, value, tree.prove(key_path(key)))
    for key in ABSENT:
        verify_proof(tree.root, key, None, tree.prove(key_path(key)))


def test_proofs_are_those_of_the_reference(tree):
    naive = NaiveTree(dict(RECORDS), tree.k, tree._cap)
    for key in [*CONTENT, *ABSENT]:
        assert tree.prove(key_path(key)) == naive.prove(key_path(key))


def test_a_wrong_value_is_refused(tree):
    refused = rejection(tree.root, b"key7", b"val8", tree.prove(key_path(b"key7")))
    assert (refused.reason, refused.seen) == (ProofReason.WRONG_VALUE, value_hash(b"val7").hex())
    assert refused.bound == value_hash(b"val8").hex()


def test_presence_does_not_pass_for_absence_nor_the_reverse(tree):
    proof = tree.prove(key_path(b"key7"))
    assert rejection(tree.root, b"key7", None, proof).reason is ProofReason.KEY_PRESENT
    proof = tree.prove(key_path(ABSENT[0]))
    assert rejection(tree.root, ABSENT[0], b"", proof).reason is ProofReason.KEY_MISSING


def test_a_record_left_out_does_not_pass_for_absence(tree):
    path = key_path(b"key7")
    proof = tree.prove(path)
    at = proof.index(path)
    shortened = proof[:17] + bytes([proof[17] - 1]) + proof[18:at] + proof[at + 64 :]
    assert rejection(tree.root, b"key7", None, shortened).reason is ProofReason.WRONG_ROOT


def test_the_complete_bucket_of_another_key_does_not_prove_absence():
    tree = Tree.build(sorted(RECORDS.items()), 5)
    key = b"key7"
    number, _ = bucket_position(key_path(key), 5)
    others = [other for other in CONTENT if bucket_position(key_path(other), 5)[0] != number]
    for other in others:
        assert rejection(tree.root, key, None, tree.prove(key_path(other))).reason is ProofReason.WRONG_ROOT


def test_a_bucket_at_a_lesser_depth_is_refused():
    tree = Tree.build(sorted(RECORDS.items()), 5)
    proof = tree.prove(key_path(b"key7"))
    start = 18 + 64 * proof[17]
    shallower = proof[:16] + bytes([proof[16] - 1]) + proof[17:start] + proof[start + 96 :]
    assert rejection(tree.root, b"key7", b"val7", shallower).reason is ProofReason.WRONG_ROOT


@pytest.mark.parametrize("key", [b"key7", ABSENT[0]])
def test_every_flipped_bit_is_refused(key):
    tree = Tree.build(sorted(RECORDS.items()), 5, cap=3)
    proof = tree.prove(key_path(key))
    for bit in range(8 * len(proof)):
        flipped = bytearray(proof)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        rejection(tree.root, key, CONTENT.get(key), bytes(flipped))


def test_a_flipped_bit_of_the_root_is_refused():
    tree = Tree.genesis(RECORDS)
    proof = tree.prove(key_path(b"key7"))
    for bit in range(256):
        root = (int.from_bytes(tree.root, "big") ^ 1 << bit).to_bytes(32, "big")
        assert rejection(root, b"key7", b"val7", proof).reason is ProofReason.WRONG_ROOT


@pytest.mark.parametrize(
    ("proof", "reason", "seen", "bound"),
    [
        (b"", ProofReason.BAD_LENGTH, 0, 18),
        (bytes(17), ProofReason.BAD_LENGTH, 17, 18),
        (bytes(16) + b"\x81\x00", ProofReason.TOO_DEEP, 129, 128),
        (bytes(16) + b"\x00\x21", ProofReason.BUCKET_TOO_LARGE, 33, 32),
        (bytes(16) + b"\x02\x03", ProofReason.BAD_LENGTH, 18, 18 + 3 * 64 + 2 * 96),
        (bytes(19), ProofReason.BAD_LENGTH, 19, 18),
        (bytes(16) + b"\x80\x20", ProofReason.BAD_LENGTH, 18, 18 + 32 * 64 + 128 * 96),
    ],
)
def test_lengths_and_counts_are_checked_first(proof, reason, seen, bound):
    refused = rejection(bytes(32), b"k", b"v", proof)
    assert (refused.reason, refused.seen, refused.bound) == (reason, seen, bound)


def test_the_empty_state_proves_absence():
    tree = Tree.genesis({})
    assert tree.prove(key_path(b"k")) == bytes(18)
    verify_proof(tree.root, b"k", None, bytes(18))


def test_the_deepest_possible_bucket_is_proved():
    prefix = key_path(b"key7")[:31]
    last = key_path(b"key7")[31]
    near = {prefix + bytes([last ^ flip]): value_hash(b"near") for flip in (1, 2, 3)}
    tree = Tree.build(sorted((RECORDS | near).items()), 0, cap=1)
    proof = tree.prove(key_path(b"key7"))
    assert (proof[16], proof[17]) == (128, 1)
    verify_proof(tree.root, b"key7", b"val7", proof)


def test_the_largest_proof_has_a_full_bucket():
    tree = Tree.build(sorted(list(RECORDS.items())[:32]), 0)
    key = next(iter(CONTENT))
    assert len(tree.prove(key_path(key))) == 18 + 32 * 64
    verify_proof(tree.root, key, CONTENT[key], tree.prove(key_path(key)))
