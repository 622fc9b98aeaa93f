"""The latency of a target: slow samples count at once, fast ones slowly, and calls that wait count as they age."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.upstreams.ewma import PeakEwma


def sampled(latency: PeakEwma, seconds: float, now: float) -> None:
    """A call whose first content came now, after so many seconds."""
    latency.arrived(latency.begin(now - seconds), now)


def test_latency_without_samples_is_unknown() -> None:
    assert PeakEwma().estimate(5.0) is None


def test_slower_sample_counts_at_once_and_faster_ones_slowly() -> None:
    latency = PeakEwma()
    sampled(latency, 0.3, 1.0)
    sampled(latency, 2.0, 2.0)
    assert latency.estimate(2.0) == 2.0
    sampled(latency, 0.3, 3.0)
    assert 1.5 < (latency.estimate(3.0) or 0) < 2.0
    for second in range(4, 60):
        sampled(latency, 0.3, float(second))
    assert latency.estimate(60.0) == pytest.approx(0.3, rel=0.05)


def test_latency_without_traffic_halves_every_ten_seconds_after_the_first_ten() -> None:
    latency = PeakEwma()
    sampled(latency, 4.0, 0.0)
    assert [latency.estimate(now) for now in (10.0, 20.0, 30.0)] == [4.0, 2.0, 1.0]


def test_call_that_waits_counts_with_its_age() -> None:
    latency = PeakEwma()
    sampled(latency, 0.3, 0.0)
    oldest, newer = latency.begin(1.0), latency.begin(5.0)
    assert latency.estimate(6.0) == 5.0
    latency.ended(oldest)
    assert latency.estimate(6.0) == 1.0
    latency.arrived(newer, 6.0)
    latency.arrived(newer, 60.0)  # no second time
    assert latency.estimate(6.0) == 1.0


def test_failed_call_counts_as_long_as_its_timeout() -> None:
    latency = PeakEwma()
    sampled(latency, 0.3, 0.0)
    latency.failed(latency.begin(1.0), 1.1, timeout=20.0)
    assert latency.estimate(1.1) == 20.0


def test_latency_of_a_target_that_recovered_starts_again() -> None:
    latency = PeakEwma()
    sampled(latency, 20.0, 0.0)
    latency.restart()
    sampled(latency, 0.3, 1.0)
    assert latency.estimate(1.0) == pytest.approx(0.3)


@given(st.lists(st.tuples(st.floats(0.001, 100), st.floats(0.001, 100)), min_size=1))
def test_latency_lies_between_the_fastest_and_the_slowest_sample(samples: list[tuple[float, float]]) -> None:
    latency, now = PeakEwma(), 1000.0
    for seconds, pause in samples:
        now += pause
        sampled(latency, seconds, now)
    every = [seconds for seconds, _ in samples]
    assert min(every) * 0.999 <= (latency.estimate(now) or 0) <= max(every) * 1.001
    assert (latency.estimate(now) or 0) >= every[-1] * 0.999
