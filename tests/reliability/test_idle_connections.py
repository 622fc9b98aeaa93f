"""R17: 10,000 connections that wait for their next request cost little memory and no time of others."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.reliability.callers import Caller, Line
from tests.reliability.figures import figure
from tests.reliability.loads import p99
from tests.reliability.processes import worker
from tests.reliability.steadiness import steady
from tests.support.gateway import RunningGateway, secured
from tests.support.load_upstream import LoadUpstream

IDLE, AT_ONCE = 10_000, 50
SETTINGS = {
    "GATEWAY__LIMITS__CONNECTIONS": str(IDLE + 1000),
    "GATEWAY__LIMITS__TIMEOUTS__KEEP_ALIVE": "10m",
    "GATEWAY__LOG__LEVEL": "warning",
}


async def come(caller: Caller, count: int) -> list[Line]:
    """So many lines that have asked once and wait."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Line:
        async with gate:
            line = await caller.open(f"127.0.0.{2 + number % 100}")
            assert (await line.ask(caller.request("/v1/ok"))).status == 200
            return line

    return await asyncio.gather(*(one(number) for number in range(count)))


@pytest.mark.parametrize(("kind", "promise"), [("plain", 10), ("TLS", 60)])
def test_10000_idle_connections_cost_little_memory_and_no_time(
    kind: str,
    promise: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    upstream: LoadUpstream,
    undisturbed: None,
) -> None:
    async def measure(caller: Caller, gateway: RunningGateway) -> tuple[float, float, float]:
        one = worker(gateway)
        lines = await come(caller, AT_ONCE)
        before = await asyncio.to_thread(p99, caller, "/v1/ok")
        memory = one.memory()
        lines += await come(caller, IDLE)
        each = (one.memory() - memory) / IDLE / 1024
        during = await asyncio.to_thread(p99, caller, "/v1/ok")
        assert len(one.connections(caller.port)) >= IDLE
        for line in lines:
            line.close()
        return each, before, during

    with secured(tmp_path, monkeypatch, SETTINGS, is_tls=kind == "TLS") as (gateway, authority):
        tenant = upstream.tenant(gateway)
        with steady(tenant):
            each, before, during = uvloop.run(measure(Caller.of(tenant, authority), gateway))
    figure(
        "R17",
        f"{IDLE} idle connections, {kind}: {each:.1f} KB each (promise {promise}); "
        f"p99 of the others {before:.2f} -> {during:.2f} ms (promise 1.2 x)",
    )
    assert each <= promise
    assert during <= 1.2 * before + 0.2  # ms; what two runs on a shared machine differ by
