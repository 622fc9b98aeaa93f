"""The limiter of a worker with a scripted Redis: what happens in the background, step by step."""

import logging
from dataclasses import replace
from unittest.mock import AsyncMock, create_autospec

import pytest

from shared.core.errors import StoreDown
from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.redis.limiter import RedisLimiter
from shared.limits.values import LimitState
from tests.limits.limits_by_name import window
from tests.limits.redis.limiter_world import KNOBS, Hands
from tests.support.wait import until_true

DOWN = StoreDown("Redis did not respond in time.")


class Worker:
    """A limiter whose Redis answers as the test says, and a clock that the test turns."""

    def __init__(self) -> None:
        self.remote = create_autospec(RedisLimiter, instance=True)
        self.remote.ask = AsyncMock()
        self.hands = Hands()
        self.limiter = GuardedLimiter(self.remote, self.hands, workers=1, probe_every=0, **KNOBS)

    async def break_redis(self) -> None:
        """Let three calls in a row fail, one after the other."""
        self.remote.ask.side_effect = self.remote.ping.side_effect = DOWN
        for _ in range(3):
            self.hands.forward(1)
            assert (await self.limiter.acquire([window("a")])).degraded

    async def mend_redis(self) -> None:
        self.remote.ask.side_effect = self.remote.ping.side_effect = None
        await until_true(lambda: not self.limiter._breaker.is_open)


async def test_limits_admitted_while_redis_is_down_are_charged_after_its_return() -> None:
    worker = Worker()
    await worker.break_redis()
    worker.remote.charge.side_effect = [DOWN, [LimitState(window("a"), 97, 0)]]
    await worker.mend_redis()
    assert worker.remote.charge.await_args_list[-1].args == ([replace(window("a"), cost=3)],)
    await worker.limiter.close()


async def test_sweep_drops_usage_and_rejections_that_are_over() -> None:
    worker = Worker()
    worker.remote.ask.return_value = [0, 1, 0, 10_000, []]
    assert not (await worker.limiter.acquire([window("a", 1)])).allowed
    worker.hands.forward(KNOBS["max_idle_time"] * 1000 + 1)
    await worker.limiter.sweep()
    assert (len(worker.limiter._known), len(worker.limiter._denied)) == (0, 0)


async def test_unexpected_error_in_the_background_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    worker.limiter.tend = AsyncMock(side_effect=RuntimeError("broken"))  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        worker.limiter.start()
        await until_true(lambda: "The heartbeat of leases failed: broken" in caplog.text)
    await worker.limiter.close()
