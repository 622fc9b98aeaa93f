"""Several processes spend one budget: never above it, and what is used is what the rows say, to the nano-dollar."""

import asyncio
import multiprocessing
import random
from collections.abc import Sequence
from itertools import count
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import pytest
import redis

from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.values import Limit, budget_keys
from shared.usage.budget_store import BudgetStore
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow
from shared.usage.settler import open_settler
from tests.limits.redis.limiter_world import budget, limit, name_of
from tests.usage.rows import row

PROCESSES, CLIENTS, CALLS = 4, 200, 30
#: 1 USD in nano-USD, and what a request reserves of it at most.
LIMIT, MOST = 10**9, 400_000
NAMES = ("bud_1:1796083200", "bud_2:1796083200")
#: Leases end after a second: those of requests that never come back, and of some that settle late.
LENGTH_MS = 1_000


class Spent(NamedTuple):
    """The results of one process: requests that were admitted, rejected and lost, and the sum of its rows."""

    admitted: int
    rejected: int
    lost: int
    settled: int


def wanted(lease: str, cost: int) -> list[Limit]:
    """The budget of the tenant, another of its budgets with more room, and two windows."""
    budgets = [
        budget(LIMIT * (place + 1), lease, cost=cost, name=name, length_ms=LENGTH_MS)
        for place, name in enumerate(NAMES)
    ]
    return [limit(number=10**6), limit("per_ip", number=10**6), *budgets]


def ended(lease: str, amount: int) -> LedgerRow:
    one = row(tenant="tenant", budgets=dict.fromkeys(NAMES, amount))
    one.id = lease
    return one


def spend(socket: str, process: int, barrier: Barrier, found: "Queue[Spent]") -> None:
    """Put into `found` what this process spent."""
    found.put(asyncio.run(all_clients(socket, process, barrier)))


async def all_clients(socket: str, process: int, barrier: Barrier) -> Spent:
    options, numbers = {"unix_socket_path": socket}, count()
    limiter = open_redis_limiter(options, 60)
    settler = open_settler(options, lambda: f"batch-{process}-{next(numbers)}", max_bytes=10**9)
    settling = asyncio.ensure_future(settler.run())
    await limiter.peek([limit()])
    barrier.wait(60)

    async def client(number: int) -> Spent:
        chosen = random.Random(process * CLIENTS + number)
        admitted = rejected = lost = settled = 0
        for call in range(CALLS):
            lease, cost = f"{process}-{number}-{call}", chosen.randrange(1, MOST)
            decision = await limiter.acquire(wanted(lease, cost))
            if not decision.allowed:
                rejected += 1
                continue
            assert all(state.remaining >= 0 for state in decision.states)
            admitted += 1
            fate = chosen.random()
            if fate < 0.05:  # its worker was killed
                lost += cost
                continue
            if fate < 0.1:
                await asyncio.sleep(1.5 * LENGTH_MS / 1000)
            elif fate < 0.3 and (await limiter.extend(wanted(lease, MOST)[2:])).allowed:
                cost += MOST
            elif fate < 0.35:
                settler.release("tenant", lease, NAMES)
                continue
            amount = chosen.randrange(cost + 1)
            settled += amount
            for _ in range(chosen.choice((1, 1, 2))):
                settler.add(ended(lease, amount))
        return Spent(admitted, rejected, lost, settled)

    spent = await asyncio.gather(*map(client, range(CLIENTS)))
    await settler.flush()
    settling.cancel()
    await settler.connection.close()
    await limiter.close()
    return total(spent)


def total(parts: Sequence[Spent]) -> Spent:
    return Spent(*map(sum, zip(*parts, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["valkey", "redis_7"])
def test_800_clients_of_four_processes_never_spend_more_than_a_dollar(
    request: pytest.FixtureRequest, kind: str
) -> None:
    socket = request.getfixturevalue(f"{kind}_socket")
    with redis.Redis(unix_socket_path=socket) as store:
        store.flushall()
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(target=spend, args=(socket, number, barrier, found)) for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    spent = total([found.get(timeout=240) for _ in processes])
    for process in processes:
        process.join(20)
    with redis.Redis(unix_socket_path=socket) as store:
        count_lost(socket)
        rows = {one.id: one for one in UsageReader(store).all_rows("tenant")}
        state = BudgetStore(store).states("tenant", {NAMES[0]: LIMIT})[NAMES[0]]
        assert spent.rejected > 0
        assert sum(one.budgets[NAMES[0]] for one in rows.values()) == spent.settled
        assert state.used == spent.settled + spent.lost <= LIMIT
        assert (state.held, state.over) == (0, 0)
        check_rejection(socket, store)
    print(f"\n{kind}: {spent.admitted} admitted, {spent.rejected} rejected, {state.used} nano-USD used")


def count_lost(socket: str) -> None:
    """Let all leases that ended count: a charge looks at some of them."""

    async def run() -> None:
        limiter = open_redis_limiter({"unix_socket_path": socket}, 60)
        await asyncio.sleep(1.5 * LENGTH_MS / 1000)
        limits = [budget(10 * LIMIT, "later", cost=0, name=name, length_ms=LENGTH_MS) for name in NAMES]
        for _ in range(PROCESSES * CLIENTS * CALLS // 64):
            await limiter.acquire(limits)
        await limiter.close()

    asyncio.run(run())


def check_rejection(socket: str, store: redis.Redis) -> None:
    """A rejected request leaves every key as it was, byte by byte."""

    async def run() -> None:
        limiter = open_redis_limiter({"unix_socket_path": socket}, 60)
        assert not (await limiter.acquire(wanted("rejected", LIMIT))).allowed
        await limiter.close()

    keys = [
        key
        for one in wanted("", 0)
        for key in (budget_keys(one.key) if name_of(one) != one.key else (one.key,))
    ]
    before = [store.dump(key) for key in keys]
    asyncio.run(run())
    assert [store.dump(key) for key in keys] == before
