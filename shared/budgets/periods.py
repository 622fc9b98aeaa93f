"""Periods of the calendar in a time zone, and the limit that a budget has at a time.

A period begins at local midnight, so a day has 23 or 25 hours when clocks change. A week begins on Monday. A
number of days (``30d``) repeats from the day `starts`, also before it. ``total`` has no end; what is used
before the day `starts` is a period of its own.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.model.budgets import Budget

#: The period that never ends.
TOTAL: Final = "total"
#: The periods that are numbers of days, and the most of them.
DAYS: Final = re.compile(r"([1-9][0-9]{0,2})d")
_MONTHS: Final[Mapping[str, int]] = {"month": 1, "quarter": 3, "year": 12}
#: The periods that have a name.
NAMED: Final = ("day", "week", *_MONTHS, TOTAL)
#: From here days are counted when a budget says nothing: a Thursday.
_EPOCH: Final = date(1970, 1, 1)


class Period(NamedTuple):
    """From `start` until before `end`, in seconds since the Unix epoch. Without an end it is None."""

    start: int
    end: int | None


def period_of(budget: Budget, now: float) -> Period:
    """The period of a budget that includes the time `now`."""
    zone = _zone(budget.timezone)
    starts = date.fromisoformat(budget.starts) if budget.starts else _EPOCH
    if budget.period == TOTAL:
        start = _midnight(starts, zone)
        return Period(start, None) if now >= start else Period(0, start)
    # `fromtimestamp` rounds to microseconds, which may be those of the next day.
    today = datetime.fromtimestamp(math.floor(now), zone).date()
    first, after = _bounds(budget.period, today, starts)
    return Period(_midnight(first, zone), _midnight(after, zone))


def effective_limit(budget: Budget, now: float) -> int:
    """The limit of a budget with the increases that have not ended."""
    return budget.limit + sum(
        increase.amount for increase in budget.increases if increase.until is None or now < increase.until
    )


def _bounds(period: str, day: date, starts: date) -> tuple[date, date]:
    """The first day of the period that includes `day`, and that of the next one."""
    if months := _MONTHS.get(period):
        first = day.replace(month=day.month - (day.month - 1) % months, day=1)
        year, month = divmod(first.month - 1 + months, 12)
        return first, date(first.year + year, month + 1, 1)
    if period == "week":
        length, since = 7, day.weekday()
    else:
        length = 1 if period == "day" else int(period.removesuffix("d"))
        since = (day - starts).days % length
    first = day - timedelta(days=since)
    return first, first + timedelta(days=length)


def _midnight(day: date, zone: tzinfo) -> int:
    """The time when a day begins. Where clocks are put forward at midnight, it is that moment.

    No zone has put them forward over midnight since 1970.
    """
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


@cache
def _zone(name: str) -> tzinfo:
    """A time zone. One that only a later release knows is read as UTC."""
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return UTC
