"""`python -m bench.limiter`: the rate limiter beside the package `limits`, under attack, and its cost.

Each way to limit is opened as an `Entrant`: it admits a request of an identity to all of its limits, or
rejects it.
"""

import asyncio
import itertools
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click
import redis
import uvloop
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from bench.comparison import LIMITED, turn
from bench.contenders import Bench, Contender
from bench.gateway import MAX_REQUESTS, RESPONSE, Gateway, entry
from bench.load import Call, await_rule, exchange, open_connection
from bench.machine import describe
from bench.programs import BenchFailed
from bench.report import cell, report, table
from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.values import Limit, Quota
from shared.services import SystemClock

LEVELS = ("global", "gateway", "per_ip")
#: The attack: its limit, the window in seconds, and how long before a boundary each attacker begins.
LIMIT, SECONDS = 100, 2
_LEADS = (0.02, 0.05, 0.1, 0.3)
#: The decisions: requests at a time, and identities.
_IN_FLIGHT, _IDENTITIES = 64, 100
_REDIS_SECONDS = 5.0  # a busy machine may need more than the 50 ms of the gateway

type Acquire = Callable[[str], Awaitable[bool]]


class Quotas(NamedTuple):
    """The limits of an entrant: `number` in `seconds` at each level, in the Redis at `socket`."""

    socket: str
    number: int
    seconds: int
    levels: Sequence[str]


class Entrant(NamedTuple):
    """A way to limit, by name."""

    name: str
    open: Callable[[Quotas], AbstractAsyncContextManager[Acquire]]


@asynccontextmanager
async def _ours(quotas: Quotas) -> AsyncIterator[Acquire]:
    """The limiter of a worker of the gateway."""
    options = {"unix_socket_path": quotas.socket}
    remote = open_redis_limiter(options, _REDIS_SECONDS)
    limiter = GuardedLimiter(
        remote, SystemClock(), workers=1, cleanup_interval=60.0, max_idle_time=3600.0, max_entries=10_000
    )
    quota, known = Quota(quotas.number, quotas.seconds * 1000), dict[str, list[Limit]]()

    async def acquire(identity: str) -> bool:
        if identity not in known:
            known[identity] = [
                Limit(f"rl:{{bench}}:r1:{level}:{identity}", quota, "rule", level, f"{quotas.seconds}s")
                for level in quotas.levels
            ]
        return (await limiter.acquire(known[identity])).allowed

    yield acquire
    await limiter.close()


def _of_limits(name: str, strategy: type[RateLimiter]) -> Entrant:
    """A strategy of the package `limits`, which needs one call per limit."""

    @asynccontextmanager
    async def opened(quotas: Quotas) -> AsyncIterator[Acquire]:
        uri = f"async+redis+unix://{quotas.socket}"
        storage = RedisStorage(uri, implementation="redispy", key_prefix=strategy.__name__)
        limiter, item = strategy(storage), RateLimitItemPerSecond(quotas.number, quotas.seconds)

        async def acquire(identity: str) -> bool:
            for level in quotas.levels:
                if not await limiter.hit(item, level, identity):
                    return False
            return True

        yield acquire
        bridge: Any = storage.bridge
        await bridge.get_connection().aclose()

    return Entrant(name, opened)


OURS = Entrant("ours", _ours)
LIMITS = (
    _of_limits("limits, fixed window", FixedWindowRateLimiter),
    _of_limits("limits, sliding counter", SlidingWindowCounterRateLimiter),
    _of_limits("limits, moving window", MovingWindowRateLimiter),
)


def over_http(gateway: Gateway, port: int) -> Entrant:
    """The limit of a rule, over HTTP: each identity is a tenant with a connection of its own."""
    numbers = itertools.count()

    @asynccontextmanager
    async def opened(quotas: Quotas) -> AsyncIterator[Acquire]:
        limit = entry("rate_limiter", 1, limit=quotas.number, window=f"{quotas.seconds}s")
        attackers: dict[str, tuple[socket.socket, Call]] = {}

        def connected(identity: str) -> tuple[socket.socket, Call]:
            call = gateway.create_tenant(f"{identity}-{next(numbers)}", [], [limit])
            await_rule(port, call, RESPONSE)
            time.sleep(65 / 64 * quotas.seconds)  # until that request no longer counts
            return open_connection(port), call

        async def acquire(identity: str) -> bool:
            if identity not in attackers:
                attackers[identity] = await asyncio.to_thread(connected, identity)
            return await asyncio.to_thread(_is_admitted, *attackers[identity])

        yield acquire
        for connection, _ in attackers.values():
            connection.close()

    return Entrant("our gateway, over HTTP", opened)


def _is_admitted(connection: socket.socket, call: Call) -> bool:
    response, body = exchange(connection, call)
    if "X-Gateway-RateLimit-Mode" in response.headers:
        raise BenchFailed("this machine is too busy: Redis did not respond to the proxy within 50 ms")
    if response.status not in (200, 429):
        raise BenchFailed(f"expected status 200 or 429, got {response.status} {body[:200]!r}")
    return response.status == 200


