"""Every valid request of a client arrives whole at the upstream, with one framing of ours."""

import pytest

from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire, heads_are_clean, is_ours
from tests.support.upstream import chunk

CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", id="one chunk"),
        pytest.param(b"0\r\n\r\n", b"", id="no chunk"),
        pytest.param(b"1\r\nh\r\n" * 300 + b"0\r\n\r\n", b"h" * 300, id="many chunks of a byte"),
        pytest.param(b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", id="a size in capitals"),
        pytest.param(b"000a\r\n0123456789\r\n000\r\n\r\n", b"0123456789", id="zeros in front of a size"),
        pytest.param(b'5;a=b;c="d;e"\r\nhello\r\n0;f\r\n\r\n', b"hello", id="chunk extensions"),
        pytest.param(b"6\r\n0\r\n\r\nx\r\n0\r\n\r\n", b"0\r\n\r\nx", id="a chunk that looks like the end"),
        pytest.param(chunk(b"x" * 200_000) + b"0\r\n\r\n", b"x" * 200_000, id="a large chunk"),
    ],
)
def test_a_chunked_body_arrives_whole(wire: Wire, chunks: bytes, body: bytes) -> None:
    client = wire.client()
    for count in (1, 2):
        assert client.ask(wire.head("POST", PATH, CHUNKED) + chunks).status == 200
        assert [seen.body for seen in wire.upstream.received] == [body] * count
    heads_are_clean(wire.upstream.received)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
def test_a_sized_body_arrives_whole(wire: Wire, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert wire.ask(wire.post(body[:size])).status == 200
    assert wire.upstream.received[0].body == body[:size]


def test_a_request_split_at_any_byte_is_the_same_request(wire: Wire) -> None:
    raw = wire.head("POST", PATH, CHUNKED, "X-A: b") + b"3;x=y\r\none\r\na\r\ntwo\r\nthree\r\n0\r\n\r\n"
    client = wire.client()
    for position in range(1, len(raw)):
        assert client.ask(raw[:position], raw[position:]).status == 200, position
        seen = wire.upstream.received.pop()
        assert (seen.method, seen.target, seen.get("x-a")) == ("POST", PATH, "b")
        assert seen.body == b"onetwo\r\nthree"


def test_a_request_that_comes_byte_by_byte_is_the_same_request(wire: Wire) -> None:
    raw = wire.head("POST", PATH, CHUNKED) + b"3\r\none\r\n0\r\n\r\n"
    client = wire.client(*(raw[place : place + 1] for place in range(len(raw))))
    assert client.response().status == 200
    assert wire.upstream.received[0].body == b"one"


def test_the_trailers_of_a_request_are_dropped(wire: Wire) -> None:
    client = wire.client()
    client.send(
        wire.head("POST", PATH, CHUNKED, "Trailer: X-Sum") + b"2\r\nhi\r\n0\r\nX-Sum: 9\r\nHost: evil\r\n\r\n"
    )
    if instead(wire.engine, "trailers of a request"):
        assert client.is_silent(0.2)
        client.close()
        wire.nothing_reached_the_upstream()
        return
    assert client.response().status == 200
    [seen] = wire.upstream.received
    assert (seen.body, seen.get("x-sum"), seen.get("trailer")) == (b"hi", None, None)
    assert b"evil" not in wire.upstream.raw
    assert client.ask(wire.head()).status == 200


def test_100_continue_comes_after_admission_and_is_not_forwarded(wire: Wire) -> None:
    client = wire.client(wire.head("POST", PATH, "Content-Length: 5", "Expect: 100-continue"))
    assert client.head().status == 100
    assert client.ask(b"hello").status == 200
    [seen] = wire.upstream.received
    assert (seen.body, seen.get("expect")) == (b"hello", None)


def test_a_body_sent_before_100_continue_is_served(wire: Wire) -> None:
    client = wire.client(wire.head("POST", PATH, "Content-Length: 5", "Expect: 100-continue") + b"hello")
    assert client.response().status == 200
    assert client.ask(wire.head()).status == 200
    assert [seen.body for seen in wire.upstream.received] == [b"hello", b""]


def test_a_rejected_request_gets_no_100_continue(wire: Wire) -> None:
    client = wire.client()
    head = wire.head("POST", PATH, "Content-Length: 5", "Expect: 100-continue")
    client.send(head.replace(wire.tenant.key.encode(), b"gwk_wrong"))
    if instead(wire.engine, "a 401 without a 100"):
        assert client.head().status == 100
        client.send(b"hello")
    response = client.response()
    is_ours(response, 401, "invalid_api_key")
    assert response.interim == []
    wire.nothing_reached_the_upstream()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(
            ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
            id="h2c",
        ),
        pytest.param(("Connection: upgrade", "Upgrade: a-thing/1"), id="something else"),
        pytest.param(("Upgrade: h2c",), id="h2c without Connection"),
    ],
)
@pytest.mark.parametrize("framing", ["sized", "chunked", "none"])
def test_an_upgrade_is_not_made_and_the_body_arrives(
    wire: Wire, fields: tuple[str, ...], framing: str
) -> None:
    body = b"GET /v1/smuggled HTTP/1.1\r\n\r\n"
    client = wire.client()
    if framing == "sized":
        client.send(wire.post(body, *fields) + wire.head("GET", PATH + "/next"))
    elif framing == "chunked":
        chunks = chunk(body) + b"0\r\n\r\n"
        client.send(wire.head("POST", PATH, CHUNKED, *fields) + chunks + wire.head("GET", PATH + "/next"))
    else:
        body = b""
        client.send(wire.head("GET", PATH, *fields) + wire.head("GET", PATH + "/next"))
    assert [client.response().status, client.response().status] == [200, 200]
    first, second = wire.upstream.received
    assert (first.body, second.target) == (body, PATH + "/next")
    for name in ("upgrade", "http2-settings", "connection"):
        assert first.get(name) is None


