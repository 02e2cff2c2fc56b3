"""The tree: published roots, growth inside blocks, stacking and taking back."""

from __future__ import annotations

import hashlib
import random

import pytest

from state.tree import Tree
from state.tree_shape import key_path, splits_needed, value_hash
from tests.support.naive_tree import NaiveTree

ROOTS = [
    (0, 0, "7a6579ae179795def036c71272049bea670c2e21c4a9b30d42066a9fe09dee2c"),
    (1, 0, "7f16f11a4b876811e6d5d54a67f2bdc160539f73f99de95cdd8aedcea6731387"),
    (4, 0, "12fc3320467754aa8ec4263909d91e8aab94f3158c1342f20e67056476329b74"),
    (5, 1, "23aba4aafbe348beed11ed9cbae97474387a523a0dc5c05c945391f46709e6d6"),
    (16, 1, "c3ae55acc952e94661de4e0cce7c8969cdb7fe22a9b5e8124c4e39258fc7a5df"),
    (17, 2, "240d7bcb9d3171716138cb336de1b87196678adf90289bbdc7b3f2326befa0f9"),
    (100, 8, "823da9183682e3e94fbdfb26937b660b8022ecbd54fec358276b5ed50652a380"),
    (1000, 83, "910b02bf4e8dbc2c4eddd3ea01a9d96516a5007cf70d91723bf1b5f0ca873423"),
]
OVERFLOW_ROOT = "a37c091613caf6757c3fe7c30292f4d6c1b75600f968ce8c2fd4201b9cbde36f"

BOUNDARIES = [0, 1, 5, 21, 85, 341]
"""Split counts at which a whole level has been split."""


def key_records(start: int, end: int) -> dict[bytes, bytes]:
    return {key_path(b"key%d" % i): value_hash(b"val%d" % i) for i in range(start, end)}


def overflow_records() -> dict[bytes, bytes]:
    return {key_path(b"c%d" % i): value_hash(b"x") for i in range(300)}


def fields(tree: Tree) -> tuple:
    """Return all that a tree holds."""
    return (tree.k, tree.n, tree.top, tree.root, tree.copy_buckets(), [tree.children(i) for i in range(tree.k)])


@pytest.mark.parametrize(("n", "k", "root"), ROOTS)
def test_published_root_of_a_bulk_build(n, k, root):
    tree = Tree.genesis(key_records(0, n))
    assert (tree.k, tree.n, tree.root.hex()) == (k, n, root)


@pytest.mark.parametrize(("n", "k", "root"), ROOTS)
def test_published_root_of_one_key_at_a_time(n, k, root):
    tree = Tree.genesis({})
    for path, digest in key_records(0, n).items():
        tree.apply({path: digest})
    tree.apply({})
    assert (tree.k, tree.n, tree.root.hex()) == (k, n, root)


@pytest.mark.parametrize(("n", "k", "root"), ROOTS)
def test_published_root_of_the_reference(n, k, root):
    tree = NaiveTree.genesis(key_records(0, n))
    assert (tree.k, tree.root.hex()) == (k, root)


def test_published_root_of_an_overflowing_bucket():
    records = overflow_records()
    bulk = Tree.build(sorted(records.items()), 0)
    single_block = Tree.genesis({})
    single_block.apply(records)
    assert bulk.root.hex() == single_block.root.hex() == OVERFLOW_ROOT
    assert NaiveTree(records, 0).root.hex() == OVERFLOW_ROOT


def test_growth_follows_from_the_parent_and_is_the_first_step_of_the_next_block():
    tree = Tree.genesis(key_records(0, 4))
    first = tree.apply(key_records(4, 100))
    assert (first.k, tree.k, tree.n) == (0, 0, 100)
    second = tree.apply({})
    assert (second.k, tree.k, tree.n) == (0, splits_needed(100), 100)
    assert tree.root == Tree.build(sorted(key_records(0, 100).items()), 8).root


