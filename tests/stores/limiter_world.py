"""What the limiter's tests share: limiters whose clock the test turns."""

import asyncio
from typing import Any

import redis
from redis.asyncio import Redis

from shared.core.limits import Decision, Limit, Quota
from shared.core.ports import Limiter
from shared.stores.limiter import RedisLimiter
from shared.stores.memory_limiter import MemoryLimiter

#: Some day in 2025, in microseconds.
START = 1_750_000_000_000_000


def address(socket: str) -> dict[str, Any]:
    """A database of our own in the server that all tests share."""
    return {"unix_socket_path": socket, "db": 9}


class Hands:
    """The hands of a clock, in microseconds."""

    def __init__(self) -> None:
        self.now_us = START

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return self.now_us / 1_000_000

    def forward(self, milliseconds: float) -> None:
        self.now_us += int(milliseconds * 1000)


class World:
    """A limiter, its clock, and for the one in Redis a second connection that looks at the keys."""

    def __init__(
        self, limiter: Limiter, hands: Hands, runner: asyncio.Runner, store: redis.Redis | None
    ) -> None:
        self.limiter = limiter
        self.hands = hands
        self.store = store
        self._runner = runner

    def acquire(self, *limits: Limit) -> Decision:
        return self._runner.run(self.limiter.acquire(limits))

    def peek(self, *limits: Limit) -> Decision:
        return self._runner.run(self.limiter.peek(limits))

    def stored(self, *limits: Limit) -> list[tuple[bytes, int]]:
        """The keys as bytes with their time of expiry; nothing for the limiter without a store."""
        if self.store is None:
            return []
        return [(self.store.dump(limit.key), self.store.pexpiretime(limit.key)) for limit in limits]

    def forget(self) -> None:
        """Start again: empty counters, the clock at its start."""
        self.hands.now_us = START
        if self.store is None:
            self._runner.run(self.limiter.close())
        else:
            self.store.flushdb()

    def close(self) -> None:
        self._runner.run(self.limiter.close())
        if self.store is not None:
            self.store.close()


def world(kind: str, runner: asyncio.Runner, socket: str) -> World:
    """The world of a ``memory`` or a ``redis`` limiter."""
    hands = Hands()
    if kind == "memory":
        return World(MemoryLimiter(hands), hands, runner, None)
    # A test machine may be slow; what the deadline does has tests of its own.
    limiter = RedisLimiter(Redis(**address(socket)), deadline=20, now=lambda: hands.now_us)
    return World(limiter, hands, runner, redis.Redis(**address(socket)))


def limit(
    name: str = "global", number: int = 3, window_ms: int = 10_000, *, scope: str = "rule", cost: int = 1
) -> Limit:
    """A limit whose key follows from all but its number."""
    key = f"rl:{{tenant}}:{scope}:{name}:{window_ms}"
    return Limit(key, Quota(number, window_ms), scope, name, f"{window_ms}ms", cost)
