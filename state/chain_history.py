"""The last final heights: what each changed, so that values and proofs of the heights below can be had.

Values come from the records before each block, proofs from the tree's undo entries. After a restart values are there as far as the
store has undo records; proofs begin with the height of the restart, because older shapes of the tree are gone.

The history is bounded by heights and by changed records, so that a series of large blocks cannot fill the memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Final

from msgspec import Struct

from state.errors import Rejected
from state.tree import Tree
from state.tree_view import TreeView, Undo

HISTORY_CHANGES_MAX: Final = 300_000
"""Changed records in the whole history, about 500 bytes each with their part of the tree; 128 blocks of a full second each."""


class HistoryReason(StrEnum):
    """Why something is not there to be read, though it was or will be."""

    PRUNED = "pruned"
    """Older than what this node keeps; `bound` is the earliest that it has."""
    FUTURE = "future"
    """Above the newest final block; `bound` is the newest there is."""


class HistoryRejected(Rejected):
    """A height or cursor outside of what this node keeps."""


class HeightChanges(Struct, frozen=True):
    """What one final block changed."""

    entries_before: Mapping[bytes, bytes | None]
    """Entry before the block by path, None where there was none."""
    undo: Undo | None
    """The tree's; None for blocks from before the restart."""


class History:
    """Changes of the newest final heights, without gaps up to the tip."""

    def __init__(self, heights_max: int, tip_height: int) -> None:
        """Start empty at the tip: only its own state can be read."""
        self._heights_max = heights_max
        self._tip_height = tip_height
        self._changes: deque[HeightChanges] = deque()
        self._changed_count = 0
        self._provable_count = 0

    @property
    def earliest_value(self) -> int:
        """Lowest height whose values can be had."""
        return self._tip_height - len(self._changes)

    @property
    def earliest_proof(self) -> int:
        """Lowest height whose proofs can be had."""
        return self._tip_height - self._provable_count

    def push(self, changes: HeightChanges) -> None:
        """Add the changes of the block above the tip, which becomes the tip."""
        assert changes.undo is not None, "a block that becomes final is in the tree"
        self._changes.append(changes)
        self._changed_count += len(changes.entries_before)
        self._tip_height += 1
        self._provable_count += 1
        self._trim()

    def push_older(self, changes: HeightChanges) -> bool:
        """Add the changes of the block below the oldest here, as long as there is room; tell whether it was added."""
        changed_count = self._changed_count + len(changes.entries_before)
        if len(self._changes) == self._heights_max or changed_count > HISTORY_CHANGES_MAX:
            return False
        self._changes.appendleft(changes)
        self._changed_count = changed_count
        return True

    def entry_at(self, path: bytes, height: int, read_newest: Callable[[bytes], bytes | None]) -> bytes | None:
        """Return the entry at a path as it was after a height: before the first later block that changed it, or the newest.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        self._check(height, self.earliest_value)
        for changes in islice(self._changes, height - self.earliest_value, None):
            if path in changes.entries_before:
                return changes.entries_before[path]
        return read_newest(path)

    def view_at(self, height: int, tree: Tree, undos_above_tip: Sequence[Undo]) -> TreeView:
        """Return the tree as it was after a height; to be read before the tree changes again.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        self._check(height, self.earliest_proof)
        undos = list(undos_above_tip)
        for changes in islice(reversed(self._changes), self._tip_height - height):
            assert changes.undo is not None, "provable heights have undo entries"
            undos.append(changes.undo)
        return tree.view(undos)

    def _check(self, height: int, earliest: int) -> None:
        if height > self._tip_height:
            raise HistoryRejected(HistoryReason.FUTURE, height, self._tip_height)
        if height < earliest:
            raise HistoryRejected(HistoryReason.PRUNED, height, earliest)

    def _trim(self) -> None:
        changes = self._changes
        while len(changes) > self._heights_max or (self._changed_count > HISTORY_CHANGES_MAX and len(changes) > 1):
            self._changed_count -= len(changes.popleft().entries_before)
        self._provable_count = min(self._provable_count, len(changes))
