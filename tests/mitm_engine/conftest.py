"""Responses that are passed on as they come, and responses that are buffered."""

import pytest


@pytest.fixture(params=[True, False], ids=["streamed", "buffered"])
def streams(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
