"""How long an upstream wants to be left alone, in all the forms that providers send."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.messages import Headers
from shared.providers.retry_after import MAX_WAIT_SECONDS, wait_of

NOW = datetime(2030, 1, 31, 12, 0, 0, tzinfo=UTC)


def wait(*headers: tuple[str, str]) -> float | None:
    return wait_of(Headers(headers), NOW.timestamp())


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("Retry-After", "30", 30),
        ("Retry-After", " 1.5 ", 1.5),
        ("Retry-After", "Thu, 31 Jan 2030 12:00:40 GMT", 40),
        ("Retry-After", "Thu, 31 Jan 2030 12:00:40 -0000", 40),
        ("Retry-After", "Thu, 31 Jan 2030 11:00:00 GMT", 0),
        ("retry-after-ms", "1500", 1.5),
        ("anthropic-ratelimit-requests-reset", "2030-01-31T12:00:20Z", 20),
        ("anthropic-ratelimit-input-tokens-reset", "2030-01-31T13:00:20+01:00", 20),
        ("anthropic-ratelimit-unified-reset", "1896091220", 20),
        ("x-ratelimit-reset-requests", "6m0s", 360),
        ("x-ratelimit-reset-tokens", "20ms", 0.02),
        ("x-ratelimit-reset-tokens", "1h2m59.56s", 3779.56),
        ("x-ratelimit-reset-tokens", "134.5µs", 0.000_134_5),
        ("x-ratelimit-reset-requests", "12", 12),
        ("x-ratelimit-reset-requests", "0.25", 0.25),
        ("X-RateLimit-Reset", "1896091205", 5),
        ("X-RateLimit-Reset", "1896091205000", 5),
        ("Retry-After", "999999999", MAX_WAIT_SECONDS),
    ],
)
def test_wait_of_each_form_is_read_in_seconds(name: str, value: str, seconds: float) -> None:
    assert wait((name, value)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("Retry-After", value) for value in ("", "soon", "-1", "nan", "inf", "1e3", "0x10", "\u0661")],
        *[("retry-after-ms", value) for value in ("", "1s", "-5")],
        *[
            ("x-ratelimit-reset-tokens", value)
            for value in ("", "1x", "s", "-6m", "99/99", "2030-13-01T00:00:00Z")
        ],
        ("x-ratelimit-remaining-tokens", "12"),
        ("x-ratelimit-limit-tokens", "12"),
        ("content-length", "12"),
        ("Retry-After", "Mon, 01 Jan 99999999999 00:00:00 GMT"),
        ("Retry-After", "Mon, 01 Jan 2030 00:00:00 +99999999999999"),
        ("Retry-After", "Mon, 01 Jan 2030 99999999999999999999:00:00 GMT"),
    ],
)
def test_header_without_a_wait_says_nothing(name: str, value: str) -> None:
    assert wait((name, value)) is None


def test_longest_wait_of_all_headers_counts() -> None:
    assert wait() is None
    found = wait(
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("retry-after-ms", "20"),
        ("Retry-After", "broken"),
    )
    assert found == 360


@given(st.text(max_size=30), st.sampled_from(["Retry-After", "retry-after-ms", "x-ratelimit-reset-tokens"]))
def test_any_value_is_a_wait_in_bounds_or_none(value: str, name: str) -> None:
    found = wait((name, value))
    assert found is None or 0 <= found <= MAX_WAIT_SECONDS


@given(st.integers(0, 80_000))
def test_same_wait_is_read_from_each_form(seconds: int) -> None:
    moment = NOW + timedelta(seconds=seconds)
    minutes, rest = divmod(seconds, 60)
    for header in (
        ("Retry-After", str(seconds)),
        ("Retry-After", format_datetime(moment, usegmt=True)),
        ("retry-after-ms", str(seconds * 1000)),
        ("anthropic-ratelimit-tokens-reset", moment.isoformat()),
        ("x-ratelimit-reset-tokens", f"{minutes}m{rest}s"),
    ):
        assert wait(header) == pytest.approx(seconds)
