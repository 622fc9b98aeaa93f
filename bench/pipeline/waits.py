"""How long plugins that wait take, together and one after the other, on a busy loop too."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.pipeline.chains import Waiting, plan_of, run_of
from shared.model.config import Stage
from shared.pipeline.pool import PluginPool

WAIT = 0.2
#: Chains at a time, groups in each, plugins in a group, and seconds that each waits.
CHAINS, GROUPS, STEPS, STEP = 50, 3, 4, 0.001
# Seconds that the busy loop works and then rests, again and again.
_WORK, _REST = 0.002, 0.002


async def two_plugins(*, parallel: bool, busy: bool) -> float:
    """Seconds that two of 200 ms take."""
    pool = PluginPool(4, 100)
    plan = plan_of([Waiting(WAIT), Waiting(WAIT)], parallel=parallel)
    try:
        async with _busy() if busy else _idle():
            start = time.perf_counter()
            await run_of(plan, pool).stage(Stage.PRE_REQUEST)
            return time.perf_counter() - start
    finally:
        pool.shutdown()


async def many_chains_on_one_thread() -> tuple[float, int]:
    """Seconds until all chains are through, and how many of them were refused."""
    pool = PluginPool(1, CHAINS * STEPS)
    plan = plan_of(*([Waiting(STEP) for _ in range(STEPS)] for _ in range(GROUPS)))
    runs = [run_of(plan, pool) for _ in range(CHAINS)]
    try:
        start = time.perf_counter()
        await asyncio.gather(*(run.stage(Stage.PRE_REQUEST) for run in runs))
        return time.perf_counter() - start, sum(run.rejection is not None for run in runs)
    finally:
        pool.shutdown()


@asynccontextmanager
async def _idle() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _busy() -> AsyncIterator[None]:
    """The loop serves others for half of the time."""

    async def others() -> None:
        while True:
            end = time.perf_counter() + _WORK
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(_REST)

    working = asyncio.ensure_future(others())
    try:
        yield
    finally:
        working.cancel()
