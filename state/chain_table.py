"""Writing the stored table of the tree while the chain goes on. A marked shell file of this package.

The content is taken from immutable parts at one final height, so writing may happen in a thread while blocks are executed. A table
that is not complete is never seen: the file is replaced in one step. Losing it costs a restart some seconds, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from state.durable import replace_file, storage_fault


class TableDump:
    """One table to be written."""

    def __init__(self, path: Path, height: int, slices: Iterator[bytes]) -> None:
        self._path = path
        self._slices = slices
        self.height = height
        self.is_done = False

    def run(self) -> None:
        """Write the table and move it into place, once. Takes about half a second for a million keys, in any thread.

        Raises:
            StorageFault: the disk fails.
        """
        try:
            replace_file(self._path, self._slices)
        except OSError as error:
            raise storage_fault(f"writing {self._path}", error) from error
        self.is_done = True
