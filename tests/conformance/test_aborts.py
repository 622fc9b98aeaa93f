"""A client that leaves, in each phase: the upstream is let go within a second, and nobody else notices."""

import threading
from collections.abc import Callable

import pytest

from tests.conformance.wire import PATH, Wire
from tests.support.client import RawClient
from tests.support.upstream import REQUEST, flood, hang, send, wait

LEAVE: list[Callable[[RawClient], None]] = [RawClient.close, RawClient.reset]
WITHIN = 1.0  # seconds (reliability.md R23)

pytestmark = pytest.mark.parametrize("leave", LEAVE, ids=["closing", "resetting"])


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="before a byte"),
        pytest.param(b"PO", id="in the method"),
        pytest.param(b"POST /v1/chat HTTP/1.1\r\nHost: ", id="in a field"),
        pytest.param(b"POST /v1/chat HTTP/1.1\r\nHost: t1.example.com\r\n", id="between fields"),
    ],
)
def test_gone_before_the_head_ended(wire: Wire, leave: Callable[[RawClient], None], begun: bytes) -> None:
    client = wire.client()
    client.send(begun)
    leave(client)
    wire.nothing_reached_the_upstream()


@pytest.mark.parametrize(
    ("framing", "begun"),
    [
        pytest.param("Content-Length: 100", b"", id="sized, before the body"),
        pytest.param("Content-Length: 100", b"x" * 99, id="sized, before the last byte"),
        pytest.param("Transfer-Encoding: chunked", b"5\r\nhel", id="in a chunk"),
        pytest.param("Transfer-Encoding: chunked", b"5\r\nhello\r\n", id="between chunks"),
        pytest.param("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n", id="before the last line"),
    ],
)
def test_gone_during_the_body(
    wire: Wire, leave: Callable[[RawClient], None], framing: str, begun: bytes
) -> None:
    """Half a body is never forwarded as a whole one."""
    client = wire.client()
    client.send(wire.head("POST", PATH, framing), begun)
    leave(client)
    wire.nothing_reached_the_upstream()


def test_gone_while_the_upstream_thinks(wire: Wire, leave: Callable[[RawClient], None]) -> None:
    wire.upstream.plays([*REQUEST, hang])
    client = wire.client()
    client.send(wire.post(b"hello"))
    wire.upstream.await_requests(1)
    leave(client)
    assert wire.upstream.peers[0].ended.wait(WITHIN)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ndata: 1\n\n",
        b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n",
    ],
    ids=["chunked", "sized", "closed"],
)
def test_gone_during_a_stream(wire: Wire, leave: Callable[[RawClient], None], head: bytes) -> None:
    wire.upstream.plays([*REQUEST, send(head), hang])
    client = wire.client()
    client.send(wire.head())
    assert client.head().status == 200
    leave(client)
    assert wire.upstream.peers[0].ended.wait(WITHIN)


def test_gone_without_reading_a_flood(wire: Wire, leave: Callable[[RawClient], None]) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.upstream.plays([*REQUEST, send(head), flood])
    client = wire.client(receive_buffer=4096)
    client.send(wire.head())
    assert client.head().status == 200
    [visit] = wire.upstream.peers
    assert not visit.ended.wait(0.2)
    leave(client)
    assert visit.ended.wait(WITHIN)


def test_gone_with_requests_waiting(wire: Wire, leave: Callable[[RawClient], None]) -> None:
    """What was pipelined behind the running exchange is not begun any more."""
    wire.upstream.plays([*REQUEST, hang])
    client = wire.client()
    client.send(wire.head() + wire.post(b"x", path=PATH + "/second"))
    wire.upstream.await_requests(1)
    leave(client)
    assert wire.upstream.peers[0].ended.wait(WITHIN)
    wire.ask(wire.head("GET", PATH + "/after"))
    assert [seen.target for seen in wire.upstream.received] == [PATH, PATH + "/after"]


def test_gone_with_more_sent_than_is_read_ahead(wire: Wire, leave: Callable[[RawClient], None]) -> None:
    """A gateway that has stopped reading still sees who leaves."""
    wire.upstream.plays([*REQUEST, hang])
    client = wire.client()
    client.send(wire.head())
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
