"""R23: event streams come at once, whole, in order and to nobody else; and end when their client does."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator

import pytest
import uvloop

from tests.reliability.callers import Caller, Line
from tests.reliability.figures import figure
from tests.reliability.steadiness import steady
from tests.reliability.upstreams import LoadUpstream
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.alone]

STREAMS, EVENTS = 200, 100


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("streams") / "data") as running:
        yield running


@pytest.fixture
def tenant(gateway: RunningGateway, upstream: LoadUpstream) -> Iterator[TenantInUse]:
    made = gateway.create_tenant()
    made.create_rule("/v1", upstream.url)
    made.request("GET", "/v1/ok")
    with steady(gateway):
        yield made


async def begin(caller: Caller, path: str, number: int = 0) -> tuple[Line, float]:
    """A stream whose first event has come, and the milliseconds until then."""
    line = await caller.open(f"127.0.0.{2 + number % 100}")
    start = time.perf_counter()
    line.writer.write(caller.request(path))
    assert b" 200 " in await line.head()
    await anext(line.chunks())
    return line, (time.perf_counter() - start) * 1000


def test_the_first_event_comes_within_10_ms_of_direct(tenant: TenantInUse, upstream: LoadUpstream) -> None:
    async def first(caller: Caller) -> float:
        line, milliseconds = await begin(caller, "/v1/events/1/0/x")
        line.close()
        return milliseconds

    async def measure() -> tuple[list[float], list[float]]:
        ways = (Caller(upstream.port), Caller.of(tenant))
        pairs = [[await first(way) for way in ways] for _ in range(100)]
        return tuple(list(way) for way in zip(*pairs, strict=True))  # type: ignore[return-value]

    direct, through = uvloop.run(measure())
    added = statistics.median(through) - statistics.median(direct)
    figure("R23", f"added time to the first event: {added:.2f} ms at the median of 100 (promise 10)")
    assert added <= 10


def test_events_are_never_merged_across_streams_reordered_or_doubled(tenant: TenantInUse) -> None:
    async def listen(number: int) -> list[int]:
        caller = Caller.of(tenant)
        line = await caller.open()
        line.writer.write(caller.request(f"/v1/events/{EVENTS}/5/s{number}"))
        assert b" 200 " in await line.head()
        text = b"".join([piece async for piece in line.chunks()]).decode()
        line.close()
        events = [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part]
        assert {event["stream"] for event in events} == {f"s{number}"}
        return [event["n"] for event in events]

    async def all_listen() -> list[list[int]]:
        return await asyncio.gather(*(listen(number) for number in range(STREAMS)))

    heard = uvloop.run(all_listen())
    assert all(numbers == list(range(EVENTS)) for numbers in heard)
    figure("R23", f"{STREAMS} streams of {EVENTS} events at once: all in order, each to its own client")


def test_a_client_that_leaves_closes_its_upstream_within_a_second(
    tenant: TenantInUse, upstream: LoadUpstream
) -> None:
    async def come_and_leave() -> None:
        lines = await asyncio.gather(*(begin(Caller.of(tenant), "/v1/hold", n) for n in range(STREAMS)))
        for line, _ in lines:
            line.close()

    uvloop.run(come_and_leave())
    left = time.monotonic()
    for _ in until(5.0):
        if upstream.ask("open") == 0:
            break
    taken = time.monotonic() - left
    figure("R23", f"{STREAMS} clients left at once: all their upstreams closed in {taken:.2f} s (promise 1)")
    assert taken <= 1.0
