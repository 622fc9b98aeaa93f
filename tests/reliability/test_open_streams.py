"""5,000 open event streams in one worker, and what each costs (engine.md, Proof)."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.reliability.callers import Caller, Line
from tests.reliability.figures import figure
from tests.reliability.processes import worker
from tests.reliability.steadiness import steady
from tests.reliability.upstreams import LoadUpstream
from tests.support.certificates import Authority
from tests.support.gateway import RunningGateway, TenantInUse

pytestmark = [pytest.mark.slow, pytest.mark.alone]

STREAMS = 5_000
AT_ONCE = 50  # that begin at the same time
OPTIONS = {"GATEWAY__LIMITS__IN_FLIGHT": "6000", "GATEWAY__LIMITS__TIMEOUTS__CONNECT": "30s"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.server_context("127.0.0.1")
    return made


@pytest.fixture
def certificate(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PEM file with certificate and key for 127.0.0.1, whose authority `requests` trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    return authority.folder / "127.0.0.1.pem"


def owner(gateway: RunningGateway, upstream: LoadUpstream) -> TenantInUse:
    tenant = gateway.create_tenant(tier="enterprise")
    tenant.create_rule("/v1", upstream.url)
    tenant.request("GET", "/v1/ok")
    return tenant


async def hold(caller: Caller, tenant: TenantInUse) -> float:
    """KiB that each stream takes while all are open."""
    one, gate = worker(tenant.gateway), asyncio.Semaphore(AT_ONCE)
    lines: list[Line] = []

    async def begin(number: int) -> None:
        async with gate:
            line = await caller.open(f"127.0.0.{2 + number % 100}")
            line.writer.write(caller.request("/v1/hold"))
            assert b" 200 " in await line.head()
            await anext(line.chunks())
            lines.append(line)

    # What the first ones cost is the worker's, not theirs.
    await asyncio.gather(*(begin(number) for number in range(AT_ONCE)))
    before = one.memory()
    await asyncio.gather(*(begin(number) for number in range(STREAMS)))
    each = (one.memory() - before) / STREAMS / 1024
    for line in lines:
        line.close()
    return each


def measure(kind: str, promise: int, gateway: RunningGateway, upstream: LoadUpstream, tls: bool) -> None:
    tenant = owner(gateway, upstream)
    authority = Path(os.environ["REQUESTS_CA_BUNDLE"]) if tls else None
    with steady(gateway):
        each = uvloop.run(hold(Caller.of(tenant, authority), tenant))
    figure("streams", f"{STREAMS} open, {kind}: {each:.1f} KB each (promise {promise})")
    assert each <= promise


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path / "data", OPTIONS) as running:
        yield running


def test_a_plain_stream_takes_15_kb(gateway: RunningGateway, upstream: LoadUpstream) -> None:
    measure("plain", 15, gateway, upstream, False)


def test_a_stream_from_a_tls_upstream_takes_60_kb(
    tmp_path: Path, certificate: Path, authority: Authority
) -> None:
    options = {**OPTIONS, "GATEWAY__SECURITY__CA_FILE": str(authority.file)}
    with RunningGateway(tmp_path / "data", options) as gateway, LoadUpstream(certificate) as upstream:
        measure("TLS to the upstream", 60, gateway, upstream, False)


def test_a_stream_with_tls_on_both_sides_takes_90_kb(
    tmp_path: Path, certificate: Path, authority: Authority
) -> None:
    options = {
        **OPTIONS,
        "GATEWAY__SECURITY__CA_FILE": str(authority.file),
        "GATEWAY__SERVER__TLS__CERT": str(certificate),
        "GATEWAY__SERVER__TLS__KEY": str(certificate),
    }
    with RunningGateway(tmp_path / "data", options) as gateway, LoadUpstream(certificate) as upstream:
        measure("TLS on both sides", 90, gateway, upstream, True)
