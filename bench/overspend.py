"""The money that clients spend of a budget of 1 USD, per way to keep it: for `python -m bench.budgets`.

Each way is opened as a `Way`: it admits a call by an estimate of its cost, and learns later what it cost.
"""

import asyncio
import multiprocessing
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from typing import Any, NamedTuple

import redis
import redis.asyncio
import uvloop
from limits import RateLimitItemPerHour
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from bench.report import Target, cell, table
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.values import BUDGET, Limit, Quota, budget_key
from shared.usage.budget_store import BudgetStore
from shared.usage.row import LedgerRow, Usage
from shared.usage.settler import open_settler

PROCESSES, CLIENTS = 4, 200
#: All amounts are in hundredths of a cent, because `limits` keeps an entry per unit.
USD = 10_000
BUDGET_UNITS, ESTIMATE = USD, 100
#: The cost of a call, and how long it takes.
COSTS, SECONDS = (20, 110), (0.005, 0.05)
_PAUSE = 0.05  # seconds for which a client waits after a rejection
_REDIS_SECONDS = 60.0  # a busy machine may need more than the 50 ms of the gateway
_TENANT, _NAME = "bench", "bud_bench:0"


class Call(NamedTuple):
    """A call of a client: its name, what it costs in the end, and how long it takes."""

    id: str
    cost: int
    seconds: float


class Keeper(NamedTuple):
    """An opened way: whether a call is admitted by `ESTIMATE`, and what follows once its cost is known."""

    admit: Callable[[str], Awaitable[bool]]
    settle: Callable[[str, int], Awaitable[None]]


class Way(NamedTuple):
    """A way to keep a budget, by name: how it is opened on the socket of Redis, and what it counts there."""

    name: str
    open: Callable[[str], AbstractAsyncContextManager[Keeper]]
    counted: Callable[[str], Coroutine[Any, Any, int]]


@asynccontextmanager
async def _ours(socket: str) -> AsyncIterator[Keeper]:
    """The limiter and the settler of a worker of the gateway."""
    options = {"unix_socket_path": socket}
    limiter = open_redis_limiter(options, _REDIS_SECONDS)
    settler = open_settler(options, lambda: random.randbytes(8).hex(), max_bytes=10**9)
    key, quota = budget_key(_TENANT, _NAME), Quota(BUDGET_UNITS, 60_000)

    async def admit(call: str) -> bool:
        limit = Limit(key, quota, "budget", "all", "", ESTIMATE, kind=BUDGET, lease=call)
        return (await limiter.acquire([limit])).allowed

    async def settle(call: str, cost: int) -> None:
        settler.add(_row(call, cost))

    writing = asyncio.create_task(settler.run())
    yield Keeper(admit, settle)
    writing.cancel()
    await settler.close()
    await limiter.close()


async def _count_of_ours(socket: str) -> int:
    with redis.Redis(unix_socket_path=socket) as client:
        return BudgetStore(client).states(_TENANT, {_NAME: BUDGET_UNITS})[_NAME].used


def _row(call: str, cost: int) -> LedgerRow:
    return LedgerRow(
        id=call,
        time=1_796_126_400.0,
        request_id=call,
        tenant=_TENANT,
        key="key",
        rule="rule",
        provider="provider",
        model_asked="fast",
        model="model",
        api="openai.chat",
        status=200,
        usage=Usage(input=1_000, output=200),
        cost_nano=cost,
        budgets={_NAME: cost},
    )


def _of_limits(name: str, strategy: type[RateLimiter]) -> Way:
    """A strategy of the package `limits`: it takes the estimate, and later what is missing.

    It has no way to give back what a call did not need.
    """
    item = RateLimitItemPerHour(BUDGET_UNITS)

    @asynccontextmanager
    async def limiting(socket: str) -> AsyncIterator[RateLimiter]:
        uri = f"async+redis+unix://{socket}"
        storage = RedisStorage(uri, implementation="redispy", key_prefix=strategy.__name__)
        yield strategy(storage)
        bridge: Any = storage.bridge
        await bridge.get_connection().aclose()

    @asynccontextmanager
    async def opened(socket: str) -> AsyncIterator[Keeper]:
        async with limiting(socket) as limiter:

            async def admit(_call: str) -> bool:
                return await limiter.hit(item, cost=ESTIMATE)

            async def settle(_call: str, cost: int) -> None:
                if cost > ESTIMATE:
                    await limiter.hit(item, cost=cost - ESTIMATE)

            yield Keeper(admit, settle)

    async def counted(socket: str) -> int:
        # Its own statistics of a window that is passed say that nothing is left.
        async with limiting(socket) as limiter:
            if isinstance(limiter, FixedWindowRateLimiter):
                return await limiter.storage.get(item.key_for())
            return BUDGET_UNITS - (await limiter.get_window_stats(item)).remaining

    return Way(name, opened, counted)


