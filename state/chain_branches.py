"""Executed blocks that are not final yet, and the tree that stands at one of them at a time.

Blocks are executed before they are final and on different branches. Each keeps its overlay of decoded records and its changes to
the tree; the tree itself has the blocks of one branch applied and is moved to another by taking blocks back to the common ancestor
and applying the others again. Roots are independent of that order.

Invariants:
- Every block here descends from the final one, and its parent is the final one or is here.
- The tree is the final state with exactly the blocks of `_applied` on it, oldest first, each the parent of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from state.block import BlockReference, BlockResult, Header
from state.codec import encode
from state.errors import ensure
from state.ledger import BaseLedger, Ledger, Overlay
from state.receipts import Event, Receipt
from state.tree import Tree
from state.tree_shape import key_path, value_hash
from state.tree_snapshot import encode_entry
from state.tree_view import Undo
from state.validators import ValidatorSet


class ExecutedBlock(Struct, frozen=True):
    """A block and what executing it gave."""

    block_hash: bytes
    header: Header
    envelopes: tuple[bytes, ...]
    block_result: BlockResult
    result_hash: bytes
    """What finalize votes and the next header name."""
    next_validators: ValidatorSet
    receipts: tuple[Receipt, ...]
    events: tuple[Event, ...]

    @property
    def reference(self) -> BlockReference:
        """The block as others refer to it."""
        header = self.header
        return BlockReference(
            block_hash=self.block_hash, height=header.height, time_ms=header.time_ms, result=self.result_hash
        )

    @property
    def is_sealing(self) -> bool:
        """Whether the block changed the validator set and so ends its epoch."""
        return self.block_result.next_validators_hash != self.header.validators_hash


class StateChanges(Struct, frozen=True):
    """What one block changed, by path; None where there is no record."""

    entries_before: dict[bytes, bytes | None]
    entries_after: dict[bytes, bytes | None]
    digests: dict[bytes, bytes | None]
    """Value hashes after the block, as the tree takes them."""


def collect_changes(overlay: Overlay) -> StateChanges:
    """Return what a block changed, encoded and placed."""
    entries_before: dict[bytes, bytes | None] = {}
    entries_after: dict[bytes, bytes | None] = {}
    digests: dict[bytes, bytes | None] = {}
    for raw_key, before, after in overlay.differences():
        path = key_path(raw_key)
        entries_before[path] = None if before is None else encode_entry(raw_key, encode(before))
        if after is None:
            entries_after[path] = digests[path] = None
        else:
            encoded = encode(after)
            entries_after[path] = encode_entry(raw_key, encoded)
            digests[path] = value_hash(encoded)
    return StateChanges(entries_before, entries_after, digests)


class Candidate:
    """An executed block with its state."""

    __slots__ = ("block", "changes", "overlay", "undo")

    def __init__(self, block: ExecutedBlock, overlay: Overlay, changes: StateChanges, undo: Undo) -> None:
        """Keep a block that was just applied."""
        self.block = block
        self.overlay = overlay
        self.changes = changes
        self.undo: Undo | None = undo
        """Takes the block back; None while it is not applied."""


class SettledBlock(Struct, frozen=True):
    """A block that became final."""

    block: ExecutedBlock
    changes: StateChanges
    undo: Undo


class Branches:
    """The tree and the executed blocks above the final one."""

    def __init__(self, tree: Tree, ledger: BaseLedger, final_hash: bytes) -> None:
        """Start with the final state alone."""
        self._tree = tree
        self._ledger = ledger
        self._final_hash = final_hash
        self._candidates: dict[bytes, Candidate] = {}
        self._applied: list[bytes] = []

    def __contains__(self, block_hash: bytes) -> bool:
        return block_hash in self._candidates

    @property
    def tree(self) -> Tree:
        """The tree, at whatever block it stands."""
        return self._tree

    @property
    def heights(self) -> set[int]:
        """Heights of the blocks that are executed and not final."""
        return {candidate.block.header.height for candidate in self._candidates.values()}

    def get(self, block_hash: bytes) -> ExecutedBlock:
        """Return an executed block."""
        return self._candidates[block_hash].block

    def ledger_at(self, block_hash: bytes) -> Ledger:
        """Return the state after the final block or an executed one."""
        return self._ledger if block_hash == self._final_hash else self._candidates[block_hash].overlay

    def apply(self, parent_hash: bytes, changes: StateChanges) -> Undo:
        """Apply a new block on its parent; `add` must follow. The root is the tree's."""
        self._move_to(parent_hash)
        return self._tree.apply(changes.digests)

    def add(self, block: ExecutedBlock, overlay: Overlay, changes: StateChanges, undo: Undo) -> None:
        """Keep the block that was just applied."""
        assert block.block_hash not in self._candidates, "a block is executed once"
        self._candidates[block.block_hash] = Candidate(block, overlay, changes, undo)
        self._applied.append(block.block_hash)

    def candidates_on(self, path: Sequence[bytes]) -> list[Candidate]:
        """Return the blocks of a path that starts on the final block, in order."""
        candidates = [self._candidates[block_hash] for block_hash in path]
        parent_hash = self._final_hash
        for candidate in candidates:
            ensure(candidate.block.header.parent_hash == parent_hash, "a path starts on the final block, without gaps")
            parent_hash = candidate.block.block_hash
        return candidates

    def settle(self, path: Sequence[bytes]) -> list[SettledBlock]:
        """Move the final block to the end of the path, whose records are in the store, and drop every other branch."""
        self._bring_into_tree(path)
        settled: list[SettledBlock] = []
        for block_hash in path:
            candidate = self._candidates.pop(block_hash)
            assert candidate.undo is not None, "the path is applied"
            settled.append(SettledBlock(candidate.block, candidate.changes, candidate.undo))
            self._ledger.absorb(candidate.overlay)
        del self._applied[: len(path)]
        self._final_hash = path[-1]
        self._candidates = {
            block_hash: candidate
            for block_hash, candidate in self._candidates.items()
            if self.is_above_final(candidate.block.header.parent_hash)
        }
        for candidate in self._candidates.values():
            if candidate.block.header.parent_hash == self._final_hash:
                candidate.overlay.rebase(self._ledger)
        return settled

    def shape_at(self, path: Sequence[bytes]) -> tuple[int, int, bytes]:
        """Return splits, keys and root of the tree at the end of a path that starts on the final block."""
        self._bring_into_tree(path)
        if len(path) == len(self._applied):
            return self._tree.k, self._tree.n, self._tree.root
        undo = self._undo_of(self._applied[len(path)])
        return undo.k, undo.n, undo.root

    def undos_above_final(self) -> list[Undo]:
        """Return what takes the tree back to the final state, newest first."""
        return [self._undo_of(block_hash) for block_hash in reversed(self._applied)]

    def is_above_final(self, block_hash: bytes) -> bool:
        """Tell whether this is the final block or a descendant of it that is here."""
        while block_hash != self._final_hash:
            candidate = self._candidates.get(block_hash)
            if candidate is None:
                return False
            block_hash = candidate.block.header.parent_hash
        return True

    def _undo_of(self, block_hash: bytes) -> Undo:
        undo = self._candidates[block_hash].undo
        assert undo is not None, "applied blocks can be taken back"
        return undo

    def _bring_into_tree(self, path: Sequence[bytes]) -> None:
        """Make the tree contain the path; blocks of the same branch above it may stay applied."""
        if self._applied[: len(path)] != list(path):
            self._move_to(path[-1])

    def _move_to(self, block_hash: bytes) -> None:
        """Make the tree stand at this block."""
        path: list[bytes] = []
        while block_hash != self._final_hash:
            path.append(block_hash)
            block_hash = self._candidates[block_hash].block.header.parent_hash
        path.reverse()
        shared = 0
        for ours, wanted in zip(self._applied, path, strict=False):
            if ours != wanted:
                break
            shared += 1
        while len(self._applied) > shared:
            taken_back = self._applied.pop()
            self._tree.rollback(self._undo_of(taken_back))
            self._candidates[taken_back].undo = None
        for applied in path[shared:]:
            candidate = self._candidates[applied]
            candidate.undo = self._tree.apply(candidate.changes.digests)
            self._applied.append(applied)
