"""The state of a worker that all connections share: work in the background."""

import asyncio

from mitm_engine.engine import make_master
from mitm_engine.options import Options, Policy, Timeouts
from mitm_engine.worker_state import WorkerState
from tests.support.wait import until_true


def worker(hook: float = 60.0) -> WorkerState:
    return WorkerState(make_master(), Options(timeouts=Timeouts(hook=hook)), Policy())


async def test_background_work_that_does_not_wait_is_done_at_once() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    worker().run_aside(work())
    assert done == [1]


async def test_background_work_that_waits_is_awaited_at_the_end() -> None:
    done: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0.02)
        done.append(1)

    one = worker()
    for _ in range(3):
        one.run_aside(work())
    assert done == []
    await one.settled()
    assert done == [1, 1, 1]


async def test_background_work_that_hangs_is_cancelled_at_the_hook_timeout() -> None:
    ended: list[int] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    one = worker(hook=0.05)
    one.run_aside(hang())
    await until_true(lambda: ended == [1])
    await one.settled()
