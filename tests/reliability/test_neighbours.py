"""R20: what one tenant does too much of is not felt by another."""

import asyncio
import math
from collections.abc import Iterator

import pytest
import uvloop

from tests.reliability.callers import Caller, Line
from tests.reliability.figures import figure
from tests.reliability.loads import beside, p99
from tests.reliability.steadiness import steady
from tests.support.gateway import RunningGateway
from tests.support.load_upstream import LoadUpstream

pytestmark = pytest.mark.usefixtures("undisturbed")

LIMIT, TIMES, STREAMS = 25, 20, 1_000
RATE, ROUNDS = 100, 8  # requests a second of the quiet one, and how often that is tried
SLACK = 1.0  # ms; what two runs on a shared machine differ by


@pytest.fixture
def quiet(gateway: RunningGateway, upstream: LoadUpstream) -> Iterator[Caller]:
    """The tenant that suffers."""
    made = upstream.tenant(gateway, per_second(100_000))
    with steady(made):
        yield Caller.of(made)


def per_second(limit: int) -> dict[str, object]:
    return {"name": "rate_limiter", "settings": {"limit": limit, "window": "1s"}}


def test_a_tenant_at_20_times_its_limit_is_not_felt_by_another(
    gateway: RunningGateway, quiet: Caller, upstream: LoadUpstream
) -> None:
    greedy = Caller.of(upstream.tenant(gateway, per_second(LIMIT)))
    before, during = math.inf, math.inf
    for _ in range(ROUNDS):
        # In turn, so that what else runs on the machine meets both.
        before = min(before, p99(quiet, "/v1/ok", RATE, 1))
        with beside(greedy, "/v1/ok", LIMIT * TIMES):
            during = min(during, p99(quiet, "/v1/ok", RATE, 1))
    figure(
        "R20",
        f"a neighbour at {TIMES} x its limit: p99 {before:.2f} -> {during:.2f} ms (promise 2 x), 0 errors",
    )
    assert during <= 2 * before + SLACK


def test_a_tenant_with_1000_streams_is_not_felt_by_another(
    gateway: RunningGateway, quiet: Caller, upstream: LoadUpstream
) -> None:
    async def listen(greedy: Caller, lines: list[Line], ready: asyncio.Event) -> None:
        line = await greedy.stream("/v1/events/100000/2000/x")
        lines.append(line)
        if len(lines) == STREAMS:
            ready.set()
        while await line.reader.read(65536):
            pass

    async def measure(greedy: Caller) -> tuple[float, float]:
        before = await asyncio.to_thread(p99, quiet, "/v1/ok", RATE, ROUNDS)
        ready, lines = asyncio.Event(), list[Line]()
        listening = [asyncio.ensure_future(listen(greedy, lines, ready)) for _ in range(STREAMS)]
        await asyncio.wait_for(ready.wait(), 60)
        during = await asyncio.to_thread(p99, quiet, "/v1/ok", RATE, ROUNDS)
        assert not any(task.done() for task in listening)
        for task, line in zip(listening, lines, strict=True):
            task.cancel()
            line.close()
        await asyncio.gather(*listening, return_exceptions=True)
        return before, during

    before, during = uvloop.run(measure(Caller.of(upstream.tenant(gateway, per_second(100_000)))))
    figure(
        "R20",
        f"a neighbour with {STREAMS} streams: p99 {before:.2f} -> {during:.2f} ms (promise 2 x), 0 errors",
    )
    assert during <= 2 * before + SLACK
