"""One sweep notices all that is late."""

import asyncio
from collections.abc import Callable

from mitm_engine.deadlines import INTERVAL, NEVER, sweep
from mitm_engine.metrics import Metrics
from tests.support.wait import until_true


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
