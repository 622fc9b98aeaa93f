"""Clients that are slow on purpose are cut off, and so are their upstreams."""

import time
from pathlib import Path

import pytest

from tests.conformance.conftest import SHORT_WAIT
from tests.conformance.differences import instead
from tests.conformance.wire import HELD, PATH, Wire, closes, is_ours
from tests.support.client import RawClient
from tests.support.upstream import CHUNKED, REQUEST, flood, send, sized
from tests.support.wait import until

LATE = 4.0


def seconds_until_closed(client: RawClient, drop: bytes) -> float:
    """Drip a byte at a time until the gateway ends the connection."""
    start = time.monotonic()
    while time.monotonic() - start < LATE:
        client.send(drop)
        if not client.is_silent(0.05):
            return time.monotonic() - start
    raise AssertionError("The gateway did not close the connection.")


def dripping(short: Wire, begun: bytes, drop: bytes) -> RawClient | None:
    """The client, once the gateway has sent something or has closed; None if the engine does neither."""
    client = short.client(begun)
    if instead(short.engine, "slow clients"):
        client.send(drop)
        assert client.is_silent(0.2)
        return None
    assert seconds_until_closed(client, drop) >= SHORT_WAIT * 0.9
    return client


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        pytest.param(b"GET /", b"a", id="the request line"),
        pytest.param(b"GET /v1/chat HTTP/1.1\r\nX-A: ", b"a", id="a value"),
        pytest.param(b"GET /v1/chat HTTP/1.1\r\n", b"a: b\r\n", id="fields"),
        pytest.param("Content-Length: 100000", b"x", id="a sized body"),
        pytest.param("Transfer-Encoding: chunked", b"1\r\nx\r\n", id="a chunked body"),
    ],
)
def test_request_that_drips_is_a_408(short: Wire, begun: bytes | str, drop: bytes) -> None:
    sent = begun if isinstance(begun, bytes) else short.head("POST", HELD, begun)
    if client := dripping(short, sent, drop):
        response = client.response()
        is_ours(response, 408, "request_timeout")
        closes(client, response)
    short.nothing_reached_the_upstream()


@pytest.mark.parametrize("drop", [b"", b"\r\n"], ids=["nothing at all", "empty lines"])
def test_client_that_begins_no_request_is_closed_without_a_response(short: Wire, drop: bytes) -> None:
    if client := dripping(short, b"", drop):
        assert client.rest() == b""


def test_a_client_that_does_not_read_a_flood_is_cut_off(short: Wire) -> None:
    """Its upstream is cut off, too."""

    short.upstream.plays([*REQUEST, send(CHUNKED), flood])
    client = short.client(short.head(), receive_buffer=4096)
    assert client.head().status == 200
    [visit] = short.upstream.peers
    if instead(short.engine, "slow clients"):
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


def test_a_client_that_does_not_read_a_sized_response_is_cut_off(short: Wire) -> None:
    """The upstream has sent everything."""
    body = b"x" * 15_000_000
    short.upstream.responds(sized(body))
    client = short.client(short.head(), receive_buffer=4096)
    assert client.head().status == 200
    if instead(short.engine, "slow clients"):
        assert not gateway_let_go(client)
        return
    assert any(gateway_let_go(client) for _ in until(LATE))
    assert len(client.rest()) < len(body)


def test_an_idle_connection_is_closed_between_requests(short: Wire) -> None:
    client = short.client(short.head())
    assert client.response().status == 200
    if instead(short.engine, "slow clients"):
        assert client.is_silent(0.2)
    else:
        start = time.monotonic()
        assert client.rest() == b""
        assert SHORT_WAIT * 0.9 <= time.monotonic() - start < LATE


def test_a_client_with_small_pauses_is_served(short: Wire) -> None:
    """Small pauses everywhere, which together are longer than any timeout."""
    raw = short.head("POST", PATH, "Transfer-Encoding: chunked")
    body = b"400\r\n" + b"x" * 1024 + b"\r\n"
    client = short.client(raw[:50], raw[50:], *[body] * 20, b"0\r\n\r\n")
    assert client.response().status == 200
    assert short.upstream.received[0].body == b"x" * 20480
