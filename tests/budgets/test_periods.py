"""Periods of budgets follow the calendar of a time zone, also when its clocks change."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.budgets.periods import NAMED, Period, effective_limit, period_of
from shared.model.budgets import Budget, Increase

HOUR, DAY = 3600, 86_400


def budget(period: str = "day", timezone: str = "UTC", **fields: object) -> Budget:
    return Budget(
        id="bud_1",
        name="b",
        unit="usd",
        limit=100,
        period=period,
        timezone=timezone,
        **fields,  # type: ignore[arg-type]
    )


def at(text: str, timezone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


def texts(period: Period, timezone: str = "UTC") -> tuple[str, str]:
    """The local times at which a period begins and ends."""
    assert period.end is not None
    found = (
        datetime.fromtimestamp(moment, ZoneInfo(timezone)).isoformat(" ", "minutes") for moment in period
    )
    return tuple(text[:16] for text in found)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("period", "begins", "ends"),
    [
        ("day", "2026-12-01 00:00", "2026-12-02 00:00"),
        ("week", "2026-11-30 00:00", "2026-12-07 00:00"),
        ("month", "2026-12-01 00:00", "2027-01-01 00:00"),
        ("quarter", "2026-10-01 00:00", "2027-01-01 00:00"),
        ("year", "2026-01-01 00:00", "2027-01-01 00:00"),
    ],
)
def test_period_of_the_calendar_begins_at_midnight(period: str, begins: str, ends: str) -> None:
    assert texts(period_of(budget(period), at("2026-12-01T12:00"))) == (begins, ends)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-03-28", 24), ("2026-10-26", 24)]
)
def test_day_has_23_or_25_hours_when_clocks_change(day: str, hours: int) -> None:
    period = period_of(budget(timezone="Europe/Berlin"), at(f"{day}T12:00", "Europe/Berlin"))
    assert period.end is not None
    assert period.end - period.start == hours * HOUR


def test_month_begins_at_local_midnight() -> None:
    monthly = budget("month", "Europe/Berlin")
    begins = at("2026-12-01T00:00", "Europe/Berlin")
    assert datetime.fromtimestamp(begins, UTC).hour == 23
    assert period_of(monthly, begins - 0.001).end == begins
    assert period_of(monthly, begins).start == begins


def test_number_of_days_repeats_from_its_first_day() -> None:
    rolling = budget("30d", starts="2026-12-01")
    assert texts(period_of(rolling, at("2026-12-30T23:59"))) == ("2026-12-01 00:00", "2026-12-31 00:00")
    assert texts(period_of(rolling, at("2026-12-31T00:00"))) == ("2026-12-31 00:00", "2027-01-30 00:00")
    assert texts(period_of(rolling, at("2026-11-30T23:59"))) == ("2026-11-01 00:00", "2026-12-01 00:00")


def test_number_of_days_without_a_first_day_counts_from_1970() -> None:
    assert period_of(budget("2d"), 3 * DAY + 5.5) == (2 * DAY, 4 * DAY)


def test_total_never_ends() -> None:
    whole = budget("total", "Europe/Berlin", starts="2026-12-01")
    assert period_of(whole, at("2036-01-01T00:00")) == (at("2026-12-01T00:00", "Europe/Berlin"), None)
    assert period_of(budget("total"), 5.0) == (0, None)


def test_total_begins_again_on_its_first_day() -> None:
    whole = budget("total", "Europe/Berlin", starts="2026-12-01")
    first = period_of(whole, 1_800_000_000.0).start
    assert period_of(whole, first - 1) == (0, first)
    assert period_of(whole, first) == (first, None)


def test_day_without_a_midnight_begins_when_clocks_are_put_forward() -> None:
    # In Cairo, clocks went from 0:00 to 1:00 on this day.
    forward = at("2024-04-25T22:00")
    cairo = budget(timezone="Africa/Cairo")
    assert period_of(cairo, forward).start == period_of(cairo, forward - 1).end == forward


def test_zones_are_known_on_a_machine_without_any() -> None:
    zoneinfo.reset_tzpath(to=())
    try:
        assert ZoneInfo.no_cache("Europe/Berlin").utcoffset(datetime(2026, 7, 1)) == timedelta(hours=2)
    finally:
        zoneinfo.reset_tzpath()


def test_unknown_zone_is_read_as_utc() -> None:
    assert period_of(budget(timezone="Mars/Olympus"), DAY + 1.0) == (DAY, 2 * DAY)


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo",
         "America/Santiago", "America/Havana", "Pacific/Apia", "Pacific/Kwajalein", "Antarctica/Troll",
         "America/Scoresbysund", "Africa/Casablanca", "Antarctica/Casey", "Asia/Gaza")  # fmt: skip
PERIODS = st.one_of(
    st.sampled_from([name for name in NAMED if name != "total"]), st.integers(1, 999).map("{}d".format)
)


@given(
    period=PERIODS,
    zone=st.sampled_from(ZONES),
    now=st.floats(0, 4_102_444_800),
    starts=st.none() | st.dates(datetime(1971, 1, 1).date(), datetime(2100, 1, 1).date()).map(str),
)
@example(period="day", zone="Antarctica/Casey", now=1_583_596_800.0, starts=None)
@example(period="day", zone="UTC", now=2_051_222_399.9999995, starts=None)
def test_each_moment_is_in_one_period_and_periods_follow_each_other(
    period: str, zone: str, now: float, starts: str | None
) -> None:
    some = budget(period, zone, starts=starts)
    found = period_of(some, now)
    assert found.end is not None
    assert found.start <= now < found.end
    assert period_of(some, found.start) == period_of(some, found.end - 1) == found
    assert period_of(some, found.end).start == found.end
    assert period_of(some, found.start - 1).end == found.start


@given(zone=st.sampled_from(ZONES), day=st.integers(0, 40_000))
def test_a_day_is_close_to_24_hours(zone: str, day: int) -> None:
    moment = datetime(1971, 1, 2, tzinfo=UTC) + timedelta(days=day)
    period = period_of(budget(timezone=zone), moment.timestamp())
    assert period.end is not None
    assert 20 * HOUR <= period.end - period.start <= 28 * HOUR


def test_increases_count_until_they_end() -> None:
    some = budget(
        increases=(
            Increase(amount=7, until=50.0, by="platform", at=1.0),
            Increase(amount=20, by="platform", at=1.0),
        )
    )
    assert [effective_limit(some, now) for now in (49.9, 50.0)] == [127, 120]
    assert effective_limit(budget(), 0.0) == 100
