"""An upstream that does not answer in time is 504, at the time that is set and not later."""

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conformance.conftest import SHORT_EXCHANGE, SHORT_WAIT, Started
from tests.conformance.differences import instead
from tests.conformance.wire import Wire, is_ours
from tests.support.gateway import TenantInUse
from tests.support.upstream import REQUEST, Peer, hang, send

LATE = 2.0  # seconds too many; a busy machine is late, a missing timeout is 300 s
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


@pytest.fixture(scope="session")
def lost(started: Started, impatient: str, black_hole: str) -> TenantInUse:
    """A tenant of the impatient gateway whose target is the black hole."""
    gateway, _ = started(impatient)
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", black_hole)
    return tenant


@pytest.fixture
def timed(wire: Wire, started: Started, impatient: str) -> Wire:
    gateway, tenant = started(impatient)
    return replace(wire, gateway=gateway, tenant=tenant)


def waits_for_ever(wire: Wire) -> bool:
    """True, and seen to be true, where no timeout is enforced: nothing has come when it should have."""
    if not instead(wire.engine, "timeouts of upstreams"):
        return False
    client = wire.client()
    client.send(wire.head())
    assert client.is_silent(SHORT_WAIT + 0.3)
    return True


def test_a_black_hole_is_504_at_the_connect_timeout(timed: Wire, lost: TenantInUse) -> None:
    wire = replace(timed, tenant=lost)
    if not waits_for_ever(wire):
        start = time.monotonic()
        is_ours(wire.ask(wire.head()), 504, "upstream_timeout")
        assert SHORT_WAIT * 0.9 <= time.monotonic() - start < SHORT_WAIT + LATE


@pytest.mark.parametrize(
    "begun",
    [b"", b"HTTP/1.1 200 OK\r\nX-A:", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
    ids=["nothing", "half a head", "an interim response"],
)
def test_a_silent_upstream_is_504_at_the_first_byte_timeout(timed: Wire, begun: bytes) -> None:
    timed.upstream.plays([*REQUEST, send(begun), hang] if begun else [*REQUEST, hang])
    if begun.endswith(b"\r\n\r\n") and instead(timed.engine, "interim responses of an upstream"):
        is_ours(timed.ask(timed.head()), 502, "upstream_protocol_error")
    elif not waits_for_ever(timed):
        start = time.monotonic()
        is_ours(timed.ask(timed.head()), 504, "upstream_timeout")
        assert SHORT_WAIT * 0.9 <= time.monotonic() - start < SHORT_WAIT + LATE
        assert timed.upstream.peers[0].ended.wait(1)


@pytest.mark.parametrize(
    "begun", [HEAD + EVENT, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata"], ids=["events", "sized"]
)
def test_an_answer_that_falls_silent_is_cut_at_the_idle_timeout(timed: Wire, begun: bytes) -> None:
    timed.upstream.plays([*REQUEST, send(begun), hang])
    client = timed.client()
    client.send(timed.head())
    assert client.head().status == 200
    if begun.startswith(HEAD):
        assert client.chunk() == b"data: 1\n\n"
    else:
        assert client.reading.exactly(4) == b"data"
    if instead(timed.engine, "timeouts of upstreams"):
        assert client.is_silent(SHORT_WAIT + 0.3)
        return
    start = time.monotonic()
    rest = client.rest()
    assert SHORT_WAIT * 0.9 <= time.monotonic() - start < SHORT_WAIT + LATE
    assert (b"upstream_timeout" in rest) == begun.startswith(HEAD)
    assert not rest.endswith(b"0\r\n\r\n")
    assert timed.upstream.peers[0].ended.wait(1)


async def drip(visit: Peer) -> None:
    """An event every 50 ms, for ever."""
    while True:
        await visit.write(EVENT)
        await asyncio.sleep(0.05)


def test_an_exchange_ends_at_the_total_timeout_however_busy_it_is(timed: Wire) -> None:
    timed.upstream.plays([*REQUEST, send(HEAD), drip])
    start = time.monotonic()
    client = timed.client()
    client.send(timed.head())
    assert client.head().status == 200
    if instead(timed.engine, "timeouts of upstreams"):
        assert [client.chunk() for _ in range(10)] == [b"data: 1\n\n"] * 10
        return
    assert not client.rest().endswith(b"0\r\n\r\n")
    assert SHORT_EXCHANGE * 0.9 <= time.monotonic() - start < SHORT_EXCHANGE + LATE


def test_an_upstream_within_its_time_is_not_disturbed(timed: Wire) -> None:
    """Each wait is shorter than it may be, and all together are longer."""
    timed.upstream.plays([*REQUEST, send(*[HEAD, *[EVENT] * 400, b"0\r\n\r\n"])])
    got = timed.ask(timed.head())
    assert (got.body, got.cut) == (b"data: 1\n\n" * 400, None)


@pytest.mark.parametrize("name", ["connect", "first_byte", "total"])
def test_a_rule_sets_its_own_timeouts(wire: Wire, name: str, black_hole: str) -> None:
    target = black_hole if name == "connect" else wire.upstream.url
    # A tenant without a rule for all paths, so that waiting for this rule is waiting for just this one.
    wire = replace(wire, tenant=wire.gateway.create_tenant())
    rule = wire.tenant.create_rule(f"/own-{name}", target, timeouts={name: "300ms"})
    if instead(wire.engine, "timeouts of a rule"):
        assert rule["warnings"]
        return
    assert not rule["warnings"]
    wire.upstream.plays([*REQUEST, hang])
    start = time.monotonic()
    is_ours(wire.ask(wire.head("GET", f"/own-{name}")), 504, "upstream_timeout")
    assert 0.27 <= time.monotonic() - start < 0.3 + LATE
