"""Durations as they stand in settings and in config.yaml."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        ("500ms", 500),
        ("10s", 10_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        ("1d", 86_400_000),
        ("1w", 604_800_000),
        ("1s500ms", 1_500),
        ("60", 60_000),
        ("0.25", 250),
        (" 10s ", 10_000),
        (60, 60_000),
        (0.1, 100),
        (1e3, 1_000_000),
        (0, 0),
    ],
)
def test_every_form_of_the_specification_is_read(written: str | float, milliseconds: int) -> None:
    assert parse_duration(written) == milliseconds


NO_DURATIONS = [
    *("", "abc", "10 s", "1y", "1M", "-1s", "+1s", "1h1h", "1..5h", ".5s", "1m30", "s", "1e3s", "10S"),
    *("\u0661s", "9" * 5000, "9" * 5000 + "s", 10**5000, -1, -0.5, float("nan"), float("inf")),
    *(True, None, [], {}, b"1s"),
]


@pytest.mark.parametrize("written", NO_DURATIONS, ids=range(len(NO_DURATIONS)))
def test_malformed_duration_is_rejected_with_what_is_allowed(written: str | float) -> None:
    with pytest.raises(ValueError, match=r"500ms, 10s, 1m, 1h30m"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["0.5ms", 0.0001, "1.0001s"])
def test_a_fraction_of_a_millisecond_is_rejected(written: str | float) -> None:
    with pytest.raises(ValueError, match="whole number of milliseconds"):
        parse_duration(written)


@given(st.integers(0, 10**12))
def test_a_formatted_duration_reads_back_as_itself(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@given(st.text() | st.floats() | st.integers())
def test_duration_of_any_input_is_milliseconds_or_a_value_error(written: str | float) -> None:
    with suppress(ValueError):
        assert parse_duration(written) >= 0