@pytest.mark.parametrize(
    "upgrade",
    [
        pytest.param(("Connection: Upgrade", "Upgrade: websocket"), id="websocket"),
        pytest.param(("Connection: keep-alive, Upgrade", "Upgrade: WebSocket"), id="among others"),
        pytest.param(("Connection: upgrade", "Upgrade: h2c, websocket/13"), id="second choice"),
    ],
)
@pytest.mark.parametrize("framing", ["sized", "none"])
def test_a_websocket_is_a_501_of_the_gateway_and_reaches_no_upstream(
    wire: Wire, upgrade: tuple[str, ...], framing: str
) -> None:
    fields = (*upgrade, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl", "X-Request-ID: mine")
    head = wire.head("GET", PATH, *fields) if framing == "none" else wire.post(b"x" * 500, *fields)
    client = wire.client(head)
    response = client.response()
    is_ours(response, 501, "websocket_not_supported")
    assert (response.get("x-request-id"), response.get("x-should-retry")) == ("mine", "false")
    assert (response.get("connection"), response.get("upgrade")) == ("close", None)
    wire.nothing_reached_the_upstream()


def test_a_websocket_without_a_valid_key_is_a_401(wire: Wire) -> None:
    head = wire.head("GET", PATH, "Connection: Upgrade", "Upgrade: websocket")
    is_ours(wire.ask(head.replace(wire.tenant.key.encode(), b"gwk_wrong")), 401, "invalid_api_key")
    wire.nothing_reached_the_upstream()


def test_fields_named_in_connection_are_dropped_but_never_those_of_the_gateway(wire: Wire) -> None:
    fields = (
        "Connection: close, X-Mine, x-request-id, content-type, host, content-length, via, x-tenant-id",
        "X-Mine: secret",
        "X-Request-ID: mine-1",
        "Content-Type: application/json",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
    )
    response = wire.ask(wire.post(b"{}", *fields))
    assert (response.status, response.get("x-request-id")) == (200, "mine-1")
    [seen] = wire.upstream.received
    for gone in ("x-mine", "connection", "keep-alive", "proxy-connection", "te"):
        assert seen.get(gone) is None
    assert seen.get("x-request-id") == "mine-1"
    assert seen.get("content-type") == "application/json"
    assert seen.get("x-tenant-id") == wire.tenant.id
    assert seen.get("via")
    assert (seen.get("content-length"), seen.body) == ("2", b"{}")


def test_repeated_headers_stay_repeated_and_in_order(wire: Wire) -> None:
    fields = ("X-A: 1", "X-B: 2", "x-a: 3", "Cookie: a=b", "Cookie: c=d", "Accept: text/html", "Accept: */*")
    response = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nset-cookie: b=2\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n"
    wire.upstream.responds(response.encode())
    got = wire.ask(wire.head("GET", PATH, *fields))
    assert (got.all("set-cookie"), got.all("x-a")) == (["a=1", "b=2"], ["1", "2"])
    [seen] = wire.upstream.received
    assert (seen.all("x-a"), seen.all("cookie")) == (["1", "3"], ["a=b", "c=d"])
    assert seen.all("accept") == ["text/html", "*/*"]
