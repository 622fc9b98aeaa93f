"""The cache in the event loop of the test."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.config_store.cache.reader_world import World


@pytest.fixture
def world(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[World]:
    """A cache that does not follow the changes by itself; an indirect parameter holds what is not usual."""
    world = World(**getattr(request, "param", {}))
    yield world
    runner.run(world.cache.close())


@pytest.fixture
def live(world: World, runner: asyncio.Runner) -> World:
    """The same with its background tasks at work."""
    runner.run(world.cache.start())
    runner.run(world.until(lambda: world.cache.last_config_check is not None))
    return world
