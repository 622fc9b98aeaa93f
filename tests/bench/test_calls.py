"""Function calls per request: a figure that does not depend on how busy the machine is."""

import pytest

from bench.calls import calls_in, profile

_NOISE = 1.03


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    ("engine", "chain", "calls"),
    # Seen under CPython 3.13. Lower a figure when a request becomes cheaper.
    [("express", False, 458), ("express", True, 1_002), ("mitmproxy", False, 3_930)],
    ids=["express", "express with a chain", "mitmproxy"],
)
def test_request_takes_no_more_calls_than_before(engine: str, chain: bool, calls: int) -> None:
    assert calls_in(profile(engine, chain=chain, requests=300)) / 300 < calls * _NOISE
