"""Laws of durations: what is written is read back, and nothing else is a duration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bocc.durations import format_duration, parse_duration
from bocc.errors import InputReason, InputRejected
from state.params import DURATION_MS_MAX


@given(some.integers(0, DURATION_MS_MAX))
def test_every_duration_is_read_back(duration_ms):
    assert parse_duration(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("0", 0), ("500ms", 500), ("10s", 10_000), ("1h30m", 5_400_000), ("1h 30m", 5_400_000), ("90d", 7_776_000_000)],
)
def test_durations_are_numbers_with_units(text, duration_ms):
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize("text", ["", "5", "-5s", "5 years", "1.5h", "s", "367d", "9" * 30 + "s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InputRejected) as caught:
        parse_duration(text)
    assert caught.value.reason is InputReason.BAD_DURATION
