"""Dates to seconds: as the library of Python counts them, and nothing that is no date."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tee.civil_time import seconds_since_1970


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59)))  # noqa: DTZ001 hypothesis asks for naive bounds
def test_every_moment_counts_as_the_library_counts_it(moment: datetime) -> None:
    seconds = seconds_since_1970(*moment.timetuple()[:6])
    assert seconds == int(moment.replace(microsecond=0, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("year", [1970, 1999, 2000, 2024, 2026, 2100, 2400, 9999])
def test_every_day_of_a_year_follows_the_day_before_and_no_other_exists(year: int) -> None:
    days = []
    for month in range(14):
        for day in range(33):
            try:
                days.append(seconds_since_1970(year, month, day, 0, 0, 0))
            except ValueError:
                continue
    is_leap = year in {2000, 2024, 2400}
    assert days == [days[0] + 86_400 * index for index in range(366 if is_leap else 365)]


@pytest.mark.parametrize(
    "fields",
    [
        (1969, 12, 31, 23, 59, 59),
        (10_000, 1, 1, 0, 0, 0),
        (2026, 1, 1, 24, 0, 0),
        (2026, 1, 1, 0, 60, 0),
        (2026, 6, 30, 23, 59, 60),
        (2026, 1, 1, -1, 0, 0),
    ],
)
def test_a_moment_that_does_not_exist_is_refused(fields: tuple[int, int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of its range"):
        seconds_since_1970(*fields)
