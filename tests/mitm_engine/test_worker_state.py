"""What all connections share: work that nobody waits for."""

import asyncio

from mitm_engine.engine import make_master
from mitm_engine.options import Options, Policy, Timeouts
from mitm_engine.worker_state import WorkerState
from tests.support.wait import until_true


def worker(hook: float = 60.0) -> WorkerState:
    return WorkerState(make_master(), Options(timeouts=Timeouts(hook=hook)), Policy())


async def test_work_aside_that_needs_no_waiting_is_done_at_once() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    worker().run_aside(work())
    assert done == [1]


async def test_work_aside_that_waits_is_waited_for_at_the_end() -> None:
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


async def test_work_aside_that_hangs_is_given_up_after_the_time_of_a_hook() -> None:
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
