"""Clients that are slow on purpose are closed; what they hold is let go."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.conftest import SHORT_WAIT, Started
from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire
from tests.support.client import RawClient
from tests.support.upstream import REQUEST, flood, send
from tests.support.wait import until

LATE = 4.0


@pytest.fixture
def slow(wire: Wire, started: Started, impatient: str) -> Wire:
    gateway, tenant = started(impatient)
    return replace(wire, gateway=gateway, tenant=tenant)


def seconds_until_closed(client: RawClient, drop: bytes) -> float:
    """Drip a byte at a time until the gateway ends the connection."""
    start = time.monotonic()
    while time.monotonic() - start < LATE:
        client.send(drop)
        if not client.is_silent(0.05):
            return time.monotonic() - start
    raise AssertionError("The gateway waits for ever.")


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        pytest.param(b"", b"", id="nothing at all"),
        pytest.param(b"", b"\r\n", id="empty lines"),
        pytest.param(b"GET /", b"a", id="the request line"),
        pytest.param(b"GET /v1/chat HTTP/1.1\r\nX-A: ", b"a", id="a value"),
        pytest.param(b"GET /v1/chat HTTP/1.1\r\n", b"a: b\r\n", id="fields"),
    ],
)
def test_a_head_that_drips_is_given_up(slow: Wire, begun: bytes, drop: bytes) -> None:
    client = slow.client()
    client.send(begun)
    if instead(slow.engine, "slow clients"):
        client.send(drop)
        assert client.is_silent(0.2)
    else:
        assert seconds_until_closed(client, drop) >= SHORT_WAIT * 0.9
    client.close()
    slow.nothing_reached_the_upstream()


@pytest.mark.parametrize(
    ("framing", "drop"),
    [("Content-Length: 100000", b"x"), ("Transfer-Encoding: chunked", b"1\r\nx\r\n")],
    ids=["sized", "chunked"],
)
def test_a_body_that_drips_is_given_up(slow: Wire, framing: str, drop: bytes) -> None:
    client = slow.client()
    client.send(slow.head("POST", PATH, framing))
    if instead(slow.engine, "slow clients"):
        client.send(drop)
        assert client.is_silent(0.2)
    else:
        seconds_until_closed(client, drop)
    client.close()
    slow.nothing_reached_the_upstream()


def test_a_client_that_does_not_read_is_given_up(slow: Wire) -> None:
    """What it was sent is let go, and so is the upstream."""

    slow.upstream.plays([*REQUEST, send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), flood])
    client = slow.client(receive_buffer=4096)
    client.send(slow.head())
    assert client.head().status == 200
    [visit] = slow.upstream.peers
    if instead(slow.engine, "slow clients"):
        assert not visit.ended.wait(0.3)
    else:
        assert visit.ended.wait(LATE)
        assert not client.rest().endswith(b"0\r\n\r\n")


def gateway_let_go(client: RawClient) -> bool:
    """True when the gateway's end of the connection is closed, though what it sent was not read."""
    here, there = (f"{port:04X}" for port in client.ports)
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if (local[-4:], remote[-4:]) == (there, here):
            return state != "01"  # TCP_ESTABLISHED
    return True


def test_a_client_that_does_not_read_a_whole_answer_is_given_up(slow: Wire) -> None:
    """The upstream has long done its part."""
    body = b"x" * 15_000_000
    slow.upstream.responds(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    client = slow.client(receive_buffer=4096)
    client.send(slow.head())
    assert client.head().status == 200
    if instead(slow.engine, "slow clients"):
        assert not gateway_let_go(client)
        return
    assert any(gateway_let_go(client) for _ in until(LATE))
    assert len(client.rest()) < len(body)


def test_an_idle_connection_is_closed_between_requests(slow: Wire) -> None:
    client = slow.client()
    client.send(slow.head())
    assert client.response().status == 200
    if instead(slow.engine, "slow clients"):
        assert client.is_silent(0.2)
    else:
        start = time.monotonic()
        assert client.rest() == b""
        assert SHORT_WAIT * 0.9 <= time.monotonic() - start < LATE


def test_an_honest_client_is_not_hurried(slow: Wire) -> None:
    """Small pauses everywhere, which together are longer than any one wait may be."""
    raw = slow.head("POST", PATH, "Transfer-Encoding: chunked")
    body = b"400\r\n" + b"x" * 1024 + b"\r\n"
    client = slow.client()
    client.send(raw[:50], raw[50:], *[body] * 20, b"0\r\n\r\n")
    assert client.response().status == 200
    assert slow.upstream.received[0].body == b"x" * 20480


@pytest.mark.slow
def test_two_thousand_slow_clients_keep_nobody_out(slow: Wire) -> None:
    """R16, with the impatient gateway: all are gone in time, and others are served meanwhile."""
    if instead(slow.engine, "slow clients"):
        assert slow.ask(slow.head()).status == 200
        return
    crowd = [slow.client() for _ in range(2000)]
    for number, client in enumerate(crowd):
        client.send(
            (b"GET /", slow.head("POST", PATH, "Content-Length: 100000"), slow.head())[number % 3][:-1]
        )
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        assert slow.ask(slow.head()).status == 200
        taken.append(time.perf_counter() - start)
    start = time.monotonic()
    for client in crowd:
        client.rest()
    print(
        f"{slow.engine}: all gone after {time.monotonic() - start:.1f} s, others served in {max(taken):.3f} s"
    )
    assert max(taken) < 1
    assert time.monotonic() - start < 15
