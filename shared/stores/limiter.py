"""The limiter in Redis: one script call for all limits of a request."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.core.limits import Decision, Limit, LimitState, decide
from shared.stores.batched_script import BatchedScript

_SCRIPT = Path(__file__).with_name("limiter.lua").read_text(encoding="utf-8")

#: Seconds that a call may take: the limiter must not make requests wait for a Redis that hangs.
DEADLINE = 0.05

# What the script takes for "ask the server".
SERVER_TIME = 0


class RedisLimiter:
    """Counts in Redis, by the clock of Redis, for all workers together.

    The keys of one call must differ from each other and, on a Cluster, share a hash tag.
    `now` injects the time, in microseconds, for tests.
    """

    def __init__(
        self, client: Redis, *, deadline: float = DEADLINE, now: Callable[[], int] = lambda: SERVER_TIME
    ) -> None:
        self._client = client
        self._script = BatchedScript(client, _SCRIPT, deadline)
        self._now = now

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room. One round trip.

        Raises `StoreDown` when Redis does not answer in time, or with an error.
        """
        allowed, states = await self._call(limits, charge=1)
        return Decision(True, states) if allowed else decide(states)

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """What `acquire` would answer now, charging nothing; the states are those before a charge.

        Raises `StoreDown` as `acquire` does.
        """
        _, states = await self._call(limits, charge=0)
        return decide(states)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, limits: Sequence[Limit], charge: int) -> tuple[bool, list[LimitState]]:
        arguments: list[str | int] = [self._now(), charge]
        for limit in limits:
            arguments += ["window", limit.quota.limit, limit.quota.window_ms * 1000, limit.cost]
        allowed, *figures = await self._script([limit.key for limit in limits], arguments)
        pairs = zip(limits, figures[::2], figures[1::2], strict=True)
        return bool(allowed), [LimitState(limit, left, reset) for limit, left, reset in pairs]


def open_limiter(options: Mapping[str, Any], deadline: float = DEADLINE) -> RedisLimiter:
    """A limiter with a client of its own; `options` are the keyword arguments of redis.asyncio.Redis.

    The client does not retry by itself: within the deadline there is no time for it.
    """
    return RedisLimiter(Redis(**options, retry=Retry(NoBackoff(), 0)), deadline=deadline)
