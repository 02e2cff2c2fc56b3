"""The authenticated tree: a 4-ary Merkle tree over hash buckets, in memory, grown by linear hashing.

Records (path, value hash) lie in buckets; the tree is the 4-ary heap of `tree_shape`. Pure: no disk, no values.

Invariants:
- The root commits to the split count k, the key count n and all records. With k given, it is a function of the
  records alone, whatever the order of changes.
- k follows from the parent's (k, n): growth is the first step of applying a block and part of its undo. So several
  blocks that are not final can be stacked, and taken back in reverse order.
- Buckets are immutable; an undo entry is references to the replaced ones and the replaced digests.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from state.tree_bucket import (
    BUCKET_RECORDS_MAX,
    EMPTY_BUCKET,
    RECORD_BYTES,
    Bucket,
    bucket_digest,
    make_bucket,
    record_count,
    split_bucket,
    with_record,
    without_record,
)
from state.tree_dump import Dump
from state.tree_proof import build_proof
from state.tree_shape import (
    NODE_TAG,
    PATH_BYTES,
    first_node,
    node_depth,
    splits_after,
    splits_needed,
    state_root,
)
from state.tree_view import TreeView, Undo

NODE_BYTES = 1 + 4 * PATH_BYTES
"""An inner node as it is kept: the tag 03 and the digests of its children, the preimage of its digest."""

_INNER: Bucket = b""
"""Stands in the list of buckets where a node is an inner one."""

_BLANK_NODE = NODE_TAG + bytes(NODE_BYTES - 1)


class Tree:
    """The records of one state and all digests over them."""

    def __init__(self, buckets: list[Bucket], k: int, n: int, *, cap: int = BUCKET_RECORDS_MAX) -> None:
        """Hash a complete list of nodes by number: b"" for inner nodes 0..k-1, then buckets k..4k with n records."""
        assert len(buckets) == 4 * k + 1
        self._cap = cap
        self._k = k
        self._n = n
        self._buckets = buckets
        self._records = bytearray(_BLANK_NODE * k)
        self._top = self._hash_all()
        self._root = state_root(k, n, self._top)

    @classmethod
    def build(cls, records: Iterable[tuple[bytes, bytes]], k: int, *, cap: int = BUCKET_RECORDS_MAX) -> Tree:
        """Build the tree with k splits from (path, value hash) pairs in strictly ascending order of paths."""
        depth = node_depth(k)
        low, high, shift = first_node(depth), first_node(depth + 1), 64 - 2 * depth
        buckets: list[Bucket] = [_INNER] * k + [EMPTY_BUCKET] * (3 * k + 1)
        n = 0
        number = -1
        pending: list[bytes] = []
        last_path = b""
        for path, digest in records:
            assert last_path < path, "paths must be strictly ascending"
            last_path = path
            prefix = int.from_bytes(path[:8], "big")
            target = low + (prefix >> shift)
            if target < k:
                target = high + (prefix >> (shift - 2))
            if target != number:
                if pending:
                    buckets[number] = make_bucket(b"".join(pending), node_depth(number), cap)
                number = target
                pending = []
            pending += (path, digest)
            n += 1
        if pending:
            buckets[number] = make_bucket(b"".join(pending), node_depth(number), cap)
        return cls(buckets, k, n, cap=cap)

    @classmethod
    def genesis(cls, records: Mapping[bytes, bytes], *, cap: int = BUCKET_RECORDS_MAX) -> Tree:
        """Build the tree of height 0 from value hashes by path: its split count follows from the key count."""
        return cls.build(sorted(records.items()), splits_needed(len(records)), cap=cap)

    @classmethod
    def from_dump(cls, dump: Dump, *, cap: int = BUCKET_RECORDS_MAX) -> Tree:
        """Build the tree that a decoded dump describes; the caller compares its root after catching up."""
        return cls(dump.buckets, dump.k, dump.n, cap=cap)

    @property
    def k(self) -> int:
        """Number of splits."""
        return self._k

    @property
    def n(self) -> int:
        """Number of keys."""
        return self._n

    @property
    def top(self) -> bytes:
        """Digest of node 0."""
        return self._top

    @property
    def root(self) -> bytes:
        """State root."""
        return self._root

    def prove(self, path: bytes) -> bytes:
        """Prove what the tree holds at a path: its value hash, or that it is absent."""
        return build_proof(self, path)

    def view(self, undos: Sequence[Undo]) -> TreeView:
        """Return the state below these blocks, given their undo entries from the newest to the oldest."""
        return TreeView(self, undos)

    def bucket(self, number: int) -> Bucket:
        """Return the bucket at node k..4k."""
        return self._buckets[number]

    def children(self, number: int) -> bytes:
        """Return the four digests below inner node 0..k-1, 128 bytes."""
        return bytes(self._records[NODE_BYTES * number + 1 : NODE_BYTES * (number + 1)])

    def copy_buckets(self) -> list[Bucket]:
        """Return all nodes by number, b"" for inner ones, in a list that later changes do not touch."""
        return self._buckets.copy()

    def apply(self, changes: Mapping[bytes, bytes | None]) -> Undo:
        """Apply one block: grow by the parent's counts, then set or delete (None) the value hash of each path."""
        return self._apply(changes, splits_after(self._k, self._n))

    def catch_up(self, changes: Mapping[bytes, bytes | None], k: int) -> None:
        """Apply the present value hash of each path that several blocks touched, in the shape they end with."""
        assert k >= self._k, "a shape never shrinks"
        self._apply(changes, k)

    def rollback(self, undo: Undo) -> None:
        """Take back the block applied last, with its growth."""
        assert undo.root_after == self._root, "blocks are taken back in reverse order"
        undo.restore_buckets(self._buckets)
        records, digests = self._records, undo.digests
        del records[NODE_BYTES * undo.k :]
        for position, number in enumerate(undo.numbers):
            offset = _digest_offset(number)
            records[offset : offset + PATH_BYTES] = digests[PATH_BYTES * position : PATH_BYTES * (position + 1)]
        self._k, self._n, self._top, self._root = undo.k, undo.n, undo.top, undo.root

    def _apply(self, changes: Mapping[bytes, bytes | None], k: int) -> Undo:
        k_before, n_before, top_before, root_before = self._k, self._n, self._top, self._root
        split = self._split_to(k)
        dirty = {number: self._buckets[number] for number in range(max(k, 4 * k_before + 1), 4 * k + 1)}
        self._change(changes, dirty)
        existing = 4 * k_before
        buckets = self._buckets
        replaced = {number: buckets[number] for number in dirty if number <= existing}
        for number, bucket in dirty.items():
            buckets[number] = bucket
        numbers, digests = self._rehash(sorted(dirty))
        kept = bisect_right(numbers, existing)
        self._root = state_root(k, self._n, self._top)
        return Undo(
            k=k_before,
            n=n_before,
            top=top_before,
            root=root_before,
            root_after=self._root,
            split=split,
            buckets=replaced,
            numbers=numbers[:kept],
            digests=digests[: PATH_BYTES * kept],
        )

    def _split_to(self, k: int) -> tuple[Bucket, ...]:
        """Split buckets in index order up to k splits; return those that were split. Digests are left to rehash."""
        buckets = self._buckets
        split = []
        for number in range(self._k, k):
            split.append(buckets[number])
            buckets += split_bucket(buckets[number], node_depth(number))
            buckets[number] = _INNER
        self._records += _BLANK_NODE * (k - self._k)
        self._k = k
        return tuple(split)

    def _change(self, changes: Mapping[bytes, bytes | None], dirty: dict[int, Bucket]) -> None:
        """Collect in `dirty` the buckets that the changes replace, and count keys."""
        buckets, k, cap = self._buckets, self._k, self._cap
        depth = node_depth(k)
        low, high, shift = first_node(depth), first_node(depth + 1), 64 - 2 * depth
        get, from_bytes = dirty.get, int.from_bytes
        for path, digest in changes.items():
            prefix = from_bytes(path[:8], "big")
            number = low + (prefix >> shift)
            if number < k:
                number = high + (prefix >> (shift - 2))
            bucket = get(number) or buckets[number]
            if digest is not None and isinstance(bucket, bytes):
                start = bucket.find(path)
                if start % RECORD_BYTES == 1:
                    value_start = start + PATH_BYTES
                    dirty[number] = bucket[:value_start] + digest + bucket[value_start + PATH_BYTES :]
                    continue
            bucket_depth = depth + (number >= high)
            if digest is None:
                changed = without_record(bucket, path, bucket_depth, cap)
            else:
                changed = with_record(bucket, path, digest, bucket_depth, cap)
            if changed is not bucket:
                dirty[number] = changed
                self._n += record_count(changed) - record_count(bucket)

    def _rehash(self, dirty: list[int]) -> tuple[array[int], bytes]:
        """Carry the digests of changed buckets, ascending, to the top.

        Returns the numbers of all nodes with a changed digest but node 0, ascending, and the digests before.
        """
        buckets, records = self._buckets, self._records
        cut = bisect_left(dirty, first_node(node_depth(self._k) + 1))
        numbers, shallow = dirty[cut:], dirty[:cut]
        digests = [bucket_digest(buckets[number]) for number in numbers]
        levels: list[tuple[list[int], bytes]] = []
        while numbers or shallow:
            if numbers == [0]:
                self._top = digests[0]
                break
            # As in _digest_offset, inlined: half of the time of a block is spent in this loop.
            parents = [number - 1 >> 2 for number in numbers]
            offsets = [32 * number + parent - 31 for number, parent in zip(numbers, parents, strict=True)]
            levels.append((numbers, b"".join([records[offset : offset + PATH_BYTES] for offset in offsets])))
            for offset, digest in zip(offsets, digests, strict=True):
                records[offset : offset + PATH_BYTES] = digest
            numbers = list(dict.fromkeys(parents))
            digests = [sha256(records[NODE_BYTES * p : NODE_BYTES * (p + 1)]).digest() for p in numbers]
            # Buckets one level above the deepest have greater numbers than the inner nodes beside them.
            numbers += shallow
            digests += [bucket_digest(buckets[number]) for number in shallow]
            shallow = []
        levels.reverse()
        changed = array("Q")
        for level_numbers, _ in levels:
            changed.extend(level_numbers)
        return changed, b"".join([before for _, before in levels])

    def _hash_all(self) -> bytes:
        """Compute every digest from the buckets up, and return that of node 0."""
        records, buckets, k = self._records, self._buckets, self._k
        for number in range(4 * k, 0, -1):
            if number >= k:
                digest = bucket_digest(buckets[number])
            else:
                digest = sha256(records[NODE_BYTES * number : NODE_BYTES * (number + 1)]).digest()
            offset = _digest_offset(number)
            records[offset : offset + PATH_BYTES] = digest
        return sha256(records[:NODE_BYTES]).digest() if k else bucket_digest(buckets[0])


def _digest_offset(number: int) -> int:
    """Return where the record of its parent holds the digest of a node other than 0."""
    return PATH_BYTES * (number - 1) + (number - 1 >> 2) + 1