@dataclass
class Speed:
    """The decisions of one entrant: their rates per second and commands of Redis per request, by round."""

    name: str
    rates: list[float] = field(default_factory=list)
    commands: list[float] = field(default_factory=list)


async def measure_speed(entrants: Sequence[Entrant], store: str, rounds: int, seconds: float) -> list[Speed]:
    """Measure all entrants in each round."""
    speeds = [Speed(entrant.name) for entrant in entrants]
    for _ in range(rounds):
        for entrant, speed in zip(entrants, speeds, strict=True):
            async with entrant.open(Quotas(store, MAX_REQUESTS, 60, LEVELS)) as acquire:
                await _measure_round(acquire, speed, store, seconds)
    return speeds


async def _measure_round(acquire: Acquire, speed: Speed, store: str, seconds: float) -> None:
    await asyncio.gather(*(acquire(f"identity{number}") for number in range(_IDENTITIES)))
    with redis.Redis(unix_socket_path=store) as client:
        client.config_resetstat()
        started = time.perf_counter()

        async def load(number: int) -> int:
            count = 0
            while time.perf_counter() < started + seconds:
                await acquire(f"identity{(number + count) % _IDENTITIES}")
                count += 1
            return count

        count = sum(await asyncio.gather(*map(load, range(_IN_FLIGHT))))
        speed.rates.append(count / (time.perf_counter() - started))
        speed.commands.append(client.info("commandstats")["cmdstat_evalsha"]["calls"] / count)


async def worst_windows(entrants: Sequence[Entrant], store: str) -> dict[str, int]:
    """The most that each entrant admitted in any `SECONDS`, over all attackers."""
    return {entrant.name: await _worst(entrant, store) for entrant in entrants}


async def _worst(entrant: Entrant, store: str) -> int:
    async with entrant.open(Quotas(store, LIMIT, SECONDS, ("attacked",))) as acquire:
        attacks = (_attack(acquire, f"attacker{place}", lead) for place, lead in enumerate(_LEADS))
        return max(await asyncio.gather(*attacks))


async def _attack(acquire: Acquire, identity: str, lead: float) -> int:
    """Open a window with one request. From `lead` before its end on, send one after the other."""
    admitted = []
    await acquire(identity)
    started = time.perf_counter()
    await asyncio.sleep(SECONDS - lead)
    while (begun := time.perf_counter()) < started + 2 * SECONDS + 0.5:
        if await acquire(identity):
            admitted.append((begun, time.perf_counter()))
        else:
            await asyncio.sleep(0.001)
    return worst_window(admitted)


def worst_window(admitted: Sequence[tuple[float, float]]) -> int:
    """The most that was certainly admitted in `SECONDS`, of requests with their begin and end."""
    ends = [end for _, end in admitted]
    return max(sum(end - SECONDS < begun and ended <= end for begun, ended in admitted) for end in ends)


@click.command()
@click.option("--rounds", default=5, help="How often each is measured.")
@click.option("--seconds", default=1, help="Length of each load.")
def main(rounds: int, seconds: int) -> None:
    """Measure decisions, an attack on the boundary of a window, and the cost of limits on the proxy."""
    print(describe())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(folder, stack)
        contenders = bench.start(list(LIMITED))
        _print_limiters(bench.gateway, contenders[0], rounds, seconds)
        found = bench.measure(contenders, rounds, lambda one: turn(bench, one, seconds))
    print("\nThe cost on the proxy")
    print(*(f"  {name:16} {text}" for name, text in LIMITED.items()), sep="\n")
    print(f"\n{report(found, ['express'], 'express')}")


def _print_limiters(gateway: Gateway, proxy: Contender, rounds: int, seconds: float) -> None:
    speeds = uvloop.run(measure_speed((OURS, *LIMITS), gateway.socket, rounds, seconds))
    rows = [
        [
            speed.name,
            cell(speed.rates),
            cell([one / other for one, other in zip(speeds[0].rates, speed.rates, strict=True)], 1, 1),
            cell(speed.commands, 1, 2),
        ]
        for speed in speeds
    ]
    print(f"\nDecisions: {len(LEVELS)} limits per request, {_IN_FLIGHT} in flight, {_IDENTITIES} identities")
    print(table(["", "decisions/s", "ours is faster by", "commands/request"], rows))
    attacked = (over_http(gateway, proxy.port), OURS, *LIMITS)
    worst = uvloop.run(worst_windows(attacked, gateway.socket))
    print(f"\nAttack on the boundary: the most admitted in any {SECONDS} s, at {LIMIT} per {SECONDS} s")
    print(table(["", "admitted"], [[name, str(count)] for name, count in worst.items()]))


if __name__ == "__main__":
    main()
