"""An upstream that does not answer in time is 504 at the time that its rule sets."""

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.conftest import Started
from tests.conformance.differences import instead
from tests.conformance.scripted_upstream import REQUEST, ScriptedUpstream, Visit, hang, send
from tests.conformance.wire import Wire, is_ours
from tests.end_to_end.running_gateway import TenantInUse

SHORT = "300ms"
LATE = 2.0  # seconds; a busy machine is late, a missing timeout is 300 s
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b"9\r\ndata: 1\n\n\r\n"


@pytest.fixture(scope="session")
def black_hole() -> Iterator[str]:
    """The URL of a port that takes no connection and refuses none: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(3):
            plug = socket.socket()
            plug.setblocking(False)
            plug.connect_ex(listener.getsockname())
            waiting.append(plug)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for plug in waiting:
            plug.close()


@pytest.fixture
def timed(wire: Wire, hurried: TenantInUse) -> Wire:
    return replace(wire, tenant=hurried)


@pytest.fixture(scope="session")
def hurried(
    started: Started, engine: str, everlasting_upstream: ScriptedUpstream, black_hole: str
) -> TenantInUse:
    gateway, _ = started(engine)
    tenant = gateway.create_tenant()
    for name, target in (
        ("connect", black_hole),
        ("first_byte", everlasting_upstream.url),
        ("idle", everlasting_upstream.url),
        ("total", everlasting_upstream.url),
    ):
        _create(tenant, engine, f"/timed/{name}", target, {name: SHORT})
    return tenant


def _create(tenant: TenantInUse, engine: str, path: str, target: str, timeouts: dict[str, Any]) -> None:
    if instead(engine, "timeouts of a rule"):
        document = {"path": path, "target": target, "timeouts": timeouts}
        answer = tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json=document)
        assert answer.status_code == 422
    else:
        tenant.create_rule(path, target, timeouts=timeouts)


def taken(wire: Wire, name: str) -> float:
    """The seconds until the 504, or nothing asked of an engine without timeouts."""
    start = time.monotonic()
    is_ours(wire.ask(wire.head("GET", f"/timed/{name}")), 504, "upstream_timeout")
    return time.monotonic() - start


def test_a_black_hole_is_504_at_the_connect_timeout(timed: Wire) -> None:
    if not instead(timed.engine, "timeouts of a rule"):
        assert 0.3 <= taken(timed, "connect") < LATE


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX-A:", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_silent_upstream_is_504_at_the_first_byte_timeout(timed: Wire, begun: bytes) -> None:
    if instead(timed.engine, "timeouts of a rule"):
        return
    timed.upstream.plays([*REQUEST, send(begun), hang] if begun else [*REQUEST, hang])
    assert 0.3 <= taken(timed, "first_byte") < LATE
    assert timed.upstream.visits[0].ended.wait(1)


@pytest.mark.parametrize("head", [HEAD + EVENT, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata"])
def test_a_stream_that_falls_silent_is_cut_at_the_idle_timeout(timed: Wire, head: bytes) -> None:
    if instead(timed.engine, "timeouts of a rule"):
        return
    timed.upstream.plays([*REQUEST, send(head), hang])
    start = time.monotonic()
    got = timed.ask(timed.head("GET", "/timed/idle"))
    assert 0.3 <= time.monotonic() - start < LATE
    assert got.status == 504 or got.cut
    if head.startswith(HEAD):
        assert b"upstream_timeout" in got.body
    assert timed.upstream.visits[0].ended.wait(1)


async def drip(visit: Visit) -> None:
    """An event every 50 ms, for ever."""
    while True:
        visit.writer.write(EVENT)
        await visit.writer.drain()
        await asyncio.sleep(0.05)


def test_an_exchange_ends_at_the_total_timeout_however_busy_it_is(timed: Wire) -> None:
    if instead(timed.engine, "timeouts of a rule"):
        return
    timed.upstream.plays([*REQUEST, send(HEAD), drip])
    start = time.monotonic()
    got = timed.ask(timed.head("GET", "/timed/total"))
    assert 0.3 <= time.monotonic() - start < LATE
    assert (got.status, bool(got.cut)) == (200, True)


def test_an_upstream_within_its_time_is_not_disturbed(timed: Wire) -> None:
    if instead(timed.engine, "timeouts of a rule"):
        return
    timed.upstream.plays([*REQUEST, send(*[HEAD, *[EVENT] * 50, b"0\r\n\r\n"])])
    got = timed.ask(timed.head("GET", "/timed/idle"))
    assert (got.body, got.cut) == (b"data: 1\n\n" * 50, None)
