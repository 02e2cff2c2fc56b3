"""Shape and hashing of the authenticated tree: where a key lives and what is hashed.

The tree is a 4-ary heap. Node 0 is the top, the children of node q are 4q + 1 .. 4q + 4, nodes 0 .. k - 1 are inner
nodes and nodes k .. 4k are buckets. One integer k therefore is the whole shape: the split number q turns bucket q
into an inner node, and in index order the next split is always node k. k never shrinks.

Everything here is a pure function.
"""

from __future__ import annotations

from hashlib import sha256

PATH_BYTES = 32
"""Length of a path and of every digest."""

KEY_BYTES_MAX = 65_535
"""Longest key; its length is stored in two bytes."""

VALUE_BYTES_MAX = (1 << 24) - 1
"""Longest value."""

PATH_SYMBOLS = 4 * PATH_BYTES
"""Two-bit symbols in a path: no node lies deeper."""

KEYS_PER_SPLIT = 12
"""A split replaces one bucket by four, so this many keys more keep buckets at four keys on average."""

KEY_TAG = b"\x00"
VALUE_TAG = b"\x01"
BUCKET_TAG = b"\x02"
NODE_TAG = b"\x03"
ROOT_TAG = b"\x04"
"""First byte of each preimage; distinct tags keep a bucket from passing for a node."""


def key_path(key: bytes) -> bytes:
    """Return the 32-byte path of a key of 1 to 65535 bytes."""
    return sha256(KEY_TAG + key).digest()


def value_hash(value: bytes) -> bytes:
    """Return the 32-byte digest that the tree holds for a value of at most 2^24 - 1 bytes."""
    return sha256(VALUE_TAG + value).digest()


def state_root(k: int, n: int, top: bytes) -> bytes:
    """Return the root over the split count, the key count and the digest of node 0."""
    return sha256(ROOT_TAG + k.to_bytes(8, "big") + n.to_bytes(8, "big") + top).digest()


def splits_needed(n: int) -> int:
    """Return the smallest split count for n keys: buckets then hold four keys on average."""
    return (n + 7) // KEYS_PER_SPLIT


def splits_after(k: int, n: int) -> int:
    """Return the split count of the block whose parent has k splits and n keys."""
    return max(k, splits_needed(n))


def first_node(depth: int) -> int:
    """Return the number of the first node at this depth."""
    return ((1 << 2 * depth) - 1) // 3


def node_depth(number: int) -> int:
    """Return the depth of a node. With k splits, node k is the first bucket and every node at its depth exists."""
    return ((3 * number + 1).bit_length() - 1) // 2


def symbol(path: bytes, depth: int) -> int:
    """Return which child, 0..3, an inner node at this depth selects for the path."""
    return path[depth >> 2] >> (6 - 2 * (depth & 3)) & 3


def bucket_position(path: bytes, k: int) -> tuple[int, int]:
    """Return number and depth of the bucket that a path belongs to, with k splits."""
    depth = node_depth(k)
    prefix = int.from_bytes(path[:8], "big")
    number = first_node(depth) + (prefix >> (64 - 2 * depth))
    if number >= k:
        return number, depth
    return first_node(depth + 1) + (prefix >> (62 - 2 * depth)), depth + 1
