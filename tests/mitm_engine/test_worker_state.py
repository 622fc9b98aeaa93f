"""What all connections of a worker share: work in the background, and one sweep that notices all that is late."""

import asyncio
from collections.abc import Callable

from mitm_engine.deadlines import INTERVAL, NEVER, sweep
from mitm_engine.engine import make_master
from mitm_engine.metrics import Metrics
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


class Waiter:
    """Notes that it was late."""

    def __init__(self, deadline: float, then: Callable[[], None] = lambda: None) -> None:
        self.deadline, self.then, self.expired = deadline, then, 0

    def expire(self, now: float) -> None:
        self.deadline = NEVER
        self.expired += 1
        self.then()


async def test_deadline_expires_when_reached_and_only_once() -> None:
    now, rounds = asyncio.get_running_loop().time(), []
    late, later, never = Waiter(now), Waiter(now + 60), Waiter(NEVER)
    metrics = Metrics()
    sweeping = asyncio.ensure_future(sweep([late, later, never], rounds.append, metrics))
    await until_true(lambda: len(rounds) >= 2)
    sweeping.cancel()
    assert (late.expired, later.expired, never.expired) == (1, 0, 0)
    assert 0 <= metrics.loop_lag <= metrics.worst_lag < 10 * INTERVAL


async def test_a_deadline_that_raises_does_not_stop_the_others() -> None:
    now, rounds = asyncio.get_running_loop().time(), []
    broken, other = Waiter(now, lambda: [][0]), Waiter(now)
    sweeping = asyncio.ensure_future(sweep([broken, other], rounds.append, Metrics()))
    await until_true(lambda: len(rounds) >= 2)
    assert other.expired == 1
    assert not sweeping.done()
    sweeping.cancel()
