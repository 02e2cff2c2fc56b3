"""Logs of several nodes in one stream, each line after the name of its node."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bocc.testnet.network import LOG_NAME
from bocc.testnet.provider import PROVIDER_LOG_NAME
from bocc.testnet.record import NodeRecord, ProviderRecord

_POLL_S: Final = 0.2
_TAIL_BYTES_PER_LINE: Final = 512
_READ_BYTES: Final = 1 << 20


class LogReader:
    """Reads what is new in one log file, in whole lines; a file that became shorter is read again from its beginning."""

    def __init__(self, name: str, path: Path) -> None:
        self._prefix = f"{name} | "
        self._path = path
        self._position = 0
        self._begun_line = b""

    def skip_to_last(self, line_count: int) -> None:
        """Go on with the last lines, about as many as asked for."""
        if not self._path.exists():
            return
        size = self._path.stat().st_size
        with self._path.open("rb") as log:
            start = max(0, size - line_count * _TAIL_BYTES_PER_LINE)
            log.seek(start)
            lines = log.read(size - start).splitlines(keepends=True)
        if start and lines:
            lines = lines[1:]
        self._position = size - sum(map(len, lines[-line_count:] if line_count else []))

    def read_lines(self) -> list[str]:
        """Return the whole lines written since the last call, with the name of the node."""
        if not self._path.exists():
            return []
        if self._path.stat().st_size < self._position:
            self._position, self._begun_line = 0, b""
        with self._path.open("rb") as log:
            log.seek(self._position)
            content = log.read(_READ_BYTES)
        self._position += len(content)
        *lines, self._begun_line = (self._begun_line + content).split(b"\n")
        return [self._prefix + line.decode("utf-8", "replace") for line in lines]


def log_path(record: NodeRecord | ProviderRecord) -> Path:
    """Return where a node or the provider writes its log."""
    return Path(record.home) / (PROVIDER_LOG_NAME if isinstance(record, ProviderRecord) else LOG_NAME)


def show_logs(processes: Sequence[NodeRecord | ProviderRecord], line_count: int, *, follow: bool) -> None:
    """Print the last lines of each log, and each new one until Ctrl-C if following."""
    readers = [LogReader(one.name, log_path(one)) for one in processes]
    for reader in readers:
        reader.skip_to_last(line_count)
    while True:
        has_news = False
        for reader in readers:
            for line in reader.read_lines():
                has_news = True
                sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if not follow and not has_news:
            return
        if not has_news:
            time.sleep(_POLL_S)
