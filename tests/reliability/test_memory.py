"""R18: a worker's memory does not grow with what it has served, failures among it."""

import asyncio
import itertools
from collections.abc import Callable

import pytest
import uvloop

from tests.reliability.callers import Broken, Caller, Line
from tests.reliability.figures import figure
from tests.reliability.processes import MIB, worker
from tests.reliability.steadiness import steady
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.load_upstream import LoadUpstream

SETTINGS = {"GATEWAY__LOG__LEVEL": "warning"}
WARM_UP, REQUESTS = 50_000, 1_000_000
STRANGERS = 12_000  # as many unknown names as a worker remembers, and more
STEP = 20_000  # requests between two looks
CALLERS, PROMISE = 32, 1.0  # MB for 100,000 requests


@pytest.fixture
def tenant(gateway: RunningGateway, upstream: LoadUpstream) -> TenantInUse:
    made = upstream.tenant(
        gateway, {"name": "rate_limiter", "settings": {"limit": 1_000_000, "window": "1m"}}
    )
    made.create_rule("/dead", "http://127.0.0.1:1")
    return made


class Traffic:
    """Requests of every kind, good ones and others; `count` of them have been made."""

    def __init__(self, caller: Caller) -> None:
        self.count = 0
        self._caller = caller
        self._numbers = itertools.count()
        good = [lambda: caller.request("/v1/ok"), lambda: caller.request("/v1/ok", "POST", bytes(2000))]
        others = [
            lambda: caller.request("/unknown/path"),
            lambda: caller.request("/dead/x"),
            lambda: caller.request("/v1/events/3/0/x"),
            lambda: caller.request("/v1/cut"),
            lambda: Caller(caller.port, caller.host, f"gwk_{next(self._numbers)}").request("/v1/ok"),
            lambda: b"not http at all\r\n\r\n",
            self.stranger,
            self.leave,
        ]
        self.kinds: list[Callable[[], bytes]] = [*good * 8, *others]

    def stranger(self) -> bytes:
        """To an unknown host, each time another."""
        return Caller(self._caller.port, f"h{next(self._numbers)}.example.com").request("/v1/ok")

    def leave(self) -> bytes:
        """Of a client that leaves before the response comes."""
        return self._caller.request("/v1/wait/200")

    async def run(self, until: int) -> None:
        """Go on until so many requests have been made."""
        await asyncio.gather(*(self._call(number, until) for number in range(CALLERS)))

    async def _call(self, number: int, until: int) -> None:
        line = await self._caller.open()
        for make in itertools.islice(itertools.cycle(self.kinds), number, None):
            if self.count >= until:
                break
            self.count += 1
            if line.is_over:
                line.close()
                line = await self._caller.open()
            await _ask(line, make(), leaves=make == self.leave)
        line.close()


async def _ask(line: Line, request: bytes, *, leaves: bool) -> None:
    try:
        if leaves:
            line.writer.write(request)
            await asyncio.sleep(0.002)
            line.close()
        else:
            await line.ask(request)
    except Broken:
        line.close()


def slope(points: list[tuple[int, int]]) -> float:
    """MB for 100,000 requests: the straight line through the points with the least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    under = sum((x - mean_x) ** 2 for x, _ in points)
    return over / under / MIB * 100_000


def test_memory_grows_by_less_than_1_mb_for_100000_requests(tenant: TenantInUse) -> None:
    traffic, one = Traffic(Caller.of(tenant)), worker(tenant.gateway)

    async def warm_up() -> None:
        everything, traffic.kinds = traffic.kinds, [traffic.stranger]
        await traffic.run(STRANGERS)
        traffic.kinds = everything
        await traffic.run(STRANGERS + WARM_UP)

    async def measure() -> list[tuple[int, int]]:
        points: list[tuple[int, int]] = []
        while len(points) < REQUESTS // STEP:
            await traffic.run(traffic.count + STEP)
            points.append((traffic.count, one.memory()))
        return points

    uvloop.run(warm_up())
    with steady(tenant):
        points = uvloop.run(measure())
    grown = slope(points)
    whole = (points[-1][1] - points[0][1]) / MIB
    figure(
        "R18", f"{REQUESTS} requests: {grown:+.2f} MB for 100,000 (promise {PROMISE}), {whole:+.1f} MB in all"
    )
    print([round(memory / MIB, 1) for _, memory in points])
    assert grown < PROMISE
