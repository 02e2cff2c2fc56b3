"""What a table of transitions lists, for tests that compare it with what they try."""

from __future__ import annotations

from enum import StrEnum

from state.runtime.life_tables import State, Steps, Trigger


def listed(steps: Steps[State, Trigger]) -> set[tuple[State, StrEnum, State]]:
    """Return every step of a table: state before, what happens, state after."""
    return {
        (before, trigger, after)
        for before, triggers in steps.items()
        for trigger, afters in triggers.items()
        for after in afters
    }
