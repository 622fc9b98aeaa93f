"""A connection to an upstream that is used again never gives one request the answer of another."""

import threading

import pytest

from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire, is_ours
from tests.support.upstream import OK, REQUEST, Action, Peer, close, reset, send, wait
from tests.support.wait import until

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@pytest.mark.parametrize(
    ("method", "response"),
    [
        pytest.param("GET", OK + EVIL, id="a second response"),
        pytest.param("GET", OK + b"garbage", id="garbage"),
        pytest.param("GET", OK + b"\r\n" + EVIL, id="an empty line and a second response"),
        pytest.param("GET", OK + b"H", id="one byte"),
        pytest.param(
            "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EVIL) + EVIL, id="a body of a HEAD"
        ),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, id="a body of a 204"),
        pytest.param(
            "GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n" % len(EVIL) + EVIL,
            id="a body of a 304",
        ),
        pytest.param(
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
            id="a second response after chunks",
        ),
    ],
)
@pytest.mark.parametrize("same", [True, False], ids=["the same client", "another client"])
def test_what_comes_behind_an_answer_is_given_to_nobody(
    wire: Wire, method: str, response: bytes, same: bool
) -> None:
    client = wire.client()
    wire.upstream.responds(response)
    client.send(wire.head(method))
    assert client.response(method).body in (b"ok", b"")
    for number in range(3):
        other = client if same and number == 0 else wire.client()
        wire.upstream.responds(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        other.send(wire.head("GET", PATH + f"/{number}"))
        assert other.response().body == b"%d" % number


@pytest.mark.parametrize(
    "late", [EVIL, b"H", b"\r\n", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"]
)
def test_what_comes_while_a_connection_waits_is_given_to_nobody(wire: Wire, late: bytes) -> None:
    go, gone = threading.Event(), threading.Event()
    wire.upstream.plays([*REQUEST, send(OK), wait(go), send(late), _set(gone)])
    client = wire.client()
    client.send(wire.head())
    assert client.response().body == b"ok"
    go.set()
    assert gone.wait(3)
    for number, other in enumerate((client, wire.client())):
        wire.upstream.responds(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        other.send(wire.post(b"x", path=PATH + f"/{number}"))
        got = other.response()
        assert got.body == b"%d" % number
    assert [seen.target for seen in wire.upstream.received] == [PATH, PATH + "/0", PATH + "/1"]


def _set(event: threading.Event) -> Action:
    async def act(_: object) -> None:
        event.set()

    return act


@pytest.mark.parametrize("fields", [b"Connection: close\r\n", b"connection: Keep-Alive, Close\r\n"])
def test_an_upstream_that_says_close_is_not_asked_again(wire: Wire, fields: bytes) -> None:
    wire.upstream.responds(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nok")
    client = wire.client()
    for _ in range(2):
        client.send(wire.post(b"x"))
        assert client.response().body == b"ok"
    honoured = not instead(wire.engine, "an upstream that sends Connection: close")
    assert len(wire.upstream.peers) == (2 if honoured else 1)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_the_upstream_closed_is_not_used(wire: Wire, method: str) -> None:
    wire.upstream.plays([*REQUEST, send(OK), close])
    client = wire.client()
    client.send(wire.head())
    assert client.response().body == b"ok"
    _await_end(wire)
    client.send(wire.post(b"x") if method == "POST" else wire.head())
    assert client.response().body == b"ok"
    assert [seen.method for seen in wire.upstream.received] == ["GET", method]


def _await_end(wire: Wire) -> None:
    for _ in until(2.0):
        if wire.upstream.peers[0].writer.transport.is_closing():
            return
    raise AssertionError("The upstream did not close.")


DEATHS = [
    pytest.param([Peer.head, reset], id="reset"),
    pytest.param([Peer.head, close], id="closed"),
    pytest.param([*REQUEST, close], id="closed after the body"),
]


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_an_idempotent_request_whose_reused_connection_died_is_sent_once_more(
    wire: Wire, method: str, death: list[Action]
) -> None:
    wire.upstream.plays([*REQUEST, send(OK)], death)
    client = wire.client()
    client.send(wire.head())
    assert client.response().body == b"ok"
    reused = len(wire.upstream.peers)
    client.send(wire.head(method, PATH, "Content-Length: 0"))
    response = client.response(method)
    if instead(wire.engine, "an idempotent request whose reused connection died"):
        is_ours(response, 502, "upstream_protocol_error") if method != "HEAD" else None
        assert response.status == 502
        assert len(wire.upstream.received) == 2
        return
    assert response.status == 200
    assert [seen.method for seen in wire.upstream.received] == ["GET", method, method]
    assert len(wire.upstream.peers) == reused + 1


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("reused", [True, False], ids=["reused", "fresh"])
def test_a_request_that_changes_something_is_never_sent_twice(
    wire: Wire, method: str, death: list[Action], reused: bool
) -> None:
    client = wire.client()
    if reused:
        client.send(wire.head())
        assert client.response().body == b"ok"
    wire.upstream.plays(death)
    client.send(wire.head(method, PATH, "Content-Length: 5") + b"hello")
    is_ours(client.response(), 502, "upstream_protocol_error")
    wire.upstream.await_requests(2 if reused else 1)
    assert [seen.method for seen in wire.upstream.received].count(method) == 1


@pytest.mark.parametrize("death", DEATHS)
def test_a_request_on_a_fresh_connection_is_not_sent_again(wire: Wire, death: list[Action]) -> None:
    wire.upstream.plays(death)
    is_ours(wire.ask(wire.head()), 502, "upstream_protocol_error")
    assert len(wire.upstream.received) == 1


def test_the_second_try_is_the_last(wire: Wire) -> None:
    wire.upstream.plays([*REQUEST, send(OK)], [Peer.head, reset], [Peer.head, reset], [Peer.head, reset])
    client = wire.client()
    client.send(wire.head())
    assert client.response().body == b"ok"
    client.send(wire.head())
    is_ours(client.response(), 502, "upstream_protocol_error")
    once_more = not instead(wire.engine, "an idempotent request whose reused connection died")
    assert len(wire.upstream.received) == (3 if once_more else 2)


def test_a_request_whose_answer_has_begun_is_not_sent_again(wire: Wire) -> None:
    wire.upstream.plays([*REQUEST, send(OK)], [*REQUEST, send(b"HTTP/1.1 2"), reset])
    client = wire.client()
    client.send(wire.head())
    assert client.response().body == b"ok"
    client.send(wire.head())
    is_ours(client.response(), 502, "upstream_protocol_error")
    assert len(wire.upstream.received) == 2


def test_clients_one_after_the_other_share_a_connection_to_the_upstream(wire: Wire) -> None:
    for _ in range(5):
        with wire.client() as client:
            client.send(wire.head())
            assert client.response().body == b"ok"
    visits = len(wire.upstream.peers)
    assert visits == (5 if instead(wire.engine, "clients share connections to an upstream") else 1)
