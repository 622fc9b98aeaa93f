"""A limiter in memory, with time in the hands of the test."""

import pytest

from shared.testing.memory_limiter import MemoryLimiter
from tests.plugins.gate import Hands


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def limiter(clock: Hands) -> MemoryLimiter:
    return MemoryLimiter(clock)
