"""What is compared: ways to check three limits of one request, each as one call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)
from redis.asyncio import Redis

from shared.limits.fallback.guarded_limiter import open_limiter
from shared.limits.redis.limiter import LIMITER
from shared.limits.values import Limit, Quota
from shared.services import SystemClock
from shared.settings.sections import Cache

LEVELS = ("global", "gateway", "per_ip")
ROOMY = 1_000_000_000


class Rival(Protocol):
    """Admits a request of an identity to all of its limits, or refuses it."""

    async def __call__(self, identity: str) -> bool: ...


@dataclass(frozen=True)
class Entrant:
    """A rival by name. `open` connects it, with one limit a level: so many in so many seconds."""

    name: str
    open: Callable[..., Any]


def our_limits(identity: str, number: int, seconds: int, levels: Sequence[str]) -> list[Limit]:
    """As the rate limiter makes them."""
    quota = Quota(number, seconds * 1000)
    keys = [f"rl:{{bench}}:r1:{level}:{identity}" for level in levels]
    return [Limit(key, quota, "rule", level, f"{seconds}s") for key, level in zip(keys, levels, strict=True)]


def cached(make: Callable[[str], Any]) -> Callable[[str], Any]:
    """Each identity's limits, made once: what is measured is the decision."""
    made: dict[str, Any] = {}
    return lambda identity: made.get(identity) or made.setdefault(identity, make(identity))


@asynccontextmanager
async def ours(socket: str, number: int, seconds: int, levels: Sequence[str]) -> AsyncIterator[Rival]:
    """What a worker of the gateway runs."""
    cache = Cache(1.0, 60.0, 3600.0, 10_000)
    # On a busy machine 50 ms may pass; decisions of this process alone are none that we want to count.
    limiter = open_limiter({"unix_socket_path": socket}, SystemClock(), cache, workers=1, deadline=5)
    limits = cached(lambda identity: our_limits(identity, number, seconds, levels))

    async def acquire(identity: str) -> bool:
        return (await limiter.acquire(limits(identity))).allowed

    yield acquire
    await limiter.close()


def arguments(limits: Sequence[Limit]) -> list[str | int]:
    """What our script is given."""
    found: list[str | int] = [0, 1]
    for limit in limits:
        found += ["window", limit.quota.limit, limit.quota.window_ms * 1000, limit.cost]
    return found


@asynccontextmanager
async def our_script_by_redis_py(
    socket: str, number: int, seconds: int, levels: Sequence[str]
) -> AsyncIterator[Rival]:
    """Our script, each call through redis-py."""
    limits = cached(lambda identity: our_limits(identity, number, seconds, levels))
    async with Redis(unix_socket_path=socket) as client:
        await client.script_load(LIMITER.text)

        async def acquire(identity: str) -> bool:
            wanted = limits(identity)
            keys = [limit.key for limit in wanted]
            response = await client.evalsha(LIMITER.digest, len(keys), *keys, *arguments(wanted))
            return bool(response[0])

        yield acquire


@asynccontextmanager
async def our_script_by_pipelines(
    socket: str, number: int, seconds: int, levels: Sequence[str]
) -> AsyncIterator[Rival]:
    """Our script, what comes together in one pipeline of redis-py."""
    limits = cached(lambda identity: our_limits(identity, number, seconds, levels))
    loop = asyncio.get_running_loop()
    waiting: list[tuple[list[Limit], asyncio.Future[bool]]] = []
    sending: asyncio.Task[None] | None = None
    async with Redis(unix_socket_path=socket) as client:
        await client.script_load(LIMITER.text)

        async def send() -> None:
            nonlocal sending
            while waiting:
                batch = waiting.copy()
                waiting.clear()
                pipeline = client.pipeline(transaction=False)
                for wanted, _ in batch:
                    keys = [limit.key for limit in wanted]
                    pipeline.evalsha(LIMITER.digest, len(keys), *keys, *arguments(wanted))
                for (_, future), response in zip(batch, await pipeline.execute(), strict=True):
                    future.set_result(bool(response[0]))
            sending = None

        async def acquire(identity: str) -> bool:
            nonlocal sending
            future: asyncio.Future[bool] = loop.create_future()
            waiting.append((limits(identity), future))
            if sending is None:
                sending = loop.create_task(send())
            return await future

        yield acquire


def of_limits(strategy: type[RateLimiter]) -> Callable[..., Any]:
    """A strategy of the package `limits`: one hit a limit, one after the other, as it has to be used."""

    @asynccontextmanager
    async def opened(socket: str, number: int, seconds: int, levels: Sequence[str]) -> AsyncIterator[Rival]:
        uri, prefix = f"async+redis+unix://{socket}", strategy.__name__
        storage = RedisStorage(uri, implementation="redispy", key_prefix=prefix)
        limiter = strategy(storage)
        item = RateLimitItemPerSecond(number, seconds)

        async def acquire(identity: str) -> bool:
            for level in levels:
                if not await limiter.hit(item, level, identity):
                    return False
            return True

        yield acquire
        bridge: Any = storage.bridge
        await bridge.get_connection().aclose()

    return opened


LIMITS = (
    Entrant("limits, fixed window", of_limits(FixedWindowRateLimiter)),
    Entrant("limits, sliding counter", of_limits(SlidingWindowCounterRateLimiter)),
    Entrant("limits, moving window", of_limits(MovingWindowRateLimiter)),
)
OURS = Entrant("ours", ours)
ENTRANTS = (
    OURS,
    Entrant("our script, redis-py pipelines", our_script_by_pipelines),
    Entrant("our script, redis-py", our_script_by_redis_py),
    *LIMITS,
)
