"""Every valid response of an upstream arrives whole, with one framing of ours."""

import threading

import pytest

from tests.conformance.differences import instead
from tests.conformance.wire import PATH, Wire, is_ours
from tests.support.upstream import CHUNKED, REQUEST, Action, chunk, close, half_close, send, sized, wait


@pytest.mark.parametrize(
    ("response", "body"),
    [
        pytest.param(sized(b""), b"", id="nothing"),
        pytest.param(sized(b"one"), b"one", id="sized"),
        pytest.param(CHUNKED + b"0\r\n\r\n", b"", id="no chunk"),
        pytest.param(CHUNKED + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", b"onetwo", id="chunked"),
        pytest.param(CHUNKED + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n", b"x" * 500, id="many chunks of a byte"),
        pytest.param(CHUNKED + b'3;a=b;c="d"\r\none\r\n0;e\r\n\r\n', b"one", id="chunk extensions"),
        pytest.param(CHUNKED + b"003\r\none\r\n000\r\n\r\n", b"one", id="zeros in front of a size"),
        pytest.param(CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", id="a chunk like the end"),
        pytest.param(b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\none", b"one", id="an empty reason"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length:3\r\nX-A:\r\n\r\none", b"one", id="no white space"),
    ],
)
def test_a_response_arrives_whole_and_the_connection_stays(wire: Wire, response: bytes, body: bytes) -> None:
    client = wire.client()
    for method in ("GET", "POST"):
        wire.upstream.responds(response)
        got = client.ask(wire.post(b"x") if method == "POST" else wire.head())
        assert (got.status, got.body, got.cut, got.trailers) == (200, body, None, [])
    assert client.ask(wire.head()).body == b"ok"


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 5_000_000])
@pytest.mark.parametrize("framing", ["sized", "chunked", "closed"])
def test_a_large_response_arrives_whole(wire: Wire, size: int, framing: str) -> None:
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    raw = {
        "sized": sized(body),
        "chunked": CHUNKED + chunk(body) + b"0\r\n\r\n",
        "closed": b"HTTP/1.1 200 OK\r\n\r\n" + body,
    }[framing]
    wire.upstream.plays([*REQUEST, send(raw), *[close] * (framing == "closed")])
    got = wire.ask(wire.head())
    assert (got.body == body, got.cut) == (True, None)


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        pytest.param(b"HTTP/1.1 200 OK", b"", id="HTTP/1.1"),
        pytest.param(b"HTTP/1.1 200 OK", b"Connection: close\r\n", id="HTTP/1.1 that says close"),
        pytest.param(b"HTTP/1.0 200 OK", b"", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream\r\n", id="events"),
    ],
)
@pytest.mark.parametrize("end", [close, half_close], ids=["closed", "half closed"])
def test_a_body_without_a_length_ends_with_the_connection(
    wire: Wire, head: bytes, fields: bytes, end: Action
) -> None:
    wire.upstream.plays([*REQUEST, send(head + b"\r\n" + fields + b"\r\none", b"two"), end])
    got = wire.ask(wire.head())
    assert (got.status, got.body, got.cut) == (200, b"onetwo", None)


@pytest.mark.parametrize(
    "fields",
    [b"", b"Content-Length: 3\r\n", b"Connection: keep-alive\r\nContent-Length: 3\r\n"],
    ids=["ended by its connection", "sized", "sized and kept"],
)
def test_an_http_1_0_response_is_whole_and_does_not_end_the_clients_connection(
    wire: Wire, fields: bytes
) -> None:
    wire.upstream.plays([*REQUEST, send(b"HTTP/1.0 200 OK\r\n" + fields + b"\r\none"), close])
    client = wire.client()
    got = client.ask(wire.head())
    assert (got.status, got.body, got.cut) == (200, b"one", None)
    if b"keep-alive" in fields:
        assert wire.ask(wire.head()).body == b"ok"
    elif instead(wire.engine, "an HTTP/1.0 upstream"):
        assert got.get("connection") == "close"
    else:
        assert got.get("connection") is None
        assert client.ask(wire.head()).body == b"ok"


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nX-A: b\r\n\r\n", id="304"),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nX-A: b\r\nContent-Length: 100\r\n\r\n", id="304 with a length"
        ),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="304 with a coding",
        ),
    ],
)
def test_a_response_without_a_body_does_not_wait_for_one(wire: Wire, response: bytes) -> None:
    wire.upstream.responds(response)
    client = wire.client(wire.head())
    got = client.response()
    assert (got.status, got.get("x-a"), got.body) == (int(response[9:12]), "b", b"")
    if got.get("connection") != "close":
        assert client.ask(wire.head()).body == b"ok"


