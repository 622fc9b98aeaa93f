"""R23: event streams come at once, whole, in order and to no other client; and end when their client does."""

import asyncio
import json
import time

import uvloop

from tests.reliability.callers import Caller, Line
from tests.reliability.figures import figure
from tests.support.gateway import TenantInUse
from tests.support.load_upstream import LoadUpstream
from tests.support.wait import until

STREAMS, EVENTS = 200, 100


def test_events_are_never_merged_across_streams_reordered_or_doubled(steady_tenant: TenantInUse) -> None:
    async def listen(number: int) -> list[int]:
        line = await Caller.of(steady_tenant).stream(f"/v1/events/{EVENTS}/5/s{number}")
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
    steady_tenant: TenantInUse, upstream: LoadUpstream
) -> None:
    async def begin(number: int) -> Line:
        line = await Caller.of(steady_tenant).stream("/v1/hold", number)
        await anext(line.chunks())
        return line

    async def come_and_leave() -> None:
        for line in await asyncio.gather(*(begin(number) for number in range(STREAMS))):
            line.close()

    uvloop.run(come_and_leave())
    left = time.monotonic()
    for _ in until(5.0):
        if upstream.ask("open") == 0:
            break
    taken = time.monotonic() - left
    figure("R23", f"{STREAMS} clients left at once: all their upstreams closed in {taken:.2f} s (promise 1)")
    assert taken <= 1.0
