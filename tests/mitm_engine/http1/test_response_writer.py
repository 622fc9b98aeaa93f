"""A response of addons is what a strict client reads, or it is visibly cut."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from mitm_engine.http1.request_reader import Incoming
from mitm_engine.http1.response_writer import ResponseWriter
from mitm_engine.wire_error import WireError
from tests.mitm_engine.http1.wire_bytes import FIELDS, PIECES
from tests.support.client import Response, take_response


@dataclass
class Client:
    """Takes what is written."""

    is_last: bool = False
    data: bytes = b""
    aborted: bool = False
    writes: list[bytes] = field(default_factory=list)

    def write(self, data: bytes, *, at_once: bool = False) -> None:
        self.data += data
        self.writes.append(data)

    def abort(self) -> None:
        self.aborted = True


async def give(writer: ResponseWriter, piece: bytes, waits: Callable[[], None]) -> None:
    """Hand over a piece of the body; `waits` is called when an addon takes its time."""
    if (addon := writer.piece(piece)) is not None:
        waits()
        await addon


def asked(method: str = "GET", version: str = "HTTP/1.1", *, complete: bool = True) -> Incoming:
    incoming = Incoming()
    incoming.method, incoming.version = method.encode(), version.encode()
    incoming.complete, incoming.keep_alive = complete, True
    return incoming


def make_response(status: int = 200, body: bytes = b"", *fields: tuple[bytes, bytes]) -> http.Response:
    made = http.Response.make(status, b"")
    made.data.content = body
    made.data.headers = http.Headers(fields)
    return made


def written(client: Client, method: str = "GET") -> Response:
    """The only response that the client got."""
    taken = take_response(client.data, method, ended=True)
    assert taken is not None
    response, rest = taken
    assert rest == b""
    return response


def never() -> None:
    raise AssertionError("No addon should wait.")


async def stream(writer: ResponseWriter, made: http.Response, pieces: list[bytes]) -> None:
    """As an exchange does it."""
    writer.begin(made)
    for piece in pieces:
        await give(writer, piece, never)
        writer.flush()
    await give(writer, b"", never)
    writer.end()


METHODS = st.sampled_from(["GET", "HEAD", "POST"])
VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/1.0"])
STATUSES = st.sampled_from([200, 201, 204, 301, 304, 404, 429, 503, 599])
FRAMED = st.sampled_from(["length", "chunked", "nothing", "both"])


def framing(kind: str, length: int) -> list[tuple[bytes, bytes]]:
    sized, coded = (b"content-length", b"%d" % length), (b"Transfer-Encoding", b"chunked")
    return {"length": [sized], "chunked": [coded], "nothing": [], "both": [sized, coded]}[kind]


def plain(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    ours = (b"content-length", b"transfer-encoding", b"connection")
    return [pair for pair in fields if pair[0].lower() not in ours]


@given(METHODS, VERSIONS, STATUSES, FIELDS, st.binary(max_size=100), FRAMED)
def test_a_whole_response_is_written_as_a_strict_client_reads_it(
    method: str, version: str, status: int, fields: list[tuple[bytes, bytes]], body: bytes, kind: str
) -> None:
    client, made = Client(), make_response(status, body, *fields, *framing(kind, len(body)))
    writer = ResponseWriter(client, asked(method, version))  # type: ignore[arg-type]
    writer.whole(made)
    response = written(client, method)
    assert response.status == status
    assert plain(response.fields) == fields
    assert response.body == (b"" if method == "HEAD" or status in (204, 304) else body)
    assert writer.keeps
    assert response.get("connection") == ("keep-alive" if version == "HTTP/1.0" else None)


_STREAMS: dict[str, Callable[[bytes], Any]] = {
    "upper": lambda piece: piece.upper(),
    "twice": lambda piece: [piece, piece],
    "nothing": lambda piece: b"",
    "at the end": lambda piece: b"" if piece else b"end",
}


async def _slowly(piece: bytes) -> bytes:
    await asyncio.sleep(0)
    return piece.upper()


@given(METHODS, VERSIONS, STATUSES, FIELDS, PIECES, FRAMED)
def test_a_streamed_response_is_written_as_a_strict_client_reads_it(
    method: str, version: str, status: int, fields: list[tuple[bytes, bytes]], pieces: list[bytes], kind: str
) -> None:
    body, client = b"".join(pieces), Client()
    made = make_response(status, b"", *fields, *framing(kind, len(body)))
    made.stream = True
    writer = ResponseWriter(client, asked(method, version))  # type: ignore[arg-type]
    asyncio.run(stream(writer, made, pieces))
    response = written(client, method)
    empty = method == "HEAD" or status in (204, 304)
    assert (response.status, plain(response.fields)) == (status, fields)
    assert response.body == (b"" if empty else body)
    if not empty:
        unsized = "chunked" if version == "HTTP/1.1" else "closed"
        assert response.framing == ("sized" if kind == "length" else unsized)
        assert writer.keeps is (response.framing != "closed")
    assert response.closes is not writer.keeps


@given(st.sampled_from(sorted(_STREAMS)), VERSIONS, PIECES)
def test_the_results_of_a_stream_function_are_sent(name: str, version: str, pieces: list[bytes]) -> None:
    client, made, function = Client(), make_response(), _STREAMS[name]
    made.stream = function
    writer = ResponseWriter(client, asked(version=version))  # type: ignore[arg-type]
    asyncio.run(stream(writer, made, pieces))
    results = [function(piece) for piece in [*pieces, b""]]
    meant = b"".join(one if isinstance(one, bytes) else b"".join(one) for one in results)
    assert written(client).body == meant


async def test_a_stream_function_may_be_a_coroutine() -> None:
    client, made, waits = Client(), make_response(), []
    made.stream = _slowly  # type: ignore[assignment]
    writer = ResponseWriter(client, asked())  # type: ignore[arg-type]
    writer.begin(made)
    for piece in (b"a", b"b", b""):
        await give(writer, piece, lambda: waits.append(1))
    writer.end()
    assert written(client).body == b"AB"
    assert len(waits) == 3


@pytest.mark.parametrize(
    "function", [lambda piece: 1 / 0, lambda piece: None, lambda piece: "text", lambda piece: [1]]
)
def test_a_stream_function_that_fails_is_a_plugin_failure(function: Callable[[bytes], Any]) -> None:
    made = make_response()
    made.stream = function
    writer = ResponseWriter(Client(), asked())  # type: ignore[arg-type]
    writer.begin(made)
    with pytest.raises(WireError) as error:
        asyncio.run(give(writer, b"a", never))
    assert error.value.code == "plugin_failure"


@pytest.mark.parametrize("body", [[b"ab"], [b"a", b"bcd"], [b"abcd"], []])
def test_a_body_with_a_wrong_length_never_looks_complete(body: list[bytes]) -> None:
    client, made = Client(), make_response(200, b"", (b"Content-Length", b"3"))
    made.stream = True
    with pytest.raises(WireError):
        asyncio.run(stream(ResponseWriter(client, asked()), made, body))  # type: ignore[arg-type]
    assert take_response(client.data) is None


@pytest.mark.parametrize("size", [3, 70_000, 200_000])
@pytest.mark.parametrize("kind", ["length", "chunked", "nothing"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
async def test_a_response_without_its_end_never_looks_complete(size: int, kind: str, version: str) -> None:
    client, made = Client(), make_response(200, b"", *framing(kind, size))
    made.stream = True
    writer = ResponseWriter(client, asked(version=version))  # type: ignore[arg-type]
    writer.begin(made)
    for start in range(0, size, 65_536):
        await give(writer, bytes(min(65_536, size - start)), never)
        writer.flush()
    await give(writer, b"", never)
    writer.flush()
    writer.break_off()
    assert client.aborted or take_response(client.data, ended=True) is None
    assert not writer.keeps


@pytest.mark.parametrize("status", [0, 99, 100, 101, 103, 199, 600, 999, 1000])
def test_a_status_that_is_not_final_is_an_error(status: int) -> None:
    for begin in ("whole", "begin"):
        client = Client()
        writer = ResponseWriter(client, asked())  # type: ignore[arg-type]
        with pytest.raises(WireError):
            getattr(writer, begin)(make_response(status))
        assert client.data == b""
        assert not writer.has_begun


@pytest.mark.parametrize("bad", [b"a\r\nX: b", b"a\nb", b"a\rb", b"a\0b"])
def test_an_addon_cannot_split_a_response(bad: bytes) -> None:
    for made in (make_response(200, b"", (b"X", bad)), make_response(200, b"", (bad, b"x"))):
        with pytest.raises(WireError):
            ResponseWriter(Client(), asked()).whole(made)  # type: ignore[arg-type]
    made = make_response()
    made.data.reason = bad
    with pytest.raises(WireError):
        ResponseWriter(Client(), asked()).whole(made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("incoming", "client", "fields"),
    [
        (asked(complete=False), Client(), ()),
        (asked(), Client(is_last=True), ()),
        (asked(), Client(), ((b"Connection", b"close"),)),
        (asked(), Client(), ((b"connection", b"Keep-Alive, Close"),)),
    ],
)
def test_a_connection_ends_after_a_response_that_announces_it(
    incoming: Incoming, client: Client, fields: tuple[tuple[bytes, bytes], ...]
) -> None:
    writer = ResponseWriter(client, incoming)  # type: ignore[arg-type]
    writer.whole(make_response(200, b"x", *fields))
    assert not writer.keeps
    assert written(client).all("connection") == ["close"]


def test_a_small_response_is_one_write_and_a_large_body_is_not_copied() -> None:
    client, large = Client(), bytes(100_000)
    ResponseWriter(client, asked()).whole(make_response(200, b"abc"))  # type: ignore[arg-type]
    ResponseWriter(client, asked()).whole(make_response(200, large))  # type: ignore[arg-type]
    assert len(client.writes) == 3
    assert client.writes[2] is large


async def test_pieces_that_come_together_are_one_write() -> None:
    client, made = Client(), make_response()
    made.stream = True
    writer = ResponseWriter(client, asked())  # type: ignore[arg-type]
    writer.begin(made)
    for piece in (b"a", b"b", b"c"):
        await give(writer, piece, never)
    writer.flush()
    assert len(client.writes) == 1
    assert made.headers["transfer-encoding"] == "chunked"
