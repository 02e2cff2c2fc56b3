"""Merkle tree of a list, for transaction and receipt roots: leaf 0x00, node 0x01, larger left half a power of two.

Source: RFC 6962 section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the 32-byte root of the leaves in their order; of no leaves, the hash of nothing."""
    if not leaves:
        return EMPTY_ROOT
    level = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the sibling digests of the leaf at index, nearest first.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    siblings: list[bytes] = []
    level = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        level = _parents(level)
        index >>= 1
    return tuple(siblings)


def verify_inclusion(tree_root: bytes, leaf: bytes, index: int, leaf_count: int, siblings: Sequence[bytes]) -> bool:
    """Tell whether the leaf stands at index in the list of leaf_count leaves with this root.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < leaf_count:
        return False
    digest = sha256(b"\x00" + leaf).digest()
    position, last = index, leaf_count - 1
    for sibling in siblings:
        if last == 0 or len(sibling) != 32:
            return False
        if position & 1 or position == last:
            digest = sha256(b"\x01" + sibling + digest).digest()
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            digest = sha256(b"\x01" + digest + sibling).digest()
        position >>= 1
        last >>= 1
    return last == 0 and digest == tree_root


def _parents(level: list[bytes]) -> list[bytes]:
    """Pair up digests; an odd last one moves up unchanged, which gives the shape of the RFC."""
    paired = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) & 1:
        paired.append(level[-1])
    return paired
