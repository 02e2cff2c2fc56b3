"""Durations as people write them: `90d`, `1h30m`, `500ms`."""

from __future__ import annotations

import re
from typing import Final

from bocc.errors import InputReason, InputRejected
from state.params import DURATION_MS_MAX

_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION: Final = re.compile(r"(?:\d{1,15}(?:ms|[dhms]))+", re.ASCII)
_PART: Final = re.compile(r"(\d+)(ms|[dhms])", re.ASCII)
_HINT: Final = "10s, 5m, 1h30m, 90d; 0 for none"


def parse_duration(text: str) -> int:
    """Return the milliseconds of a duration such as 90d, 1h30m or 0.

    Raises:
        InputRejected: BAD_DURATION.
    """
    stripped = text.replace(" ", "")
    if stripped == "0":
        return 0
    if not _DURATION.fullmatch(stripped):
        raise InputRejected(InputReason.BAD_DURATION, repr(text[:40]), _HINT)
    duration_ms = sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(stripped))
    if duration_ms > DURATION_MS_MAX:
        raise InputRejected(InputReason.BAD_DURATION, repr(text[:40]), f"at most {format_duration(DURATION_MS_MAX)}")
    return duration_ms


def format_duration(duration_ms: int) -> str:
    """Return a duration in the fewest units, exact: 5_400_000 -> `1h30m`."""
    parts = []
    for unit, unit_ms in _UNITS_MS.items():
        count, duration_ms = divmod(duration_ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0"
