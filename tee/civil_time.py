"""Dates of vendors to seconds since 1970, by arithmetic of our own: no clock, no time zone, no limit of a platform."""

from __future__ import annotations

SECONDS_PER_DAY = 86_400
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_DAYS_IN_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS_BEFORE_1970 = 719_162
"""Days from 0001-01-01 to 1970-01-01 in the Gregorian calendar."""


def seconds_since_1970(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Count the seconds from 1970-01-01T00:00:00Z to a moment in UTC, years 1970 to 9999, without leap seconds.

    Raises:
        ValueError: there is no such moment.
    """
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        raise ValueError("a field of the time is out of its range")
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS_IN_MONTH[month - 1] + (is_leap and month == 2):
        raise ValueError("the month has no such day")
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 - _DAYS_BEFORE_1970
    days += _DAYS_BEFORE_MONTH[month - 1] + (is_leap and month > 2) + day - 1
    return days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
