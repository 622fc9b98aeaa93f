"""The workers of several machines share a limit while Redis is away, and the places of rejected clients."""

import asyncio
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis

from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.redis.limiter import open_redis_limiter
from shared.model.config import PluginConfig, Rule, Snapshot
from shared.model.messages import Exchange, Headers, Request
from shared.pipeline.run import Run
from shared.services import DataPlane, SystemClock, connect
from shared.settings import Settings, load_settings
from tests.config_store.configurations import a_tenant, create
from tests.limits.fallback.guarded_world import admitted, at, worker
from tests.limits.redis.limiter_world import KNOBS, limit
from tests.support.valkey_server import Server
from tests.support.wait import until_true

HUNDRED = limit(number=100, window_ms=60_000)


async def test_machines_admit_one_limit_together_without_redis(running: Server) -> None:
    async with AsyncExitStack() as stack:
        fleet = [
            await stack.enter_async_context(worker(running, workers=2, name=f"worker {number}"))
            for number in range(4)
        ]
        await asyncio.gather(*(until_counted(limiter, 4) for limiter in fleet))
        running.kill()
        counts = [await admitted(limiter, HUNDRED, times=150) for limiter in fleet]
        assert counts == [25] * 4, "two machines with two workers each"


async def until_counted(limiter: object, workers: int) -> None:
    """Count at once until so many workers are known."""

    def counted() -> bool:
        limiter._count_from = 0.0  # type: ignore[attr-defined]
        return limiter.workers == workers  # type: ignore[attr-defined, no-any-return]

    await until_true(counted)


async def test_workers_of_two_machines_do_not_tell_the_same_places(running: Server, tmp_path: Path) -> None:
    """They are containers: the process ids of one machine are also those of the other."""
    folders = [tmp_path / name for name in ("one", "other")]
    with connect(machine(folders[0], running)) as services:
        create(services.store, a_limited_tenant())
    shutil.copytree(*folders)  # the machines share their secrets
    async with AsyncExitStack() as stack:
        fleet: list[DataPlane] = []
        for folder in folders:
            services = stack.enter_context(connect(machine(folder, running)))
            fleet.append(await stack.enter_async_context(services.data_plane()))
        await asyncio.gather(*(until_counted(plane.limiter, 2) for plane in fleet))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        places: list[list[int]] = [[], []]
        assert await place(fleet[0], pool) is None
        for _ in range(4):
            for plane, told in zip(fleet, places, strict=True):
                told.append(await place(plane, pool) or 0)
    (first, *one), (same, *other) = places
    assert abs(first - same) < 200, "a client need not wait for others that may not exist"
    assert min(abs(mine - theirs) for mine in one for theirs in other) > 1_800


async def place(plane: DataPlane, pool: ThreadPoolExecutor) -> int | None:
    """The time at which a rejected request may come again, in milliseconds; None if it is admitted."""
    gateway = await plane.gateways.find("acme", None)
    assert gateway is not None
    (route,) = gateway.router.routes()
    request = Request("GET", "/v1", Headers([]))
    exchange = Exchange(id="1", tenant=gateway.snapshot.tenant, rule=route.rule, request=request, client="")
    run = Run(route.plan, exchange, pool)
    await run.request_head()
    if run.rejection is None:
        return None
    return round(SystemClock.monotonic() * 1000) + int(dict(run.rejection.headers)["retry-after-ms"])


def a_limited_tenant() -> Snapshot:
    """A tenant that admits one request in two seconds."""
    limiter = PluginConfig("rate_limiter", settings={"limit": 1, "window": "2s"})
    rule = Rule("r1", "/", "http://192.0.2.1", plugin_chain=(limiter,))
    return a_tenant("acme", rules=(rule,))


def machine(folder: Path, running: Server) -> Settings:
    """The settings of a machine with one worker."""
    flags = {"data_dir": str(folder), "redis.mode": "external", "redis.url": f"unix://{running.socket}"}
    return load_settings(environ={}, flags={**flags, "server.workers": 1})


async def test_worker_that_ended_does_not_count(running: Server) -> None:
    async with worker(running, name="stays") as limiter:
        async with worker(running, name="ends"):
            await until_counted(limiter, 2)
        await until_counted(limiter, 1)
        with redis.Redis(**at(running)) as store:
            store.zadd("wrk:alive", {"killed": 1.0})
        await until_counted(limiter, 1)


@pytest.mark.parametrize(("workers", "last_count", "share"), [(4, 0, 25), (2, 10, 10), (4, 1, 25)])
async def test_worker_that_starts_without_redis_shares_with_all_workers_that_are_remembered(
    running: Server, workers: int, last_count: int, share: int
) -> None:
    running.kill()
    remote = open_redis_limiter(at(running))
    limiter = GuardedLimiter(
        remote, SystemClock(), workers=workers, last_count=last_count, name="fresh", **KNOBS
    )
    assert await admitted(limiter, HUNDRED, times=150) == share
    await limiter.close()


async def test_full_memory_of_redis_is_seen_and_ends(running: Server) -> None:
    async with worker(running, name="one") as limiter:
        await until_counted(limiter, 1)
        with redis.Redis(**at(running)) as store:
            store.config_set("maxmemory", "1")
            limiter._count_from = 0.0
            await until_true(lambda: limiter.is_alone)
            store.config_set("maxmemory", "0")
            limiter._count_from = 0.0
            await until_true(lambda: not limiter.is_alone)


async def test_positions_are_spread_when_workers_are_too_many_to_compare_names(running: Server) -> None:
    remote = open_redis_limiter(at(running))
    turns = [await remote.count_workers(f"worker-{number}") for number in range(200)]
    turns = [await remote.count_workers(f"worker-{number}") for number in range(200)]
    await remote.close()
    assert {turn.workers for turn in turns} == {200}
    assert all(0 <= turn.number < 200 for turn in turns)
    eighths = Counter(turn.number % 8 for turn in turns)  # `RetryQueues` uses so much of a position
    assert min(eighths.values()) >= 10
    assert len(eighths) == 8
