"""HTTPS on the proxy's port: a new certificate without a lost connection, and a bad one without harm."""

import asyncio
import signal
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Tally, closed_loop
from tests.reliability.processes import await_workers
from tests.reliability.steadiness import steady
from tests.support.certificates import Authority
from tests.support.gateway import ADDRESS, START_LIMIT, RunningGateway, TenantInUse, secured
from tests.support.load_upstream import LoadUpstream
from tests.support.wait import until


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: LoadUpstream
) -> Iterator[tuple[TenantInUse, Authority]]:
    with secured(tmp_path, monkeypatch, {"GATEWAY__SERVER__WORKERS": "2"}) as (gateway, authority):
        assert authority
        tenant = upstream.tenant(gateway)
        await_workers(gateway, 2)
        with steady(tenant):
            yield tenant, authority


def serials(gateway: RunningGateway, count: int = 1) -> set[bytes]:
    """The certificates that new connections are shown."""
    address = (ADDRESS, gateway.proxy_port)
    return {ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(address)) for _ in range(count)}


def reload(gateway: RunningGateway) -> None:
    gateway.processes["proxy"].send_signal(signal.SIGHUP)


async def all_new(gateway: RunningGateway, old: set[bytes]) -> bool:
    """Wait until 20 new connections in a row are shown another certificate."""
    for _ in range(200):
        if not await asyncio.to_thread(serials, gateway, 20) & old:
            return True
        await asyncio.sleep(0.02)
    return False


def test_a_new_certificate_is_shown_to_new_connections_and_none_is_dropped(
    world: tuple[TenantInUse, Authority],
) -> None:
    tenant, authority = world
    gateway, caller = tenant.gateway, Caller.of(tenant, authority)

    async def measure() -> tuple[Tally, bool]:
        stop, tally = False, Tally()
        kept = await caller.open()
        await kept.ask(caller.request("/v1/ok"))
        load = asyncio.ensure_future(closed_loop(caller, "/v1/wait/5", 16, lambda: not stop, tally))
        old = await asyncio.to_thread(serials, gateway)
        authority.server_context(ADDRESS)
        reload(gateway)
        replaced = await all_new(gateway, old)
        stop = True
        await load
        response = await kept.ask(caller.request("/v1/ok"))
        assert response.status == 200
        kept.close()
        return tally, replaced

    tally, replaced = uvloop.run(measure())
    figure(
        "TLS", f"SIGHUP with a new certificate: {tally.statuses[200]} good, {tally.errors} failed meanwhile"
    )
    assert replaced
    assert tally.errors == 0, tally.failed[:3]


@pytest.mark.parametrize("bad", ["", "not a certificate"])
def test_a_bad_file_keeps_the_old_certificate_and_is_logged(
    world: tuple[TenantInUse, Authority], bad: str
) -> None:
    tenant, authority = world
    gateway = tenant.gateway
    old = serials(gateway)
    (authority.folder / f"{ADDRESS}.pem").write_text(bad)
    reload(gateway)
    pair = authority.folder / f"{ADDRESS}.pem"
    words = f"The TLS files {pair} and {pair} are invalid; the old ones stay in use"
    for _ in until(5.0):
        if gateway.log("proxy").count(words) >= 2:
            break
    assert gateway.log("proxy").count(words) == 2, "Not every worker said so."
    assert serials(gateway, 20) == old
    assert tenant.request("GET", "/v1/ok").status_code == 200
    figure("TLS", f"SIGHUP with a bad file ({bad or 'empty'}): the old certificate stays, an error is logged")


def test_certificate_that_has_expired_is_told_once_per_start_and_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secured(tmp_path, monkeypatch, {"GATEWAY__SERVER__WORKERS": "2"}) as (gateway, authority):
        assert authority

        def told() -> list[str]:
            messages = [line.get("message", "") for line in gateway.log_lines("proxy")]
            return [message for message in messages if "expired" in message]

        assert not told()
        authority.server_context(ADDRESS, datetime.now(UTC) - timedelta(days=2))
        reload(gateway)
        assert any(told() for _ in until(5.0))
        proxy = gateway.processes["proxy"]
        proxy.terminate()
        proxy.wait(15)
        gateway._spawn("proxy", "run_proxy.py")
        assert any(len(told()) == 2 for _ in until(START_LIMIT))
        pair = authority.folder / f"{ADDRESS}.pem"
        assert all(f"server.tls.cert: the certificate in {pair} expired at 20" in one for one in told())
