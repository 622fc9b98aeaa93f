"""5,000 open event streams in one worker, and what each costs (engine.md, Proof)."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.reliability.callers import Caller, Line
from tests.reliability.figures import figure
from tests.reliability.processes import worker
from tests.reliability.steadiness import steady
from tests.support.gateway import ADDRESS, TenantInUse, secured
from tests.support.load_upstream import LoadUpstream

STREAMS = 5_000
AT_ONCE = 50  # that begin at the same time
SETTINGS = {"GATEWAY__LIMITS__IN_FLIGHT": "6000", "GATEWAY__LIMITS__TIMEOUTS__CONNECT": "30s"}


async def hold(caller: Caller, tenant: TenantInUse) -> float:
    """KiB that each stream takes while all are open."""
    one, gate = worker(tenant.gateway), asyncio.Semaphore(AT_ONCE)
    lines: list[Line] = []

    async def begin(number: int) -> None:
        async with gate:
            line = await caller.stream("/v1/hold", number)
            await anext(line.chunks())
            lines.append(line)

    # The first ones open memory of the worker's own.
    await asyncio.gather(*(begin(number) for number in range(AT_ONCE)))
    before = one.memory()
    await asyncio.gather(*(begin(number) for number in range(STREAMS)))
    each = (one.memory() - before) / STREAMS / 1024
    for line in lines:
        line.close()
    return each


KINDS = [("plain", 15), ("TLS to the upstream", 60), ("TLS on both sides", 90)]


@pytest.mark.parametrize(("kind", "promise"), KINDS)
def test_5000_open_streams_cost_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, promise: int
) -> None:
    certificate, settings = None, SETTINGS
    if kind != "plain":
        certificate = tmp_path / f"{ADDRESS}.pem"
        settings = {**SETTINGS, "GATEWAY__SECURITY__CA_FILE": str(tmp_path / "Test CA.pem")}
    is_tls = kind == "TLS on both sides"
    with (
        secured(tmp_path, monkeypatch, settings, is_tls=is_tls) as (gateway, authority),
        LoadUpstream(certificate) as upstream,
    ):
        tenant = upstream.tenant(gateway)
        with steady(tenant):
            each = uvloop.run(hold(Caller.of(tenant, authority), tenant))
    figure("streams", f"{STREAMS} open, {kind}: {each:.1f} KB each (promise {promise})")
    assert each <= promise
