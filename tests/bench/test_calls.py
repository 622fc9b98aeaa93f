"""Function calls per request: a figure that does not depend on how busy the machine is."""

import pytest

from bench.calls import calls_in, profile


@pytest.mark.slow
@pytest.mark.alone
def test_calls_per_request_are_the_same_each_time_and_below_stock_mitmproxy() -> None:
    first, second = (calls_in(profile("mitmproxy", requests=300)) / 300 for _ in range(2))
    assert first == pytest.approx(second, rel=0.01)
    # Stock mitmdump makes 8,500.
    assert first < 5_000
