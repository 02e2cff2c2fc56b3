"""A slow reference of the authenticated tree, written from its definition and sharing no code with it.

It keeps a dict of records and computes everything anew by recursion over symbol prefixes: depths, split slots and
overflow as the definition states them, instead of the heap of node numbers that `state.tree` keeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def naive_splits_needed(n: int) -> int:
    return max(0, -(-(n - 4) // 12))


def naive_shape(k: int) -> tuple[int, int]:
    """Return the full depth D and the number s of split nodes at it."""
    depth = 0
    while (4 ** (depth + 1) - 1) // 3 <= k:
        depth += 1
    return depth, k - (4**depth - 1) // 3


@cache
def symbols(path: bytes) -> str:
    """Return the path as a string of the digits 0..3."""
    return "".join(str(byte >> shift & 3) for byte in path for shift in (6, 4, 2, 0))


@dataclass
class NaiveTree:
    """Records by path in a shape of k splits."""

    records: dict[bytes, bytes]
    k: int
    cap: int = 32

    @classmethod
    def genesis(cls, records: Mapping[bytes, bytes], cap: int = 32) -> NaiveTree:
        return cls(dict(records), naive_splits_needed(len(records)), cap)

    def after(self, changes: Mapping[bytes, bytes | None]) -> NaiveTree:
        """Return the tree after a block."""
        records = {path: digest for path, digest in self.records.items() if path not in changes}
        records |= {path: digest for path, digest in changes.items() if digest is not None}
        return NaiveTree(records, max(self.k, naive_splits_needed(len(self.records))), self.cap)

    @property
    def root(self) -> bytes:
        return sha(b"\x04", self.k.to_bytes(8, "big"), len(self.records).to_bytes(8, "big"), self.digest(""))

    def digest(self, prefix: str) -> bytes:
        """Return the digest of the node that a prefix of symbols leads to."""
        members = self._members(prefix)
        if self._is_inner(prefix, len(members)):
            return sha(b"\x03", *(self.digest(prefix + child) for child in "0123"))
        return sha(b"\x02", *members)

    def prove(self, path: bytes) -> bytes:
        """Return the proof of a path, by its format."""
        digits = symbols(path)
        depth = 0
        siblings: list[bytes] = []
        while self._is_inner(digits[:depth], len(self._members(digits[:depth]))):
            others = [child for child in "0123" if child != digits[depth]]
            siblings.insert(0, b"".join(self.digest(digits[:depth] + child) for child in others))
            depth += 1
        members = self._members(digits[:depth])
        head = self.k.to_bytes(8, "big") + len(self.records).to_bytes(8, "big") + bytes([depth, len(members)])
        return head + b"".join(members) + b"".join(siblings)

    def _members(self, prefix: str) -> list[bytes]:
        chosen = sorted(path for path in self.records if symbols(path).startswith(prefix))
        return [path + self.records[path] for path in chosen]

    def _is_inner(self, prefix: str, count: int) -> bool:
        full_depth, split_count = naive_shape(self.k)
        index = int(prefix, 4) if prefix else 0
        if len(prefix) < full_depth or (len(prefix) == full_depth and index < split_count):
            return True
        return count > self.cap
