"""The limiter in Redis: one script call for all limits of a request."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.core.limits import CONCURRENT, WINDOW, Decision, Limit, LimitState, decide
from shared.stores.batched_script import BatchedScript


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


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
        self._script = BatchedScript(client, _text("limiter.lua"), deadline)
        self._renew = BatchedScript(client, _text("renew.lua"), deadline)
        self._refund = BatchedScript(client, _text("refund.lua"), deadline)
        self._now = now

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room. One round trip.

        Raises `StoreDown` when Redis does not answer in time, or with an error.
        """
        allowed, now, states = await self._call(limits, charge=1)
        return Decision(True, states, charged_at=now) if allowed else decide(states)

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """What `acquire` would answer now, charging nothing; the states are those before a charge.

        Raises `StoreDown` as `acquire` does.
        """
        _, _, states = await self._call(limits, charge=0)
        return decide(states)

    async def release(self, limits: Sequence[Limit]) -> None:
        """Give back the places in concurrent limits."""
        for limit in limits:
            if limit.kind == CONCURRENT:
                await self._client.zrem(limit.key, limit.lease)

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits, or take them again. Raises as `acquire` does."""
        for limit in limits:
            if limit.kind == CONCURRENT:
                await self._renew([limit.key], [self._now(), limit.quota.window_ms * 1000, limit.lease])

    async def refund(self, limits: Sequence[Limit], charged: Decision | None = None) -> None:
        """Take back what was charged to windows. Raises `StoreDown` as `acquire` does."""
        windows = [limit for limit in limits if limit.kind == WINDOW]
        arguments: list[str | int] = [self._now(), charged.charged_at if charged else 0]
        for limit in windows:
            arguments += [limit.quota.window_ms * 1000, limit.cost]
        await self._refund([limit.key for limit in windows], arguments)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, limits: Sequence[Limit], charge: int) -> tuple[bool, int, list[LimitState]]:
        arguments: list[str | int] = [self._now(), charge]
        for limit in limits:
            last = limit.lease if limit.kind == CONCURRENT else limit.cost
            arguments += [limit.kind, limit.quota.limit, limit.quota.window_ms * 1000, last]
        allowed, now, *figures = await self._script([limit.key for limit in limits], arguments)
        pairs = zip(limits, figures[::2], figures[1::2], strict=True)
        return bool(allowed), now, [LimitState(limit, left, reset) for limit, left, reset in pairs]


def open_limiter(options: Mapping[str, Any], deadline: float = DEADLINE) -> RedisLimiter:
    """A limiter with a client of its own; `options` are the keyword arguments of redis.asyncio.Redis.

    The client does not retry by itself: within the deadline there is no time for it.
    """
    return RedisLimiter(Redis(**options, retry=Retry(NoBackoff(), 0)), deadline=deadline)
