"""Function calls a request: a figure that does not depend on how busy the machine is."""

import pytest

from bench.calls import count_calls


@pytest.mark.slow
def test_the_count_is_the_same_each_time() -> None:
    first, second = (count_calls("mitmproxy", requests=300) for _ in range(2))
    assert first.each == pytest.approx(second.each, rel=0.01)
    # Stock mitmdump makes 8,500 (bench.profile mitmdump).
    assert first.each < 5_000
