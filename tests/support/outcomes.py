"""What becomes of a verification: accepted, refused for a reason, or stumbled, and the lines on the way there."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from tee.errors import EvidenceRejected, Reason

Line = tuple[str, int]
"""Name of a module, number of a line."""


class Outcome(NamedTuple):
    """What became of one case."""

    text: str
    """The whole rejection, or that it was accepted."""
    lines: list[Line]
    """On the way to the rejection."""


def outcome_of(verify: Callable[[], object]) -> Outcome:
    """Return what becomes of a case, whatever that is."""
    try:
        verify()
    except EvidenceRejected as rejection:
        return Outcome(str(rejection), lines_of(rejection))
    except Exception as error:  # a mutant may stumble over what its check would have kept out
        return Outcome(f"stumbled: {type(error).__name__}", [])
    return Outcome("accepted", [])


def refusal_of(verify: Callable[[], object]) -> Reason | None:
    """Return the reason for which a call is refused, or None if it is not."""
    try:
        verify()
    except EvidenceRejected as refusal:
        return refusal.reason
    return None


def lines_of(error: BaseException) -> list[Line]:
    """Return the lines through which an error came, and those of the error that it stands for."""
    lines: list[Line] = []
    cause: BaseException | None = error
    while cause is not None:
        traceback: TracebackType | None = cause.__traceback__
        while traceback is not None:
            lines.append((traceback.tb_frame.f_globals.get("__name__", ""), traceback.tb_lineno))
            traceback = traceback.tb_next
        cause = cause.__cause__
    return lines
