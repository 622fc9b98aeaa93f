"""A million names that are nobody's: what they cost a worker's memory, and nobody is pushed out by them."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.config_store.cache.reader_world import World

STRANGERS, MOST_BYTES = 1_000_000, 20_000_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_a_million_unknown_tenants_cost_little_and_push_nobody_out() -> None:
    async def scenario() -> None:
        world = World()
        world.create("known")
        await world.cache.find("known", None)
        before = resident()
        for number in range(STRANGERS):
            assert await world.cache.find(f"stranger-{number}", f"key-{number}") is None
            if number % 1_000 == 0:
                world.source.calls.clear()
                world.clock.time += 0.1
        grown = resident() - before
        print(f"\n{STRANGERS} unknown tenants: {grown / 1e6:.1f} MB (promise {MOST_BYTES / 1e6:.0f} MB)")
        assert grown <= MOST_BYTES
        assert len(world.cache) == 1
        assert await world.asked("known") == []
        await world.cache.close()

    asyncio.run(scenario())
