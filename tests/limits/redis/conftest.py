"""The limiters that keep the promises of the port."""

from collections.abc import Iterator

import pytest

from tests.limits.redis.limiter_world import ALL_KINDS, SEVERAL_KINDS, World, requested_world


@pytest.fixture(params=[*ALL_KINDS, *SEVERAL_KINDS])
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    with requested_world(request) as here:
        yield here
