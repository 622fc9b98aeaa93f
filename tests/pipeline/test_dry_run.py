"""Tools that take nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.port import Limiter
from shared.limits.values import Decision, Limit, Quota
from shared.pipeline.dry_run import ReadOnlyLimiter, ReadOnlyTracker
from shared.pipeline.plugin import Tools
from shared.testing.memory_limiter import Counters

LIMIT = Limit("rl:x", Quota(2, 60_000), "rule", "global", "1m")
NOW = 1_750_000_000_000_000


class Looking:
    """A limiter that can only be looked at, and has counted `used` requests."""

    def __init__(self, used: int) -> None:
        self.used = used

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        counters = Counters()
        for _ in range(self.used):
            counters.charge(limits, NOW)
        return counters.peek(limits, NOW)


def dry(used: int, *seen: list[Decision]) -> ReadOnlyLimiter:
    return ReadOnlyLimiter(cast(Limiter, Looking(used)), *(one.append for one in seen))


def remaining(decision: Decision) -> list[int]:
    return [state.remaining for state in decision.states]


def test_it_says_what_would_be_said_and_takes_nothing() -> None:
    seen: list[Decision] = []

    async def use(limiter: ReadOnlyLimiter) -> Decision:
        decision = await limiter.acquire([LIMIT])
        await limiter.release([LIMIT])
        await limiter.renew([LIMIT])
        await limiter.refund([LIMIT], decision)
        assert remaining(await limiter.peek([LIMIT])) == [1]
        await limiter.close()
        return decision

    assert remaining(asyncio.run(use(dry(1, seen)))) == [0]
    assert [remaining(decision) for decision in seen] == [[1]]
    assert remaining(asyncio.run(use(dry(1)))) == [0]


def test_of_what_is_refused_nothing_would_be_taken() -> None:
    decision = asyncio.run(dry(2).acquire([LIMIT]))
    assert (decision.allowed, remaining(decision)) == (False, [0])


def test_values_are_those_that_others_know() -> None:
    known = DistinctValueTracker(max_values=1)
    values = ReadOnlyTracker(known)
    values.add("limit", "a", 60.0, 0.0)
    assert values.has_counter("limit", "b", 0.0)
    known.add("limit", "a", 60.0, 0.0)
    assert (values.has_counter("limit", "a", 0.0), values.has_counter("limit", "b", 0.0)) == (True, False)


def test_tools_can_be_had_dry() -> None:
    tools = Tools(cast(Limiter, Looking(0)), cast(Any, None), cast(Any, None))
    assert isinstance(tools.dry().limiter, ReadOnlyLimiter)
    assert isinstance(tools.dry().distinct_values, ReadOnlyTracker)
