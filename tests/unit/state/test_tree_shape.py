"""Where a key lives: growth by one split at a time, and the target for a number of keys."""

from __future__ import annotations

import hashlib

import pytest

from state.tree_shape import (
    bucket_position,
    first_node,
    key_path,
    node_depth,
    splits_after,
    splits_needed,
    state_root,
    symbol,
    value_hash,
)
from tests.support.naive_tree import naive_shape, naive_splits_needed, symbols

LAST_PATH = b"\xff" * 32


def test_hashes_carry_their_tags():
    assert key_path(b"k") == hashlib.sha256(b"\x00k").digest()
    assert value_hash(b"") == hashlib.sha256(b"\x01").digest()
    assert (
        state_root(1, 2, b"t" * 32)
        == hashlib.sha256(b"\x04" + bytes(7) + b"\x01" + bytes(7) + b"\x02" + b"t" * 32).digest()
    )


@pytest.mark.parametrize(("n", "k"), [(0, 0), (4, 0), (5, 1), (16, 1), (17, 2), (28, 2), (29, 3), (1_000_000, 83_333)])
def test_a_split_for_every_twelve_keys_above_four(n, k):
    assert splits_needed(n) == k == naive_splits_needed(n)


def test_the_shape_never_shrinks():
    assert splits_after(5, 0) == 5
    assert splits_after(5, 100) == 8


@pytest.mark.parametrize(
    ("k", "depth"),
    [(0, 0), (1, 1), (4, 1), (5, 2), (20, 2), (21, 3), (84, 3), (85, 4), (340, 4), (341, 5), ((4**31 - 1) // 3, 31)],
)
def test_depth_steps_when_a_level_is_split(k, depth):
    assert node_depth(k) == depth == naive_shape(k)[0]
    assert first_node(depth) <= k < first_node(depth + 1)


@pytest.mark.parametrize("k", [0, 1, 2, 4, 5, 6, 20, 21, 22, 84, 85, 86])
def test_every_path_has_one_bucket_below_the_inner_nodes_on_its_way(k):
    paths = [hashlib.sha256(b"%d" % i).digest() for i in range(200)] + [bytes(32), LAST_PATH]
    for path in paths:
        number, depth = bucket_position(path, k)
        assert k <= number <= 4 * k
        walked = 0
        for level in range(depth):
            assert walked < k
            walked = 4 * walked + 1 + symbol(path, level)
        assert walked == number


def test_symbols_are_pairs_of_bits_from_the_first():
    path = bytes([0b00011011]) + bytes(30) + bytes([0b11100100])
    assert [symbol(path, depth) for depth in (0, 1, 2, 3, 124, 125, 126, 127)] == [0, 1, 2, 3, 3, 2, 1, 0]
    assert symbols(path) == "".join(str(symbol(path, depth)) for depth in range(128))
