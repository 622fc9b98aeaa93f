"""Every test of the connection runs on both event loops."""

import pytest

from tests.support.loops import LOOPS


@pytest.fixture(params=LOOPS, autouse=True)
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
