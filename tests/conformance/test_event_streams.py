"""Streams pass event by event: at once, whole, in order, each event once."""

import json
import statistics
import threading
import time

import pytest

from tests.conformance.wire import PATH, Wire
from tests.support.client import RawClient
from tests.support.upstream import REQUEST, STREAM, Action, chunk, close, reset, send, wait

LINES = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
LAST = b"0\r\n\r\n"


def events(count: int, end: bytes) -> list[bytes]:
    return [b"id: %d" % n + end + b"data: " + b"x" * (n * 37 % 400) + end + end for n in range(count)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 7, 100, 5000], ids=lambda size: f"chunks of {size}")
def test_a_stream_arrives_byte_for_byte(wire: Wire, end: bytes, size: int) -> None:
    """However the upstream's chunks lie across the events."""
    whole = b"".join(events(60 if size > 1 else 10, end))
    chunks = [chunk(whole[place : place + size]) for place in range(0, len(whole), size)]
    half = len(chunks) // 2
    wire.upstream.responds(STREAM + b"".join(chunks[:half]), b"".join(chunks[half:]) + LAST)
    got = wire.ask(wire.head())
    assert (got.body, got.cut, got.get("content-type")) == (whole, None, "text/event-stream")


def read_until(client: RawClient, wanted: bytes) -> bytes:
    taken = b""
    while len(taken) < len(wanted):
        taken += client.chunk()
    return taken


@pytest.mark.parametrize(
    "head",
    [STREAM, LINES, STREAM.replace(b"text/event-stream", b"text/plain")],
    ids=["SSE", "NDJSON", "text"],
)
def test_an_event_arrives_before_the_next_is_sent(wire: Wire, head: bytes) -> None:
    """The upstream sends an event only when the client has the one before it."""
    gates = [threading.Event() for _ in range(20)]
    sent = events(21, b"\n")
    steps: list[Action] = [send(head + chunk(sent[0]))]
    for gate, event in zip(gates, sent[1:], strict=True):
        steps += [wait(gate), send(chunk(event))]
    wire.upstream.plays([*REQUEST, *steps, send(LAST)])
    client = wire.client(wire.head())
    assert client.head().status == 200
    for event, gate in zip(sent, [*gates, None], strict=True):
        assert read_until(client, event) == event
        if gate:
            gate.set()
    assert client.chunk() == b""


def test_the_head_of_a_stream_arrives_before_its_first_event(wire: Wire) -> None:
    go = threading.Event()
    wire.upstream.plays([*REQUEST, send(STREAM), wait(go), send(LAST)])
    client = wire.client(wire.head())
    assert client.head().status == 200
    go.set()
    assert client.chunk() == b""


def test_an_event_of_many_packets_is_whole(wire: Wire) -> None:
    event = b"data: " + b"y" * 300_000 + b"\n\n"
    raw = STREAM + chunk(event) + LAST
    wire.upstream.responds(*(raw[place : place + 30_000] for place in range(0, len(raw), 30_000)))
    assert wire.ask(wire.head()).body == event


def test_a_stream_without_chunks_arrives_event_by_event(wire: Wire) -> None:
    go = threading.Event()
    first, second = events(2, b"\n")
    wire.upstream.plays([*REQUEST, send(CLOSED + first), wait(go), send(second), close])
    client = wire.client(wire.head())
    head = client.head()

    def read(wanted: bytes) -> bytes:
        return (
            read_until(client, wanted) if head.framing == "chunked" else client.reading.exactly(len(wanted))
        )

    assert read(first) == first
    go.set()
    assert read(second) == second
    assert (client.chunk() if head.framing == "chunked" else client.rest()) == b""


def test_two_streams_at_once_do_not_mix(wire: Wire) -> None:
    go = threading.Event()
    for letter in (b"a", b"b"):
        wire.upstream.plays(
            [*REQUEST, send(STREAM + chunk(b"data: " + letter + b"\n\n")), wait(go), send(LAST)]
        )
    clients = [wire.client(), wire.client()]
    for number, client in enumerate(clients):
        client.send(wire.head())
        wire.upstream.await_requests(number + 1)
    heads = [client.head().status for client in clients]
    assert heads == [200, 200]
    assert [client.chunk() for client in clients] == [b"data: a\n\n", b"data: b\n\n"]
    go.set()
    assert [client.chunk() for client in clients] == [b"", b""]


@pytest.mark.parametrize("end", [close, reset], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("sent", "begun"),
    [
        pytest.param(b"data: 1\n\n", b"data: 1\n\n", id="between events"),
        pytest.param(b"data: 1\n\ndata: 2", b"data: 1\n\ndata: 2\n\n", id="within an event"),
    ],
)
def test_a_stream_that_breaks_off_ends_with_one_error_event(
    wire: Wire, end: Action, sent: bytes, begun: bytes
) -> None:
    go = threading.Event()
    wire.upstream.plays([*REQUEST, send(STREAM + chunk(sent)), wait(go), end])
    client = wire.client(wire.head())
    assert client.head().status == 200
    assert client.chunk() == sent
    go.set()
    rest = client.rest()
    events_behind = (sent + b"".join(_chunks(rest)))[len(begun) :]
    assert events_behind.startswith(b"data: {")
    assert events_behind.count(b"data: ") == 1
    assert events_behind.endswith(b"\n\n")
    error = json.loads(events_behind.removeprefix(b"data: "))
    assert error["error"]["code"] == "upstream_protocol_error"
    # Without the last chunk: a reader that counts on the framing sees the cut as well.
    assert not rest.endswith(LAST)


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/v1/chat/completions", b"data: [DONE]\n\n"),
        ("/v1/messages", b'event: message_stop\ndata: {"type":"message_stop"        }\n\n'),
        (
            "/v1/responses",
            b'event: response.completed\ndata: {"type":"response.completed","response":{"output":[]},'
            b'"sequence_number":9}\n\n',
        ),
    ],
)
def test_nothing_follows_the_last_event_of_a_stream_whose_body_is_cut_behind_it(
    wire: Wire, path: str, last: bytes
) -> None:
    go = threading.Event()
    wire.upstream.plays([*REQUEST, send(STREAM + chunk(b"data: {}\n\n" + last)), wait(go), close])
    client = wire.client(wire.head("POST", PATH + path, "Content-Length: 0"))
    assert client.head().status == 200
    assert client.chunk() == b"data: {}\n\n" + last
    go.set()
    assert client.rest() == b""


def _chunks(raw: bytes) -> list[bytes]:
    found = []
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        found.append(raw[: int(size, 16)])
        raw = raw[int(size, 16) + 2 :]
    return found


@pytest.mark.alone
@pytest.mark.slow
def test_a_first_event_is_delayed_by_at_most_10_ms(wire: Wire) -> None:
    """Against the same upstream without the gateway (reliability.md R23); the median of 50."""

    def seconds(port: int) -> float:
        wire.upstream.responds(STREAM + chunk(b"data: 1\n\n") + LAST)
        with RawClient(port) as client:
            start = time.perf_counter()
            client.send(wire.head("GET", PATH))
            client.head()
            client.chunk()
            return time.perf_counter() - start

    direct = statistics.median(seconds(wire.upstream.port) for _ in range(50))
    through = statistics.median(seconds(wire.gateway.proxy_port) for _ in range(50))
    print(f"{wire.engine}: {(through - direct) * 1000:.2f} ms added to the first event")
    assert through - direct < 0.010
