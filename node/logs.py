"""The node's log: one line for an event and its fields, as text or JSON, with a limit on how often each event is written.

Events are names, fields are values; what a stranger sent is cut and escaped, so nobody can fill the disk or forge lines. Lines of
libraries (aiohttp, asyncio) go through the same limits and formats.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import msgspec

ROOT_NAME: Final = "bocc"
BURST_LINES: Final = 20
"""Lines of one event that may come at once."""
REFILL_LINES_PER_S: Final = 1.0
"""Lines of one event per second in the long run: below 1 MiB a minute even if 50 events are repeated for ever."""
KEYS_MAX: Final = 1_024
FIELD_CHARS_MAX: Final = 512
_FIELDS: Final = "bocc_fields"
_Level = Literal["debug", "info", "warning", "error"]
_encoder: Final = msgspec.json.Encoder(enc_hook=str)


class RateLimiter:
    """A bucket of tokens for each key; a call that finds its bucket empty is counted instead of allowed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets."""
        self._clock = clock
        self._buckets: dict[str, tuple[float, float, int]] = {}
        """Tokens, time of the last look, suppressed calls by key."""

    def take(self, key: str) -> int | None:
        """Return how many calls were suppressed before this one, or None if this one is."""
        now = self._clock()
        if len(self._buckets) >= KEYS_MAX and key not in self._buckets:
            self._buckets.clear()
        tokens, seen, suppressed = self._buckets.get(key, (float(BURST_LINES), now, 0))
        tokens = min(float(BURST_LINES), tokens + (now - seen) * REFILL_LINES_PER_S)
        if tokens < 1:
            self._buckets[key] = tokens, now, suppressed + 1
            return None
        self._buckets[key] = tokens - 1, now, 0
        return suppressed


class EventLog:
    """Writes events of one part of the node."""

    def __init__(self, name: str, limiter: RateLimiter | None = None) -> None:
        """Write under the root logger `bocc`, as a part with this name."""
        self._logger = logging.getLogger(f"{ROOT_NAME}.{name}")
        self._limiter = limiter or RateLimiter()

    def debug(self, event: str, **fields: object) -> None:
        """Write what only helps to follow a problem."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Write what an operator wants to know."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write what needs a look if it goes on."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Write what needs somebody now. Errors are never suppressed."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        suppressed = 0 if level >= logging.ERROR else self._limiter.take(event)
        if suppressed is None:
            return
        if suppressed:
            fields = {**fields, "suppressed": suppressed}
        self._logger.log(level, event, extra={_FIELDS: fields})


class _LibraryLimit(logging.Filter):
    """Limits lines of libraries by their template, and leaves ours alone."""

    def __init__(self) -> None:
        super().__init__()
        self._limiter = RateLimiter()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(ROOT_NAME):
            return True
        return self._limiter.take(f"{record.name} {record.msg}") is not None


class TextFormatter(logging.Formatter):
    """Time, level, part, event, then name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        parts = [_time_text(record), f"{record.levelname:<7}", record.name, _printable(record.getMessage())]
        parts += [f"{name}={_quoted(field)}" for name, field in _fields(record).items()]
        return " ".join(parts)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        entry = {
            "time": _time_text(record),
            "level": record.levelname.lower(),
            "part": record.name,
            "event": _printable(record.getMessage()),
            **{name: field if isinstance(field, int) else _printable(field) for name, field in _fields(record).items()},
        }
        return _encoder.encode(entry).decode()


def configure_logging(level: _Level, log_format: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send all logging of this process to one stream, standard error unless given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextFormatter() if log_format == "text" else JsonFormatter())
    handler.addFilter(_LibraryLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT_NAME).setLevel(level.upper())


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = getattr(record, _FIELDS, {})
    if record.exc_info and record.exc_info[0] is not None:
        fields = {**fields, "error": record.exc_info[0].__name__, "error_text": record.exc_info[1]}
    return fields


def _time_text(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _printable(field: object) -> str:
    """Return a text on one line of bounded length."""
    text = field.hex() if isinstance(field, bytes) else str(field)
    if len(text) > FIELD_CHARS_MAX:
        text = text[:FIELD_CHARS_MAX] + "..."
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _quoted(field: object) -> str:
    text = _printable(field)
    return f'"{text}"' if " " in text or not text else text
