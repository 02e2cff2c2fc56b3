"""Snapshots of the state in chunks that verify one by one under a state root.

A snapshot is cut at level L of the tree: chunk c holds every entry whose path starts with the 2 L bits of c, in order
of paths, and digest c is that of node c at level L. The manifest (k, n, L and the digests) folds to the state root
that a verified header gives. Then chunks may come from any peer in any order, and a bad one convicts its sender.

An entry is the key's length (2 bytes), the key and the value, as the state's database holds it under the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from state.tree_bucket import BUCKET_RECORDS_MAX, bucket_digest, make_bucket, partition
from state.tree_errors import SnapshotReason, SnapshotRejected
from state.tree_proof import TreeReader
from state.tree_shape import (
    NODE_TAG,
    PATH_BYTES,
    VALUE_BYTES_MAX,
    first_node,
    key_path,
    node_depth,
    state_root,
    value_hash,
)

CHUNK_KEYS = 4096
"""Keys in a chunk on average, at most: a chunk is made or checked in some 10 ms and fits a few network frames."""

KEY_LENGTH_BYTES = 2
"""Bytes of an entry before its key."""


def encode_entry(key: bytes, value: bytes) -> bytes:
    """Return the entry of a key of 1 to 65535 bytes."""
    return len(key).to_bytes(KEY_LENGTH_BYTES, "big") + key + value


def decode_entry(entry: bytes) -> tuple[bytes, bytes]:
    """Return key and value of an entry.

    Raises:
        SnapshotRejected: BAD_KEY_LENGTH, VALUE_TOO_LONG.
    """
    key_end = KEY_LENGTH_BYTES + int.from_bytes(entry[:KEY_LENGTH_BYTES], "big")
    if not KEY_LENGTH_BYTES < key_end <= len(entry):
        raise SnapshotRejected(SnapshotReason.BAD_KEY_LENGTH, key_end - KEY_LENGTH_BYTES, len(entry))
    if len(entry) - key_end > VALUE_BYTES_MAX:
        raise SnapshotRejected(SnapshotReason.VALUE_TOO_LONG, len(entry) - key_end, VALUE_BYTES_MAX)
    return entry[KEY_LENGTH_BYTES:key_end], entry[key_end:]


def snapshot_level(k: int, n: int) -> int:
    """Return the level at which a state with k splits and n keys is cut into chunks."""
    level = 0
    while n > CHUNK_KEYS << 2 * level and level < node_depth(k):
        level += 1
    return level


def level_digests(reader: TreeReader) -> tuple[int, list[bytes]]:
    """Return the level at which this state is cut, and the 4^level digests of its chunks, in order."""
    level = snapshot_level(reader.k, reader.n)
    if level == 0:
        return 0, [reader.top]
    row = b"".join([reader.children(parent) for parent in range(first_node(level - 1), first_node(level))])
    return level, [row[start : start + PATH_BYTES] for start in range(0, len(row), PATH_BYTES)]


def verify_manifest(root: bytes, k: int, n: int, level: int, digests: Sequence[bytes]) -> None:
    """Check that a manifest describes the state under this root, cut where the rule says.

    Raises:
        SnapshotRejected: WRONG_LEVEL, WRONG_DIGEST_COUNT, WRONG_ROOT.
    """
    if level != snapshot_level(k, n):
        raise SnapshotRejected(SnapshotReason.WRONG_LEVEL, level, snapshot_level(k, n))
    lengths = list(map(len, digests))
    if lengths != [PATH_BYTES] * (1 << 2 * level):
        raise SnapshotRejected(SnapshotReason.WRONG_DIGEST_COUNT, len(lengths), 1 << 2 * level)
    row = list(digests)
    while len(row) > 1:
        row = [sha256(NODE_TAG + b"".join(row[at : at + 4])).digest() for at in range(0, len(row), 4)]
    computed_root = state_root(k, n, row[0])
    if computed_root != root:
        raise SnapshotRejected(SnapshotReason.WRONG_ROOT, computed_root.hex(), root.hex())


def verify_chunk(
    entries: Sequence[bytes],
    index: int,
    *,
    k: int,
    n: int,
    level: int,
    digests: Sequence[bytes],
    cap: int = BUCKET_RECORDS_MAX,
) -> list[bytes]:
    """Check a chunk against a verified manifest, and return the path of each entry.

    The caller bounds the bytes of the chunk before decoding it into entries.

    Raises:
        SnapshotRejected: WRONG_CHUNK_INDEX, TOO_MANY_RECORDS, BAD_KEY_LENGTH, VALUE_TOO_LONG, WRONG_ORDER,
            OUTSIDE_CHUNK, WRONG_CHUNK_DIGEST.
    """
    if not 0 <= index < len(digests):
        raise SnapshotRejected(SnapshotReason.WRONG_CHUNK_INDEX, index, len(digests))
    if len(entries) > n:
        raise SnapshotRejected(SnapshotReason.TOO_MANY_RECORDS, len(entries), n)
    paths: list[bytes] = []
    records: list[bytes] = []
    last_path = b""
    for entry in entries:
        key, value = decode_entry(entry)
        path = key_path(key)
        if path <= last_path:
            raise SnapshotRejected(SnapshotReason.WRONG_ORDER, path.hex(), last_path.hex())
        if int.from_bytes(path[:8], "big") >> (64 - 2 * level) != index:
            raise SnapshotRejected(SnapshotReason.OUTSIDE_CHUNK, path.hex(), index)
        last_path = path
        paths.append(path)
        records += (path, value_hash(value))
    digest = _node_digest(b"".join(records), first_node(level) + index, level, k, cap)
    if digest != digests[index]:
        raise SnapshotRejected(SnapshotReason.WRONG_CHUNK_DIGEST, digest.hex(), digests[index].hex())
    return paths


def _node_digest(records: bytes, number: int, depth: int, k: int, cap: int) -> bytes:
    """Return the digest of a node from all records below it, with k splits."""
    if number >= k:
        return bucket_digest(make_bucket(records, depth, cap))
    children = [
        _node_digest(part, 4 * number + 1 + child, depth + 1, k, cap)
        for child, part in enumerate(partition(records, depth))
    ]
    return sha256(NODE_TAG + b"".join(children)).digest()
