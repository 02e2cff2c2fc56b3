"""Cost of the authenticated tree: microseconds per touched key, proofs, dump, memory.

Run from the project's root: python bench/bench_tree.py [keys ...]; the default is 100000 and 1000000 keys.
"""

from __future__ import annotations

import gc
import hashlib
import io
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from state.tree import Tree
from state.tree_dump import decode_dump, encode_dump
from state.tree_proof import verify_proof
from state.tree_shape import key_path, splits_needed, value_hash
from state.tree_snapshot import level_digests
from state.tree_view import Undo

BLOCK_KEYS = 1000
BLOCKS = 60
PROOFS = 2000


@contextmanager
def measured(label: str, per: int, unit: str) -> Iterator[None]:
    """Print the CPU time of the block divided by `per`."""
    gc.collect()
    start = time.process_time()
    yield
    spent = (time.process_time() - start) * 1e6 / per
    print(f"  {label:<44} {spent:10.2f} us per {unit}")


def key(index: int) -> bytes:
    return b"key%d" % index


def resident_bytes() -> int:
    with Path("/proc/self/statm").open() as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def undo_bytes(undo: Undo) -> int:
    """Return what an undo entry keeps from being freed: replaced buckets, digests and their index."""
    held = [undo.buckets, *undo.buckets, *undo.buckets.values(), undo.numbers, undo.digests]
    return sum(map(sys.getsizeof, held))


def update_blocks(chance: random.Random, count: int) -> list[dict[bytes, bytes | None]]:
    digest = hashlib.sha256
    return [
        {key_path(key(chance.randrange(count))): digest(b"%d.%d" % (block, i)).digest() for i in range(BLOCK_KEYS)}
        for block in range(BLOCKS)
    ]


def insert_blocks(first: int) -> list[dict[bytes, bytes | None]]:
    starts = range(first, first + BLOCKS * BLOCK_KEYS, BLOCK_KEYS)
    return [{key_path(key(i)): value_hash(b"v") for i in range(start, start + BLOCK_KEYS)} for start in starts]


def run(count: int) -> None:
    print(f"{count} keys, blocks of {BLOCK_KEYS}")
    chance = random.Random(1)
    records = sorted((key_path(key(i)), value_hash(b"v")) for i in range(count))
    gc.collect()
    before = resident_bytes()
    with measured("build from sorted records", count, "key"):
        tree = Tree.build(records, splits_needed(count))
    print(f"  {'memory of the tree':<44} {(resident_bytes() - before) / 1e6:10.1f} MB")
    del records
    blocks = update_blocks(chance, count)
    with measured("apply, existing keys", BLOCKS * BLOCK_KEYS, "touched key"):
        undos = [tree.apply(block) for block in blocks]
    with measured("roll back", BLOCKS * BLOCK_KEYS, "touched key"):
        for undo in reversed(undos):
            tree.rollback(undo)
    print(f"  {'memory of an undo entry':<44} {sum(map(undo_bytes, undos)) / BLOCKS / 1e3:10.1f} kB")
    inserts = insert_blocks(count)
    with measured("apply, keys inserted, with growth", BLOCKS * BLOCK_KEYS, "touched key"):
        undos = [tree.apply(block) for block in inserts]
    keys = [key(chance.randrange(count)) for _ in range(PROOFS)]
    paths = [key_path(each) for each in keys]
    with measured("make a proof", PROOFS, "proof"):
        proofs = [tree.prove(path) for path in paths]
    print(f"  {'proof':<44} {sum(map(len, proofs)) // PROOFS:10d} bytes")
    with measured("verify a proof", PROOFS, "proof"):
        for each, proof in zip(keys, proofs, strict=True):
            verify_proof(tree.root, each, b"v", proof)
    view = tree.view(undos[::-1])
    with measured(f"make a proof {BLOCKS} blocks below", PROOFS, "proof"):
        for path in paths:
            view.prove(path)
    with measured("digests of a snapshot", 1, "snapshot"):
        level_digests(view)
    with measured("encode a dump", tree.n, "key"):
        dump = b"".join(encode_dump(tree, 1))
    with measured("decode a dump and hash the tree", tree.n, "key"):
        restored = Tree.from_dump(decode_dump(io.BytesIO(dump)))
    assert restored.root == tree.root


def main() -> None:
    for count in [int(argument) for argument in sys.argv[1:]] or [100_000, 1_000_000]:
        run(count)


if __name__ == "__main__":
    main()