@asynccontextmanager
async def _check_then_increment(socket: str) -> AsyncIterator[Keeper]:
    """Read and compare the sum before a call, and add the cost after it."""
    async with redis.asyncio.Redis(unix_socket_path=socket) as client:

        async def admit(_call: str) -> bool:
            return int(await client.get("spent") or 0) < BUDGET_UNITS

        async def settle(_call: str, cost: int) -> None:
            await client.incrby("spent", cost)

        yield Keeper(admit, settle)


async def _spent(socket: str) -> int:
    with redis.Redis(unix_socket_path=socket) as client:
        return int(client.get("spent") or 0)


OURS = Way("our budget", _ours, _count_of_ours)
WAYS = (
    OURS,
    _of_limits("limits, fixed window", FixedWindowRateLimiter),
    _of_limits("limits, moving window", MovingWindowRateLimiter),
    Way("check, then increment", _check_then_increment, _spent),
)


def calls_of(client: int) -> Iterator[Call]:
    """The calls of a client, the same ones for each way."""
    chosen = random.Random(client)
    number = 0
    while True:
        yield Call(f"{client}-{number}", chosen.randint(*COSTS), chosen.uniform(*SECONDS))
        number += 1


async def spend(keeper: Keeper, client: int, until: Callable[[], bool]) -> list[int]:
    """Call one after the other until the time is over. Returns what each admitted call cost."""
    costs: list[int] = []
    calls = calls_of(client)
    call = next(calls)
    while not until():
        if not await keeper.admit(call.id):
            await asyncio.sleep(_PAUSE)
            continue
        await asyncio.sleep(call.seconds)
        await keeper.settle(call.id, call.cost)
        costs.append(call.cost)
        call = next(calls)
    return costs


@dataclass
class Spending:
    """The results of one way, by round: admitted calls, their costs and its own sum, both in USD."""

    name: str
    calls: list[int] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    counted: list[float] = field(default_factory=list)

    def add(self, costs: Sequence[int], counted: int) -> None:
        """Note a round."""
        self.calls.append(len(costs))
        self.spent.append(sum(costs) / USD)
        self.counted.append(counted / USD)

    @property
    def cells(self) -> list[str]:
        """Its row of the table."""
        spent = cell(self.spent, 1, 2, with_range=True)
        return [self.name, cell(self.calls), spent, cell(self.counted, 1, 2)]


def spending_table(found: Sequence[Spending]) -> str:
    """All ways, side by side."""
    return table(["", "calls", "USD spent", "USD counted"], [one.cells for one in found])


def spending_targets(ours: Spending) -> list[Target]:
    """Ours may pass its limit by what calls in flight cost beyond their estimates, and counts each amount."""
    most_in_flight = BUDGET_UNITS // ESTIMATE
    debt = most_in_flight * (COSTS[1] - ESTIMATE) / USD
    drift = [abs(spent - counted) for spent, counted in zip(ours.spent, ours.counted, strict=True)]
    return [
        Target("spent of a budget of 1 USD, USD", ours.spent, BUDGET_UNITS / USD + debt),
        Target("spent, and not counted by it, USD", drift, 0),
    ]


_barrier: list[Barrier] = []


def _begin(barrier: Barrier) -> None:
    _barrier.append(barrier)


def _work(way: int, socket: str, clients: range, seconds: float) -> list[int]:
    """The part of one process: its clients begin when all processes are ready."""

    async def work() -> list[int]:
        async with WAYS[way].open(socket) as keeper:
            await asyncio.to_thread(_barrier[0].wait, 60)
            loop = asyncio.get_running_loop()
            end = loop.time() + seconds
            each = await asyncio.gather(
                *(spend(keeper, client, lambda: loop.time() > end) for client in clients)
            )
        return [cost for costs in each for cost in costs]

    return uvloop.run(work())


def measure_spending(socket: str, rounds: int, seconds: float) -> list[Spending]:
    """Let all clients spend by each way in each round."""
    context = multiprocessing.get_context("spawn")
    found = [Spending(way.name) for way in WAYS]
    arguments = (context.Barrier(PROCESSES),)
    share = CLIENTS // PROCESSES
    with (
        redis.Redis(unix_socket_path=socket) as client,
        ProcessPoolExecutor(PROCESSES, context, _begin, arguments) as pool,
    ):
        for number, way in enumerate(list(WAYS) * rounds):
            client.flushall()
            parts = [
                pool.submit(_work, number % len(WAYS), socket, range(first, first + share), seconds)
                for first in range(0, CLIENTS, share)
            ]
            costs = [cost for part in parts for cost in part.result()]
            found[number % len(WAYS)].add(costs, uvloop.run(way.counted(socket)))
    return found
