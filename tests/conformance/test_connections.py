"""Keep-alive, pipelining, HEAD and HTTP/1.0: one connection, many exchanges, each with its own response."""

import pytest

from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire, closes, is_ours
from tests.support.client import Ended, RawClient
from tests.support.upstream import CHUNKED, REQUEST, STREAM, Peer, chunk, send, sized


def numbered(number: int) -> bytes:
    return sized(b"response %d" % number)


def responses_until_the_end(client: RawClient) -> list[bytes]:
    bodies = []
    try:
        while True:
            bodies.append(client.response().body)
    except Ended:
        return bodies


def test_a_connection_serves_one_request_after_the_other(wire: Wire) -> None:
    client = wire.client()
    for number in range(20):
        wire.upstream.responds(numbered(number))
        response = client.ask(wire.post(b"x" * number) if number % 2 else wire.head())
        assert (response.body, response.get("connection")) == (b"response %d" % number, None)


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close"])
def test_a_connection_is_closed_when_the_client_asks_for_it(wire: Wire, value: str) -> None:
    client = wire.client(wire.head("GET", PATH, f"Connection: {value}"))
    closes(client, client.response())


def test_a_request_behind_one_that_closes_is_not_served(wire: Wire) -> None:
    client = wire.client(wire.head("GET", PATH, "Connection: close") + wire.post(b"x", path=PATH + "/second"))
    assert client.response().body == b"ok"
    assert client.rest() == b""
    assert [seen.target for seen in wire.upstream.received] == [PATH]


def test_pipelined_requests_get_their_responses_in_order(wire: Wire) -> None:
    """Of all kinds, with bodies that look like requests."""
    wire.upstream.plays(*([*REQUEST, send(numbered(number))] for number in range(20)))
    decoy = b"GET /v1/decoy HTTP/1.1\r\n\r\n"
    kinds = (
        wire.head(),
        wire.post(decoy),
        wire.head("PUT", PATH, "Transfer-Encoding: chunked") + chunk(decoy) + b"0\r\n\r\n",
        wire.head("DELETE"),
    )
    client = wire.client(b"".join(kinds[number % 4] for number in range(20)))
    assert [client.response().body for _ in range(20)] == [b"response %d" % number for number in range(20)]
    assert {seen.target for seen in wire.upstream.received} == {PATH}


def test_a_slow_first_response_is_not_overtaken_by_the_second(wire: Wire) -> None:
    wire.upstream.plays(
        [*REQUEST, send(*(numbered(0)[place : place + 1] for place in range(40))), send(numbered(0)[40:])],
        [*REQUEST, send(numbered(1))],
    )
    client = wire.client(wire.head() + wire.head())
    assert [client.response().body, client.response().body] == [b"response 0", b"response 1"]


def test_a_rejection_of_a_pipelined_request_keeps_the_order(wire: Wire) -> None:
    wire.upstream.plays([*REQUEST, send(numbered(0))], [*REQUEST, send(numbered(1))])
    client = wire.client(
        wire.head() + wire.head("GET", "/__/nothing") + b"GET * HTTP/1.1\r\n\r\n" + wire.head()
    )
    assert client.response().body == b"response 0"
    assert client.response().body == b"response 1"
    response = client.response()
    is_ours(response, 400)
    closes(client, response)
    assert len(wire.upstream.received) == 2


def test_the_33rd_pipelined_request_ends_the_connection_after_32_responses(wire: Wire) -> None:
    wire.upstream.plays(*([*REQUEST, send(numbered(number))] for number in range(40)))
    client = wire.client(wire.head() * 40)
    if instead(wire.engine, "the 33rd unanswered request"):
        assert [client.response().body for _ in range(40)] == [
            b"response %d" % number for number in range(40)
        ]
        return
    assert responses_until_the_end(client) == [b"response %d" % number for number in range(32)]
    assert len(wire.upstream.received) == 32


def test_32_pipelined_requests_are_all_served(wire: Wire) -> None:
    client = wire.client()
    for _ in range(3):
        client.send(wire.head() * 32)
        assert [client.response().status for _ in range(32)] == [200] * 32


@pytest.mark.parametrize(
    "framing",
    ["Content-Length: 100", "Transfer-Encoding: chunked", "X-None: 1"],
    ids=["sized", "chunked", "none"],
)
def test_a_response_to_head_has_no_body(wire: Wire, framing: str) -> None:
    wire.upstream.plays([*REQUEST, send(f"HTTP/1.1 200 OK\r\n{framing}\r\nX-A: b\r\n\r\n".encode())])
    client = wire.client(wire.head("HEAD"))
    response = client.response("HEAD")
    assert (response.status, response.get("x-a")) == (200, "b")
    if framing.startswith("Content-Length"):
        assert response.get("content-length") == "100"
    if response.get("connection") == "close":
        assert client.rest() == b""
    else:
        assert client.ask(wire.head()).body == b"ok"


def test_a_rejection_of_head_has_no_body(wire: Wire) -> None:
    client = wire.client(wire.head("HEAD").replace(wire.tenant.key.encode(), b"gwk_wrong") + wire.head())
    assert client.response("HEAD").status == 401
    assert client.response().body == b"ok"


def test_an_http_1_0_connection_is_closed_by_default(wire: Wire) -> None:
    client = wire.client(wire.head(version="1.0"))
    response = client.response()
    assert response.body == b"ok"
    assert client.rest() == b""
    assert "chunked" not in response.all("transfer-encoding")


def test_an_http_1_0_client_that_asks_to_keep_its_connection_reads_whether_it_is_kept(wire: Wire) -> None:
    client = wire.client(wire.head("GET", PATH, "Connection: keep-alive", version="1.0"))
    response = client.response()
    assert (response.get("connection") or "").lower() in ("keep-alive", "close")
    if response.get("connection") == "close":
        assert client.rest() == b""
    else:
        assert client.ask(wire.head("GET", PATH, "Connection: close", version="1.0")).body == b"ok"


@pytest.mark.parametrize(
    "response",
    [
        CHUNKED + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        STREAM + b"6\r\nonetwo\r\n0\r\n\r\n",
    ],
    ids=["plain", "events"],
)
@pytest.mark.parametrize("stay", [(), ("Connection: keep-alive",)], ids=["closing", "staying"])
def test_an_http_1_0_client_gets_a_chunked_response_without_chunks(
    wire: Wire, response: bytes, stay: tuple[str, ...]
) -> None:
    wire.upstream.responds(response)
    client = wire.client(wire.head("GET", PATH, *stay, version="1.0"))
    got = client.response()
    assert (got.body, got.get("transfer-encoding"), got.cut) == (b"onetwo", None, None)
    assert wire.upstream.received[0].version == "HTTP/1.1"


def test_an_http_1_0_post_arrives(wire: Wire) -> None:
    head = wire.head("POST", PATH, "Content-Length: 5", version="1.0")
    assert wire.ask(head + b"hello").status == 200
    assert wire.upstream.received[0].body == b"hello"


def test_a_response_before_the_body_was_read_reaches_the_client(wire: Wire) -> None:
    wire.upstream.plays([Peer.head, send(sized(b"big", "413 Too Big", "Connection: close"))])
    response = wire.ask(wire.post(b"x" * 2_000_000))
    assert (response.status, response.body) == (413, b"big")
    assert response.get("x-gateway-error-source") == "upstream"
