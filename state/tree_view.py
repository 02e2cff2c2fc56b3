"""Older states of the authenticated tree, read through the undo entries of the blocks above them.

An undo entry holds what one block replaced: buckets, node digests and the buckets that it split. A view of height g
takes each bucket and digest from the first entry above g that replaced it, and from the tree if none did. So a view
costs nothing to make, and a proof costs one search per entry and level.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from state.tree_bucket import Bucket
from state.tree_proof import TreeReader, build_proof
from state.tree_shape import PATH_BYTES


@dataclass(frozen=True, slots=True)
class Undo:
    """What one block replaced in the tree: enough to take it back and to read the state below it."""

    k: int
    """Split count below the block."""
    n: int
    """Key count below the block."""
    top: bytes
    """Digest of node 0 below the block."""
    root: bytes
    """State root below the block."""
    root_after: bytes
    """State root with the block applied; rollback and views check by it that entries follow one another."""
    split: tuple[Bucket, ...]
    """Buckets that the block's growth made inner nodes, from node k on."""
    buckets: dict[int, Bucket]
    """Replaced buckets by node number."""
    numbers: array[int]
    """Nodes below node 0 that existed before and whose digest the block changed, ascending."""
    digests: bytes
    """Their digests below the block, 32 bytes each."""

    def find_bucket(self, number: int) -> Bucket | None:
        """Return the bucket at a node below the block, or None if the block left it alone."""
        position = number - self.k
        return self.split[position] if 0 <= position < len(self.split) else self.buckets.get(number)

    def restore_buckets(self, buckets: list[Bucket]) -> None:
        """Turn the list of all buckets with the block applied into the list below it."""
        for number, bucket in self.buckets.items():
            buckets[number] = bucket
        buckets[self.k : self.k + len(self.split)] = self.split
        del buckets[4 * self.k + 1 :]

    def restore_children(self, number: int, digests: bytearray) -> None:
        """Turn the four digests under an inner node with the block applied into those below it."""
        first = 4 * number + 1
        for position in range(bisect_left(self.numbers, first), len(self.numbers)):
            child = self.numbers[position] - first
            if child > 3:
                return
            start = PATH_BYTES * position
            digests[PATH_BYTES * child : PATH_BYTES * (child + 1)] = self.digests[start : start + PATH_BYTES]


class TreeView:
    """The state of an older height, as long as the tree does not change.

    Reading a view of a tree that has another root than when the view was made is a mistake and asserts.
    """

    def __init__(self, tree: TreeReader, undos: Sequence[Undo]) -> None:
        root = tree.root
        for undo in undos:
            assert undo.root_after == root, "undo entries must lead from the tree's state downwards, newest first"
            root = undo.root
        self._tree = tree
        self._tree_root = tree.root
        self._undos = tuple(undos)
        state = undos[-1] if undos else tree
        self.k = state.k
        """Number of splits."""
        self.n = state.n
        """Number of keys."""
        self.top = state.top
        """Digest of node 0."""
        self.root = root
        """State root."""

    def prove(self, path: bytes) -> bytes:
        """Prove what this state holds at a path: its value hash, or that it is absent."""
        return build_proof(self, path)

    def bucket(self, number: int) -> Bucket:
        """Return the bucket at node k..4k."""
        tree = self._current_tree()
        for undo in reversed(self._undos):
            bucket = undo.find_bucket(number)
            if bucket is not None:
                return bucket
        return tree.bucket(number)

    def children(self, number: int) -> bytes:
        """Return the four digests below inner node 0..k-1, 128 bytes."""
        digests = bytearray(self._current_tree().children(number))
        for undo in self._undos:
            undo.restore_children(number, digests)
        return bytes(digests)

    def copy_buckets(self) -> list[Bucket]:
        """Return all nodes by number, b"" for inner ones, in a list that later changes do not touch."""
        buckets = self._current_tree().copy_buckets()
        for undo in self._undos:
            undo.restore_buckets(buckets)
        return buckets

    def _current_tree(self) -> TreeReader:
        assert self._tree.root == self._tree_root, "the tree changed under this view"
        return self._tree
