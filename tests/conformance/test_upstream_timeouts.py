"""An upstream that does not respond in time is a 504, at the timeout and not later."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conformance.conftest import SHORT_EXCHANGE, SHORT_WAIT
from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire, is_ours
from tests.support.ports import black_hole
from tests.support.upstream import REQUEST, STREAM, Peer, chunk, hang, send

LATE = 2.0  # seconds too many; a busy machine is late, a missing timeout is 300 s
EVENT = chunk(b"data: 1\n\n")


@pytest.fixture(scope="session")
def unreachable() -> Iterator[str]:
    with black_hole() as url:
        yield url


def waits_for_ever(wire: Wire) -> bool:
    """True, and seen to be true, where no timeout is enforced: nothing has come when it should have."""
    if not instead(wire.engine, "timeouts of upstreams"):
        return False
    client = wire.client(wire.head())
    assert client.is_silent(SHORT_WAIT + 0.3)
    return True


def is_504(wire: Wire, seconds: float, path: str = PATH) -> None:
    """A request is a 504 once this timeout is over."""
    start = time.monotonic()
    is_ours(wire.ask(wire.head("GET", path)), 504, "upstream_timeout")
    assert seconds * 0.9 <= time.monotonic() - start < seconds + LATE


def test_an_unreachable_upstream_is_504_at_the_connect_timeout(short: Wire, unreachable: str) -> None:
    wire = replace(short, tenant=short.gateway.create_tenant())
    wire.tenant.create_rule("/v1", unreachable)
    if not waits_for_ever(wire):
        is_504(wire, SHORT_WAIT)


@pytest.mark.parametrize(
    "begun",
    [b"", b"HTTP/1.1 200 OK\r\nX-A:", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
    ids=["nothing", "half a head", "an interim response"],
)
def test_a_silent_upstream_is_504_at_the_first_byte_timeout(short: Wire, begun: bytes) -> None:
    short.upstream.plays([*REQUEST, send(begun), hang])
    if begun.endswith(b"\r\n\r\n") and instead(short.engine, "interim responses of an upstream"):
        is_ours(short.ask(short.head()), 502, "upstream_protocol_error")
    elif not waits_for_ever(short):
        is_504(short, SHORT_WAIT)
        assert short.upstream.peers[0].ended.wait(1)


@pytest.mark.parametrize(
    "begun", [STREAM + EVENT, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata"], ids=["events", "sized"]
)
def test_a_response_that_falls_silent_is_cut_at_the_idle_timeout(short: Wire, begun: bytes) -> None:
    short.upstream.plays([*REQUEST, send(begun), hang])
    client = short.client(short.head())
    assert client.head().status == 200
    if begun.startswith(STREAM):
        assert client.chunk() == b"data: 1\n\n"
    else:
        assert client.reading.exactly(4) == b"data"
    if instead(short.engine, "timeouts of upstreams"):
        assert client.is_silent(SHORT_WAIT + 0.3)
        return
    start = time.monotonic()
    rest = client.rest()
    assert SHORT_WAIT * 0.9 <= time.monotonic() - start < SHORT_WAIT + LATE
    assert (b"upstream_timeout" in rest) == begun.startswith(STREAM)
    assert not rest.endswith(b"0\r\n\r\n")
    assert short.upstream.peers[0].ended.wait(1)


async def drip(peer: Peer) -> None:
    """An event every 50 ms, for ever."""
    while True:
        await peer.write(EVENT)
        await asyncio.sleep(0.05)


@pytest.mark.slow
def test_an_exchange_ends_at_the_total_timeout_however_busy_it_is(short: Wire) -> None:
    short.upstream.plays([*REQUEST, send(STREAM), drip])
    start = time.monotonic()
    client = short.client(short.head())
    assert client.head().status == 200
    if instead(short.engine, "timeouts of upstreams"):
        assert [client.chunk() for _ in range(10)] == [b"data: 1\n\n"] * 10
        return
    assert not client.rest().endswith(b"0\r\n\r\n")
    assert SHORT_EXCHANGE * 0.9 <= time.monotonic() - start < SHORT_EXCHANGE + LATE


def test_a_slow_upstream_within_its_timeouts_is_served(short: Wire) -> None:
    """Each pause is shorter than the timeouts, and all together are longer."""
    short.upstream.plays([*REQUEST, send(*[STREAM, *[EVENT] * 400, b"0\r\n\r\n"])])
    got = short.ask(short.head())
    assert (got.body, got.cut) == (b"data: 1\n\n" * 400, None)


@pytest.mark.parametrize("name", ["connect", "first_byte", "total"])
def test_a_rule_sets_its_own_timeouts(wire: Wire, name: str, unreachable: str) -> None:
    target = unreachable if name == "connect" else wire.upstream.url
    # A tenant without a rule for all paths, so that waiting for this rule is waiting for just this one.
    wire = replace(wire, tenant=wire.gateway.create_tenant())
    rule = wire.tenant.create_rule(f"/own-{name}", target, timeouts={name: "300ms"})
    if instead(wire.engine, "timeouts of a rule"):
        assert rule["warnings"]
        return
    assert not rule["warnings"]
    wire.upstream.plays([*REQUEST, hang])
    is_504(wire, 0.3, f"/own-{name}")
