"""Older heights: read through the undo entries of the blocks above them."""

from __future__ import annotations

import random

import pytest

from state.tree import Tree
from state.tree_proof import verify_proof
from state.tree_shape import key_path, value_hash
from tests.support.naive_tree import NaiveTree


def records(start: int, end: int, value: bytes = b"v") -> dict[bytes, bytes]:
    return {key_path(b"key%d" % i): value_hash(value) for i in range(start, end)}


def chain_of_blocks(heights: int):
    """Return a tree after blocks that grow and shrink it, their undo entries, and the reference at each height."""
    chance = random.Random(11)
    tree, undos = Tree.genesis(records(0, 3), cap=3), []
    states = [NaiveTree.genesis(records(0, 3), cap=3)]
    n = 3
    for height in range(1, heights + 1):
        added = chance.randrange(0, 30)
        changes: dict[bytes, bytes | None] = records(n, n + added) | records(0, n // 3, b"%d" % height)
        changes |= dict.fromkeys(list(records(0, n))[height::7])
        n += added
        undos.append(tree.apply(changes))
        states.append(states[-1].after(changes))
    return tree, undos, states


def test_every_older_height_reads_as_it_was_across_splits_of_whole_levels():
    tree, undos, states = chain_of_blocks(14)
    assert states[0].k == 0
    assert states[-1].k > 6
    paths = list(records(0, 230))[::9]
    for height, state in enumerate(states):
        view = tree.view(undos[height:][::-1])
        assert (view.k, view.n, view.root) == (state.k, len(state.records), state.root)
        assert [view.prove(path) for path in paths] == [state.prove(path) for path in paths]


def test_an_older_value_is_proved_under_the_older_root():
    tree = Tree.genesis(records(0, 40, b"before"))
    root = tree.root
    undos = [tree.apply(records(0, 40, b"after")), tree.apply(records(40, 90))]
    proof = tree.view(undos[::-1]).prove(key_path(b"key5"))
    verify_proof(root, b"key5", b"before", proof)
    verify_proof(tree.root, b"key5", b"after", tree.prove(key_path(b"key5")))


def test_a_view_holds_the_buckets_that_a_rollback_restores():
    tree, undos, states = chain_of_blocks(14)
    for height in range(len(undos) - 1, -1, -1):
        view = tree.view([undos[height]])
        buckets, top = view.copy_buckets(), view.top
        numbers = range(view.k, 4 * view.k + 1)
        single = [view.bucket(number) for number in numbers]
        children = [view.children(number) for number in range(view.k)]
        tree.rollback(undos[height])
        assert (buckets, top) == (tree.copy_buckets(), tree.top)
        assert single == [tree.bucket(number) for number in numbers]
        assert children == [tree.children(number) for number in range(tree.k)]
        assert tree.root == states[height].root


def test_a_view_without_undo_entries_is_the_tree_itself():
    tree = Tree.genesis(records(0, 40))
    view = tree.view([])
    assert (view.k, view.n, view.top, view.root) == (tree.k, tree.n, tree.top, tree.root)
    assert view.prove(key_path(b"key1")) == tree.prove(key_path(b"key1"))


def test_a_view_of_a_tree_that_moved_on_is_a_mistake():
    tree = Tree.genesis(records(0, 40))
    view = tree.view([tree.apply(records(40, 50))])
    further = tree.apply(records(50, 60))
    for read in (lambda: view.prove(key_path(b"key1")), view.copy_buckets, lambda: view.children(0)):
        with pytest.raises(AssertionError):
            read()
    tree.rollback(further)
    assert view.prove(key_path(b"key1"))


def test_undo_entries_must_follow_one_another():
    tree = Tree.genesis(records(0, 40))
    undos = [tree.apply(records(start, start + 10)) for start in (40, 50, 60)]
    for wrong in (undos, undos[:1], [undos[2], undos[0]]):
        with pytest.raises(AssertionError):
            tree.view(wrong)