def test_a_response_split_at_any_byte_is_the_same_response(wire: Wire) -> None:
    raw = CHUNKED[:-2] + b"X-A: b\r\n\r\n3;x=y\r\none\r\n5\r\ntwo\r\n\r\n0\r\n\r\n"
    client = wire.client()
    for position in range(1, len(raw)):
        wire.upstream.responds(raw[:position], raw[position:])
        got = client.ask(wire.head())
        assert (got.status, got.get("x-a"), got.body) == (200, "b", b"onetwo\r\n"), position


def test_a_response_that_comes_byte_by_byte_is_the_same_response(wire: Wire) -> None:
    raw = CHUNKED + b"3\r\none\r\n0\r\n\r\n"
    wire.upstream.responds(*(raw[place : place + 1] for place in range(len(raw))))
    assert wire.ask(wire.head()).body == b"one"


def test_the_trailers_of_a_response_are_dropped(wire: Wire) -> None:
    wire.upstream.responds(CHUNKED + b"3\r\none\r\n0\r\nX-Sum: 9\r\nSet-Cookie: a=b\r\n\r\n")
    never_ends = instead(wire.engine, "trailers of a response")
    client = wire.client(timeout=0.5) if never_ends else wire.client()
    client.send(wire.head())
    if never_ends:
        with pytest.raises(TimeoutError):
            client.response()
        return
    got = client.response()
    assert (got.body, got.trailers, got.cut, got.get("x-sum")) == (b"one", [], None, None)
    assert client.ask(wire.head()).body == b"ok"


@pytest.mark.parametrize(
    "interim",
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="100"),
        pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n", id="102"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", id="103"),
        pytest.param(b"HTTP/1.1 199 Whatever\r\n\r\n", id="199"),
        pytest.param(b"HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 B\r\n\r\nHTTP/1.1 100 C\r\n\r\n", id="three"),
    ],
)
@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
def test_interim_responses_are_dropped(wire: Wire, interim: bytes, apart: bool) -> None:
    """A 103 may be relayed."""
    last = sized(b"one")
    wire.upstream.responds(*((interim, last) if apart else (interim + last,)))
    client = wire.client(wire.head())
    got = client.response()
    assert {early.status for early in got.interim} <= {103}
    if instead(wire.engine, "interim responses of an upstream"):
        is_ours(got, 502, "upstream_protocol_error")
        return
    assert (got.status, got.body, got.get("link")) == (200, b"one", None)
    assert client.ask(wire.head()).body == b"ok"


def test_a_switch_of_protocols_is_502(wire: Wire) -> None:
    go = threading.Event()
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a-thing/1\r\n\r\n"
    wire.upstream.plays([*REQUEST, send(switch), wait(go), send(b"\x81\x02hi")])
    client = wire.client(wire.head("GET", PATH, "Connection: upgrade", "Upgrade: a-thing/1"))
    response = client.response()
    go.set()
    is_ours(response, 502, "upstream_protocol_error")
    assert client.is_silent(0.1) or client.rest() == b""


def test_hop_by_hop_headers_of_a_response_are_dropped(wire: Wire) -> None:
    wire.upstream.responds(
        b"HTTP/1.1 207 Odd Reason!\r\nConnection: keep-alive, X-Secret\r\nX-Secret: s\r\nKeep-Alive: timeout=9\r\n"
        b"Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Gateway-Error-Source: me\r\nX-Tenant-Id: other\r\n"
        b"X-RateLimit-Limit-Requests: 9\r\nX-A: b\r\nContent-Length: 0\r\n\r\n"
    )
    got = wire.ask(wire.head())
    assert (got.status, got.reason, got.get("x-a")) == (207, "Odd Reason!", "b")
    for name in (
        "x-secret",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "connection",
        "x-gateway-error-source",
        "x-tenant-id",
        "x-ratelimit-limit-requests",
    ):
        assert got.get(name) is None
