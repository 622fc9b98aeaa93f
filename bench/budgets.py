"""`python -m bench.budgets`: what is spent of a budget beside others, its cost for requests, and settles."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import redis
import uvloop

from bench.gateway import MAX_REQUESTS
from bench.machine import describe
from bench.overspend import CLIENTS, PROCESSES, measure_spending, spending_table, spending_targets
from bench.report import Target, end_with
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.values import BUDGET, MAX_UNITS, Limit, Quota, budget_key
from shared.redis_server.embedded import Embedded
from shared.usage.row import LedgerRow, Usage
from shared.usage.settler import open_settler

_TENANT = "bench"
_IN_FLIGHT, _IDENTITIES = 64, 100
_REDIS_SECONDS = 60.0  # a busy machine may need more than the 50 ms of the gateway
_LEASES = itertools.count()


class Cost(NamedTuple):
    """One request's limits: microseconds with those of the worker, in Redis alone, and its commands."""

    whole: float
    store: float
    commands: float


def _windows(identity: int) -> list[Limit]:
    quota = Quota(MAX_REQUESTS, 60_000)
    return [
        Limit(f"rl:{{{_TENANT}}}:r:{level}:{identity}", quota, "rule", level, "60s")
        for level in ("global", "per_ip")
    ]


def _budgets(identity: int, lease: str) -> list[Limit]:
    quota = Quota(MAX_UNITS - 1, 60_000)
    return [
        Limit(budget_key(_TENANT, name), quota, "budget", name, "", 1_000, kind=BUDGET, lease=lease)
        for name in _names(identity)
    ]


def _names(identity: int) -> list[str]:
    """The budget of a key, and that of the tenant."""
    return [f"key-{identity}:0", "tenant:0"]


async def measure(socket: str, rounds: int, seconds: float) -> list[Target]:
    """All figures with their targets."""
    ratios, added, commands = list[float](), list[float](), list[float]()
    settles, batches = list[float](), list[float]()
    for _ in range(rounds):
        without = await _decide(socket, seconds, has_budgets=False)
        having = await _decide(socket, seconds, has_budgets=True)
        ratios.append(having.whole / without.whole)
        added.append(having.store - without.store)
        commands.append(having.commands)
        print(f"   {without.whole:.0f} us ({without.store:.0f} in Redis) without budgets, ", end="")
        print(f"{having.whole:.0f} us ({having.store:.0f}) with them", flush=True)
        rate, calls = await _settle(socket, seconds)
        settles.append(rate)
        batches.append(calls)
    return [
        Target("2 windows and 2 budgets, of 2 windows", ratios, 3),
        Target("time of 2 budgets in Redis, us", added, 60),
        Target("commands per request before it is sent", commands, 1),
        Target("settles per second, 2 budgets each", settles, 5_000, is_minimum=True),
        Target("commands per settle", batches, 0.05),
    ]


async def _decide(socket: str, seconds: float, *, has_budgets: bool) -> Cost:
    limiter = open_redis_limiter({"unix_socket_path": socket}, _REDIS_SECONDS)
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
        await limiter.acquire(_windows(0))
        client.config_resetstat()
        started = time.perf_counter()

        async def load(number: int) -> int:
            count = 0
            while time.perf_counter() < started + seconds:
                identity = (number + count) % _IDENTITIES
                limits = _windows(identity)
                if has_budgets:
                    limits += _budgets(identity, str(next(_LEASES)))
                await limiter.acquire(limits)
                count += 1
            return count

        count = sum(await asyncio.gather(*map(load, range(_IN_FLIGHT))))
        elapsed = time.perf_counter() - started
        stats = client.info("commandstats")["cmdstat_evalsha"]
    await limiter.close()
    return Cost(elapsed / count * 1e6, stats["usec"] / stats["calls"], stats["calls"] / count)


async def _settle(socket: str, seconds: float) -> tuple[float, float]:
    """Rows per second that are written and settled, and commands per row. They are reserved before."""
    limiter = open_redis_limiter({"unix_socket_path": socket}, _REDIS_SECONDS)
    options = {"unix_socket_path": socket}
    settler = open_settler(options, lambda: f"batch-{next(_LEASES)}", max_bytes=10**9)
    elapsed = count = calls = 0.0
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
        while elapsed < seconds:
            rows = list(_rows(2_000))
            for some in itertools.batched(enumerate(rows), 100):
                await asyncio.gather(
                    *(limiter.acquire(_budgets(number % _IDENTITIES, row.id)) for number, row in some)
                )
            client.config_resetstat()
            started = time.perf_counter()
            for row in rows:
                settler.add(row)
            await settler.flush()
            elapsed += time.perf_counter() - started
            calls += client.info("commandstats")["cmdstat_evalsha"]["calls"]
            count += len(rows)
    await settler.connection.close()
    await limiter.close()
    return count / elapsed, calls / count


def _rows(count: int) -> Iterator[LedgerRow]:
    for number in range(count):
        yield LedgerRow(
            id=str(next(_LEASES)),
            time=1_796_126_400.0,
            request_id="request",
            tenant=_TENANT,
            key=f"key-{number % _IDENTITIES}",
            rule="rule",
            provider="provider",
            model_asked="fast",
            model="model",
            api="openai.chat",
            status=200,
            usage=Usage(input=1_000, output=200),
            cost_nano=700,
            budgets=dict.fromkeys(_names(number % _IDENTITIES), 700),
        )


@click.command()
@click.option("--rounds", default=5, help="How often each is measured.")
@click.option("--seconds", default=1.0, help="Length of each load.")
def main(rounds: int, seconds: float) -> None:
    """Measure budgets. Exit code 1 when a target is missed."""
    print(describe())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = Embedded(Path(folder))
        server.open()
        try:
            spending = measure_spending(str(server.socket), rounds, 2 * seconds)
            print(f"\nA budget of 1 USD, {CLIENTS} clients, {PROCESSES} processes")
            print(f"{spending_table(spending)}\n")
            found: Sequence[Target] = [
                *spending_targets(spending[0]),
                *uvloop.run(measure(str(server.socket), rounds, seconds)),
            ]
        finally:
            server.close()
    end_with(found)


if __name__ == "__main__":
    main()