@pytest.mark.parametrize("k", BOUNDARIES)
def test_growth_across_a_whole_level_equals_a_bulk_build_on_both_sides(k):
    count = 12 * k + 4
    tree = Tree.genesis(key_records(0, count - 12 if k else 0))
    for start in range(tree.n, count + 13, 3):
        records = key_records(0, start + 3)
        tree.apply(key_records(start, start + 3))
        assert tree.root == Tree.build(sorted(records.items()), splits_needed(start)).root


@pytest.mark.parametrize("k", BOUNDARIES[1:])
def test_one_block_that_splits_several_levels_is_taken_back_whole(k):
    tree = Tree.genesis({})
    tree.apply(key_records(0, 12 * k + 5))
    before = fields(tree)
    undo = tree.apply(key_records(10, 30) | dict.fromkeys(key_records(30, 45)))
    assert tree.k == k + 1
    assert max(undo.buckets, default=0) <= 4 * undo.k
    expected = {path: digest for path, digest in key_records(0, 12 * k + 5).items() if path not in key_records(30, 45)}
    expected |= key_records(10, 30)
    assert tree.root == Tree.build(sorted(expected.items()), k + 1).root
    tree.rollback(undo)
    assert fields(tree) == before


def test_the_shape_stays_when_keys_are_deleted():
    tree = Tree.genesis(key_records(0, 100))
    tree.apply(dict.fromkeys(key_records(0, 100)))
    assert (tree.k, tree.n) == (8, 0)
    assert tree.root == Tree.build([], 8).root != Tree.genesis({}).root


def test_deleting_absent_keys_changes_nothing():
    tree = Tree.build(sorted(overflow_records().items()), 3)
    tree.catch_up({}, splits_needed(300))
    before = fields(tree)
    undo = tree.apply(dict.fromkeys(key_records(0, 50)))
    assert fields(tree) == before
    assert (undo.buckets, len(undo.numbers), undo.split) == ({}, 0, ())


def test_empty_block_keeps_the_root():
    tree = Tree.genesis(key_records(0, 1000))
    before = tree.root
    tree.apply({})
    assert tree.root == before


def test_a_key_with_an_empty_value_exists():
    tree = Tree.genesis({})
    tree.apply({key_path(b"k"): value_hash(b"")})
    assert tree.n == 1
    assert tree.root != Tree.genesis({}).root


def test_competing_blocks_on_one_parent_are_tried_one_after_another():
    tree = Tree.genesis(key_records(0, 300))
    parent = fields(tree)
    losing = [tree.apply(key_records(250, 600)), tree.apply(dict.fromkeys(key_records(0, 40)))]
    for undo in reversed(losing):
        tree.rollback(undo)
    assert fields(tree) == parent
    tree.apply(key_records(300, 320))
    assert tree.root == Tree.build(sorted(key_records(0, 320).items()), splits_needed(300)).root


def test_blocks_are_taken_back_in_reverse_order_only():
    tree = Tree.genesis({})
    first = tree.apply(key_records(0, 3))
    tree.apply(key_records(3, 6))
    with pytest.raises(AssertionError):
        tree.rollback(first)


def test_catching_up_with_the_touched_paths_gives_the_later_root():
    records = key_records(0, 200)
    tree, behind = Tree.genesis(records), Tree.genesis(records)
    touched: dict[bytes, bytes | None] = {}
    chance = random.Random(3)
    for block in range(12):
        changes: dict[bytes, bytes | None] = key_records(200 + 20 * block, 220 + 20 * block)
        changes |= dict.fromkeys(chance.sample(sorted(records), 9))
        tree.apply(changes)
        touched |= changes
    behind.catch_up(touched, tree.k)
    assert fields(behind) == fields(tree)


def test_bulk_build_refuses_paths_out_of_order_or_twice():
    one, two = sorted(key_records(0, 2).items())
    for records in ([two, one], [one, one]):
        with pytest.raises(AssertionError):
            Tree.build(records, 0)


def test_copied_buckets_do_not_change_with_the_tree():
    tree = Tree.genesis(key_records(0, 50))
    copied = tree.copy_buckets()
    digest = hashlib.sha256(repr(copied).encode()).digest()
    tree.apply(dict.fromkeys(key_records(0, 50)))
    assert hashlib.sha256(repr(copied).encode()).digest() == digest
