"""Proofs of one key under a state root: inclusion and exclusion in one format.

A proof is the split count (8 bytes), the key count (8), the depth d of the bucket (1), its record count m (1), the
m records (64 each) and, deepest level first, the three other children of each of the d inner nodes above (96 each).
The complete bucket at the key's position shows the key's value hash, or that the key is absent. Verification needs
no knowledge of the shape: tags keep bucket and node preimages apart, so the hashes authenticate the depth.

`verify_proof` is all that a light client needs of the tree.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

from state.tree_bucket import BUCKET_RECORDS_MAX, RECORD_BYTES, Bucket
from state.tree_errors import ProofReason, ProofRejected
from state.tree_shape import (
    BUCKET_TAG,
    NODE_TAG,
    PATH_BYTES,
    PATH_SYMBOLS,
    bucket_position,
    key_path,
    state_root,
    symbol,
    value_hash,
)

HEAD_BYTES = 18
"""Split count, key count, depth, record count."""

SIBLINGS_BYTES = 3 * PATH_BYTES
"""The other children of one inner node."""


class TreeReader(Protocol):
    """One state of the tree: the newest or that of an older height."""

    @property
    def k(self) -> int:
        """Number of splits."""

    @property
    def n(self) -> int:
        """Number of keys."""

    @property
    def top(self) -> bytes:
        """Digest of node 0."""

    @property
    def root(self) -> bytes:
        """State root."""

    def bucket(self, number: int) -> Bucket:
        """Return the bucket at node k..4k."""

    def children(self, number: int) -> bytes:
        """Return the four digests below inner node 0..k-1, 128 bytes."""

    def copy_buckets(self) -> list[Bucket]:
        """Return all nodes by number, the bytes b"" for inner ones, in a list that later changes do not touch."""


def build_proof(reader: TreeReader, path: bytes) -> bytes:
    """Prove what the tree holds at a path: its value hash, or that it is absent."""
    number, depth = bucket_position(path, reader.k)
    bucket = reader.bucket(number)
    siblings = []
    while number:
        parent, index = (number - 1) >> 2, (number - 1) & 3
        siblings.append(_without_child(reader.children(parent), index))
        number = parent
    while not isinstance(bucket, bytes):
        index = symbol(path, depth)
        siblings.insert(0, _without_child(bucket.record[1:], index))
        bucket = bucket.children[index]
        depth += 1
    counts = bytes((depth, len(bucket) // RECORD_BYTES))
    head = reader.k.to_bytes(8, "big") + reader.n.to_bytes(8, "big") + counts
    return b"".join((head, bucket[1:], *siblings))


def _without_child(digests: bytes, index: int) -> bytes:
    start = PATH_BYTES * index
    return digests[:start] + digests[start + PATH_BYTES :]


def verify_proof(root: bytes, key: bytes, value: bytes | None, proof: bytes) -> None:
    """Check that under this state root the key has this value, or is absent if the value is None.

    Raises:
        ProofRejected: any `ProofReason`; `seen` and `bound` are the numbers, lengths or digests compared.
    """
    if len(proof) < HEAD_BYTES:
        raise ProofRejected(ProofReason.BAD_LENGTH, len(proof), HEAD_BYTES)
    depth, count = proof[16], proof[17]
    if depth > PATH_SYMBOLS:
        raise ProofRejected(ProofReason.TOO_DEEP, depth, PATH_SYMBOLS)
    if count > BUCKET_RECORDS_MAX:
        raise ProofRejected(ProofReason.BUCKET_TOO_LARGE, count, BUCKET_RECORDS_MAX)
    siblings_start = HEAD_BYTES + RECORD_BYTES * count
    length = siblings_start + SIBLINGS_BYTES * depth
    if len(proof) != length:
        raise ProofRejected(ProofReason.BAD_LENGTH, len(proof), length)
    path = key_path(key)
    records = proof[HEAD_BYTES:siblings_start]
    _check_claim(records, path, value)
    digest = sha256(BUCKET_TAG + records).digest()
    start = siblings_start
    for level in range(depth - 1, -1, -1):
        cut = start + PATH_BYTES * symbol(path, level)
        end = start + SIBLINGS_BYTES
        digest = sha256(NODE_TAG + proof[start:cut] + digest + proof[cut:end]).digest()
        start = end
    k, n = int.from_bytes(proof[:8], "big"), int.from_bytes(proof[8:16], "big")
    computed_root = state_root(k, n, digest)
    if computed_root != root:
        raise ProofRejected(ProofReason.WRONG_ROOT, computed_root.hex(), root.hex())


def _check_claim(records: bytes, path: bytes, value: bytes | None) -> None:
    starts = range(0, len(records), RECORD_BYTES)
    held = next((records[o + PATH_BYTES : o + RECORD_BYTES] for o in starts if records.startswith(path, o)), None)
    claimed = None if value is None else value_hash(value)
    if held == claimed:
        return
    if held is None:
        raise ProofRejected(ProofReason.KEY_MISSING, path.hex(), "inclusion")
    if claimed is None:
        raise ProofRejected(ProofReason.KEY_PRESENT, path.hex(), "exclusion")
    raise ProofRejected(ProofReason.WRONG_VALUE, held.hex(), claimed.hex())
