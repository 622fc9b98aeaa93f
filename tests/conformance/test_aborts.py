"""A client that leaves, in each phase: its upstream connection is closed within a second, and no other is."""

import threading
from collections.abc import Callable

import pytest

from tests.conformance.wire import HELD, PATH, Wire
from tests.support.client import RawClient
from tests.support.upstream import CHUNKED, REQUEST, STREAM, chunk, flood, hang, send, wait

LEAVE: list[Callable[[RawClient], None]] = [RawClient.close, RawClient.reset]
WITHIN = 1.0  # seconds (reliability.md R23)

pytestmark = pytest.mark.parametrize("leave", LEAVE, ids=["closing", "resetting"])


@pytest.mark.parametrize(
    ("framing", "begun"),
    [
        pytest.param("", b"", id="before a byte"),
        pytest.param("", b"PO", id="in the method"),
        pytest.param("", b"POST /v1/chat HTTP/1.1\r\nHost: ", id="in a field"),
        pytest.param("", b"POST /v1/chat HTTP/1.1\r\nHost: t1.example.com\r\n", id="between fields"),
        pytest.param("Content-Length: 100", b"", id="sized, before the body"),
        pytest.param("Content-Length: 100", b"x" * 99, id="sized, before the last byte"),
        pytest.param("Transfer-Encoding: chunked", b"5\r\nhel", id="in a chunk"),
        pytest.param("Transfer-Encoding: chunked", b"5\r\nhello\r\n", id="between chunks"),
        pytest.param("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n", id="before the last line"),
    ],
)
def test_a_client_that_leaves_before_its_request_ended_reaches_no_upstream(
    wire: Wire, leave: Callable[[RawClient], None], framing: str, begun: bytes
) -> None:
    client = wire.client(wire.head("POST", HELD, framing) if framing else b"", begun)
    leave(client)
    wire.nothing_reached_the_upstream()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        STREAM + chunk(b"data: 1\n\n"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ndata: 1\n\n",
        b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n",
    ],
    ids=["before its head", "chunked", "sized", "closed"],
)
def test_a_client_that_leaves_before_or_during_a_response_closes_its_upstream(
    wire: Wire, leave: Callable[[RawClient], None], head: bytes
) -> None:
    wire.upstream.plays([*REQUEST, send(head), hang])
    client = wire.client(wire.post(b"hello"))
    wire.upstream.await_requests(1)
    assert not head or client.head().status == 200
    leave(client)
    assert wire.upstream.peers[0].ended.wait(WITHIN)


def test_a_client_that_leaves_without_reading_a_flood_closes_its_upstream(
    wire: Wire, leave: Callable[[RawClient], None]
) -> None:
    wire.upstream.plays([*REQUEST, send(CHUNKED), flood])
    client = wire.client(wire.head(), receive_buffer=4096)
    assert client.head().status == 200
    assert not wire.upstream.peers[0].ended.wait(0.2)
    leave(client)
    assert wire.upstream.peers[0].ended.wait(WITHIN)


def test_a_client_that_leaves_cancels_its_pipelined_requests(
    wire: Wire, leave: Callable[[RawClient], None]
) -> None:
    """Requests behind the running exchange are not begun."""
    wire.upstream.plays([*REQUEST, hang])
    client = wire.client(wire.head() + wire.post(b"x", path=PATH + "/second"))
    wire.upstream.await_requests(1)
    leave(client)
    assert wire.upstream.peers[0].ended.wait(WITHIN)
    wire.ask(wire.head("GET", PATH + "/after"))
    assert [seen.target for seen in wire.upstream.received] == [PATH, PATH + "/after"]


def test_a_client_that_leaves_after_more_than_is_read_ahead_closes_its_upstream(
    wire: Wire, leave: Callable[[RawClient], None]
) -> None:
    """A gateway that has stopped reading still notices it."""
    wire.upstream.plays([*REQUEST, hang])
    client = wire.client(wire.head())
    wire.upstream.await_requests(1)
    client.send(wire.head("POST", PATH + "/second", "Content-Length: 1000000") + b"x" * 200_000)
    leave(client)
    assert wire.upstream.peers[0].ended.wait(WITHIN)
    assert [seen.target for seen in wire.upstream.received] == [PATH]


def test_a_client_that_leaves_disturbs_no_other(wire: Wire, leave: Callable[[RawClient], None]) -> None:
    go = threading.Event()
    head = send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    wire.upstream.plays([*REQUEST, hang], [*REQUEST, head, wait(go), send(b"hello")])
    leaving, staying = wire.client(), wire.client()
    leaving.send(wire.head())
    wire.upstream.await_requests(1)
    staying.send(wire.head())
    assert staying.head().status == 200
    leave(leaving)
    assert wire.upstream.peers[0].ended.wait(WITHIN)
    go.set()
    assert staying.reading.exactly(5) == b"hello"
