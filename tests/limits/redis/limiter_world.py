"""The limiters of the tests, whose clock the test turns."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, cast

import pytest
import redis

from shared.config_store.client import open_everywhere
from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.port import Limiter
from shared.limits.redis.limiter import RedisLimiter, open_redis_limiter
from shared.limits.values import (
    BUDGET,
    CONCURRENT,
    Decision,
    Limit,
    Quota,
    budget_key,
    budget_keys,
)
from shared.testing.memory_limiter import MemoryLimiter
from shared.usage.settler import Settler, open_settler
from tests.usage.rows import row

#: Some day in 2025, in microseconds.
START = 1_750_000_000_000_000

#: Every limiter that keeps the port's promises: in this process, on the Valkey in our wheel, on Redis 7.
KINDS = ("memory", "valkey", "redis_7")
#: And as a worker has it: with the memory of refusals and the local counts in front.
ALL_KINDS = (*KINDS, "guarded")
#: With several servers.
SEVERAL_KINDS = tuple(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sentinels", "cluster"))


#: The settings of a guarded limiter.
KNOBS: Mapping[str, Any] = {"cleanup_interval": 60, "max_idle_time": 3600, "max_entries": 10_000}


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
        self,
        limiter: Limiter,
        hands: Hands,
        runner: asyncio.Runner,
        store: redis.Redis | None,
        settler: Settler | None = None,
    ) -> None:
        self.limiter = limiter
        self.settler = settler
        self.hands = hands
        self.store = store
        self._runner = runner

    def acquire(self, *limits: Limit) -> Decision:
        return self._runner.run(self.limiter.acquire(limits))

    def peek(self, *limits: Limit) -> Decision:
        return self._runner.run(self.limiter.peek(limits))

    def release(self, *limits: Limit) -> None:
        self._runner.run(self.limiter.release(limits))

    def renew(self, *limits: Limit) -> None:
        self._runner.run(self.limiter.renew(limits))

    def refund(self, *limits: Limit, charged: Decision | None = None) -> None:
        self.correct(*((limit, -limit.cost) for limit in limits), charged=charged)

    def correct(self, *corrections: tuple[Limit, int], charged: Decision | None = None) -> None:
        limits, units = zip(*corrections, strict=True)
        self._runner.run(self.limiter.correct(limits, charged, units))

    def extend(self, *limits: Limit) -> Decision:
        return self._runner.run(self.limiter.extend(limits))

    def settle(self, *limits: Limit, amount: int, is_unreserved: bool = False) -> None:
        """Settle the lease of some budgets: all have used `amount`."""
        if self.settler is None:
            assert isinstance(self.limiter, MemoryLimiter)
            for each in limits:
                self.limiter.settle(each.key, each.lease, amount, counts_always=is_unreserved)
            return
        amounts = {name_of(each): amount for each in limits}
        ended = row(tenant="tenant", budgets=amounts, is_unreserved=is_unreserved)
        ended.id = limits[0].lease
        self.settler.add(ended)
        self.run(self.settler.flush())

    def settle_nothing(self, *limits: Limit) -> None:
        """Settle the lease of budgets of a request without a row."""
        if self.settler is None:
            self.settle(*limits, amount=0)
        else:
            self.settler.release("tenant", limits[0].lease, [name_of(each) for each in limits])
            self.run(self.settler.flush())

    def run[R](self, work: Coroutine[Any, Any, R]) -> R:
        return self._runner.run(work)

    def stored(self, *limits: Limit) -> list[tuple[bytes, int]]:
        """The keys as bytes with their time of expiry; nothing for the limiter without a store."""
        if self.store is None:
            return []
        keys = [key for limit in limits for key in _keys(limit)]
        return [(self.store.dump(key), self.store.pexpiretime(key)) for key in keys]

    def forget(self) -> None:
        """Start again: empty counters, the clock at its start."""
        self.hands.now_us = START
        if self.store is None:
            self._runner.run(self.limiter.close())
        else:
            self.store.flushdb()

    def close(self) -> None:
        self._runner.run(self.limiter.close())
        if self.settler is not None:
            self._runner.run(self.settler.connection.close())
        if self.store is not None:
            self.store.close()


def name_of(budget: Limit) -> str:
    """The name of a budget in rows."""
    return budget.key.removeprefix(budget_key("tenant", ""))


def _keys(limit: Limit) -> tuple[str, ...]:
    return budget_keys(limit.key) if limit.kind == BUDGET else (limit.key,)


def world(kind: str, runner: asyncio.Runner, options: Mapping[str, Any] | None = None) -> World:
    """The world of a limiter in this process, or in the server with these `options`."""
    hands = Hands()
    if kind == "memory" or options is None:
        return World(MemoryLimiter(hands), hands, runner, None)
    # A test machine may be slow; what the deadline does has tests of its own.
    limiter: Limiter = open_redis_limiter(options, deadline=20, now=lambda: hands.now_us)
    if kind == "guarded":
        limiter = GuardedLimiter(cast(RedisLimiter, limiter), hands, workers=1, **KNOBS)
    numbers = count()
    settler = open_settler(options, lambda: f"batch-{next(numbers)}", max_bytes=10**9)
    return World(limiter, hands, runner, open_everywhere(options), settler)


def _options(kind: str, request: pytest.FixtureRequest) -> Mapping[str, Any] | None:
    if kind == "memory":
        return None
    if kind in ("sentinels", "cluster"):
        options: Mapping[str, Any] = request.getfixturevalue(kind).options
        return options
    return address(request.getfixturevalue(f"{'valkey' if kind == 'guarded' else kind}_socket"))


@contextmanager
def requested_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The world of the kind that a fixture's parameter names, empty."""
    kind = request.param
    with asyncio.Runner() as runner:
        here = world(kind, runner, _options(kind, request))
        try:
            here.forget()
            yield here
        finally:
            here.close()


def limit(
    name: str = "global", number: int = 3, window_ms: int = 10_000, *, scope: str = "rule", cost: int = 1
) -> Limit:
    """A limit whose key follows from all but its number."""
    key = f"rl:{{tenant}}:{scope}:{name}:{window_ms}"
    return Limit(key, Quota(number, window_ms), scope, name, f"{window_ms}ms", cost)


def at_a_time(
    number: int = 2, lease: str = "one", *, name: str = "streams", length_ms: int = 30_000
) -> Limit:
    """A concurrent limit: so many at a time, and the exchange that asks."""
    quota = Quota(number, length_ms)
    key = f"rl:{{tenant}}:rule:{name}"
    return Limit(key, quota, "rule", name, f"{length_ms}ms", kind=CONCURRENT, lease=lease)


def budget(
    number: int = 100,
    lease: str = "one",
    *,
    cost: int = 10,
    name: str = "bud_1:0",
    resets_at: int = 0,
    length_ms: int = 60_000,
    on_error: str = "local",
) -> Limit:
    """A budget of so many units, and what a request reserves."""
    return Limit(
        budget_key("tenant", name),
        Quota(number, length_ms),
        "budget",
        name,
        "",
        cost,
        kind=BUDGET,
        lease=lease,
        resets_at=resets_at,
        on_error=on_error,
    )


def admitted(here: World, *limits: Limit, times: int) -> int:
    """How many of so many requests one after the other are admitted."""
    return sum(here.acquire(*limits).allowed for _ in range(times))
