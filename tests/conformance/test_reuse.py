"""A reused connection to an upstream never gives one request the response to another."""

import threading
from dataclasses import replace

import pytest

from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire, is_ours
from tests.support.upstream import CHUNKED, OK, REQUEST, Action, Peer, close, reset, send, sized, wait
from tests.support.wait import until

EVIL = sized(b"evil")


@pytest.mark.parametrize(
    ("method", "response"),
    [
        pytest.param("GET", OK + EVIL, id="a second response"),
        pytest.param("GET", OK + b"garbage", id="garbage"),
        pytest.param("GET", OK + b"\r\n" + EVIL, id="an empty line and a second response"),
        pytest.param("GET", OK + b"H", id="one byte"),
        pytest.param("HEAD", sized(EVIL), id="a body of a HEAD"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, id="a body of a 204"),
        pytest.param("GET", sized(EVIL, "304 Not Modified"), id="a body of a 304"),
        pytest.param("GET", CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + EVIL, id="a second response after chunks"),
    ],
)
@pytest.mark.parametrize("same", [True, False], ids=["the same client", "another client"])
def test_bytes_behind_a_response_reach_no_client(
    wire: Wire, method: str, response: bytes, same: bool
) -> None:
    client = wire.client()
    wire.upstream.responds(response)
    client.send(wire.head(method))
    assert client.response(method).body in (b"ok", b"")
    for number in range(3):
        other = client if same and number == 0 else wire.client()
        wire.upstream.responds(sized(b"%d" % number))
        assert other.ask(wire.head("GET", PATH + f"/{number}")).body == b"%d" % number


@pytest.mark.parametrize(
    "late", [EVIL, b"H", b"\r\n", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"]
)
def test_bytes_on_an_idle_upstream_connection_reach_no_client(wire: Wire, late: bytes) -> None:
    async def then_set(_: Peer) -> None:
        gone.set()

    go, gone = threading.Event(), threading.Event()
    wire.upstream.plays([*REQUEST, send(OK), wait(go), send(late), then_set])
    client = wire.served()
    go.set()
    assert gone.wait(3)
    for number, other in enumerate((client, wire.client())):
        wire.upstream.responds(sized(b"%d" % number))
        assert other.ask(wire.post(b"x", path=PATH + f"/{number}")).body == b"%d" % number
    assert [seen.target for seen in wire.upstream.received] == [PATH, PATH + "/0", PATH + "/1"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("fields", [b"Connection: close\r\n", b"connection: Keep-Alive, Close\r\n"])
def test_a_connection_whose_upstream_announces_its_close_is_not_reused(
    wire: Wire, fields: bytes, method: str
) -> None:
    body = b"ok" if method == "GET" else b""
    wire.upstream.responds(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\n" + body)
    client = wire.client(wire.head(method))
    assert client.response(method).body == body
    assert client.ask(wire.post(b"x")).body == b"ok"
    is_kept = not instead(wire.engine, "an upstream that sends Connection: close")
    assert len(wire.upstream.peers) == (2 if is_kept else 1)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_the_upstream_closed_is_not_reused(wire: Wire, method: str) -> None:
    wire.upstream.plays([*REQUEST, send(OK), close])
    client = wire.served()
    assert any(wire.upstream.peers[0].writer.transport.is_closing() for _ in until(2.0))
    assert client.ask(wire.post(b"x") if method == "POST" else wire.head()).body == b"ok"
    assert [seen.method for seen in wire.upstream.received] == ["GET", method]


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
    client = wire.served()
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
        assert client.ask(wire.head()).body == b"ok"
    wire.upstream.plays(death)
    is_ours(
        client.ask(wire.head(method, PATH, "Content-Length: 5") + b"hello"), 502, "upstream_protocol_error"
    )
    wire.upstream.await_requests(2 if reused else 1)
    assert [seen.method for seen in wire.upstream.received].count(method) == 1


@pytest.mark.parametrize("death", DEATHS)
def test_a_request_on_a_fresh_connection_that_died_is_not_sent_again(wire: Wire, death: list[Action]) -> None:
    wire.upstream.plays(death)
    is_ours(wire.ask(wire.head()), 502, "upstream_protocol_error")
    assert len(wire.upstream.received) == 1


@pytest.mark.parametrize(
    ("second", "requests"),
    [
        pytest.param([Peer.head, reset], 3, id="no byte came"),
        pytest.param([*REQUEST, send(b"HTTP/1.1 2"), reset], 2, id="a response had begun"),
    ],
)
def test_a_request_is_sent_at_most_once_more_and_never_after_a_byte_of_a_response(
    wire: Wire, second: list[Action], requests: int
) -> None:
    wire.upstream.plays([*REQUEST, send(OK)], second, [Peer.head, reset], [Peer.head, reset])
    is_ours(wire.served().ask(wire.head()), 502, "upstream_protocol_error")
    once_more = not instead(wire.engine, "an idempotent request whose reused connection died")
    assert len(wire.upstream.received) == (requests if once_more else 2)


def test_consecutive_clients_share_a_connection_to_the_upstream(wire: Wire) -> None:
    for _ in range(5):
        with wire.client() as client:
            assert client.ask(wire.head()).body == b"ok"
    own = instead(wire.engine, "clients share connections to an upstream")
    assert len(wire.upstream.peers) == (5 if own else 1)


def test_tenants_never_share_a_connection_to_an_upstream(wire: Wire) -> None:
    """They call under a host that both may use, over one connection: a late second response is of one tenant."""
    other = wire.gateway.create_tenant()
    other.create_rule("/v1", wire.upstream.url)
    client = wire.client()
    for tenant in (wire.tenant, other) * 2:
        head = replace(wire, tenant=tenant).head().replace(tenant.host.encode(), b"localhost")
        assert client.ask(head).body == b"ok"
    owners = [
        {one.get("x-tenant-id") for one in wire.upstream.received if one.peer is peer}
        for peer in wire.upstream.peers
    ]
    if instead(wire.engine, "two tenants on one connection of a client"):
        assert owners == [{wire.tenant.id, other.id}]
    else:
        assert owners == [{wire.tenant.id}, {other.id}]
