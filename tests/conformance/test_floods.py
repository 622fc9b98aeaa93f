"""Input without an end is cut off at a bound, on both sides."""

import pytest
from _pytest.mark import ParameterSet

from tests.conformance.differences import instead
from tests.conformance.wire import HELD, Wire, is_ours
from tests.support.upstream import CHUNKED, OK, REQUEST, hang, send

MUCH = 2_000_000  # bytes; far above every bound outside of bodies
PIECES = 500
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def named(*rows: tuple[str, bytes, bytes]) -> list[ParameterSet]:
    """A name that says what has no end, what it begins with, and what comes over and over."""
    return [pytest.param(*row, id=row[0]) for row in rows]


def patience(wire: Wire, row: str) -> float:
    """Seconds to wait for the end of the connection; 0.3 where it does not come."""
    return 0.3 if instead(wire.engine, row) else 5.0


def is_cut_off(wire: Wire, row: str, begun: bytes, more: bytes) -> bool:
    client = wire.client(begun)
    for _ in range(PIECES):
        client.send(more * (MUCH // PIECES // len(more)))
        if not client.is_silent(0):
            return True
    return not client.is_silent(patience(wire, row))


@pytest.mark.parametrize(
    ("row", "begun", "more"),
    named(
        ("empty lines without an end", b"", b"\r\n"),
        ("a method without an end", b"", b"G"),
        ("a chunk extension without an end", b"5;", b"a"),
        ("a chunk size without an end", b"", b"0"),
        ("trailers without an end", b"0\r\n", b"X-A: b\r\n"),
        ("one trailer without an end", b"0\r\nX-A: ", b"b"),
    ),
)
def test_a_request_without_an_end_is_cut_off(wire: Wire, row: str, begun: bytes, more: bytes) -> None:
    if "chunk" in row or "trailer" in row:
        begun = wire.head("POST", HELD, "Transfer-Encoding: chunked") + begun
    assert is_cut_off(wire, row, begun, more) == (instead(wire.engine, row) is None)
    wire.nothing_reached_the_upstream()


@pytest.mark.parametrize(
    ("row", "begun", "more"),
    named(
        ("a head of a response without an end", b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        ("one field of a response without an end", b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
        ("a status line without an end", b"HTTP/1.1 200 ", b"b"),
        ("a chunk extension of a response without an end", CHUNKED + b"2\r\nok\r\n2;", b"a"),
        ("trailers of a response without an end", CHUNKED + b"2\r\nok\r\n0\r\n", b"X-A: b\r\n"),
        ("one trailer of a response without an end", CHUNKED + b"2\r\nok\r\n0\r\nX-A: ", b"b"),
    ),
)
def test_a_response_without_an_end_is_cut_off(wire: Wire, row: str, begun: bytes, more: bytes) -> None:
    flood = [send(more * (MUCH // PIECES // len(more)))] * PIECES
    wire.upstream.plays([*REQUEST, send(begun), *flood, hang])
    client = wire.client(wire.head())
    wire.upstream.await_requests(1)
    cut_off = wire.upstream.peers[0].ended.wait(patience(wire, row))
    assert cut_off == (instead(wire.engine, row) is None)
    wire.upstream.forget()
    response = client.response()
    if begun.startswith(CHUNKED):
        assert (response.status, response.body) == (200, b"ok")
    else:
        is_ours(response, 502, "upstream_protocol_error")
    assert wire.ask(wire.head()).body == b"ok"


def test_interim_responses_without_an_end_are_502(wire: Wire) -> None:
    wire.upstream.plays([*REQUEST, *[send(EARLY * (MUCH // PIECES // len(EARLY)))] * PIECES, hang])
    is_ours(wire.ask(wire.head()), 502, "upstream_protocol_error")
    wire.upstream.forget()
    assert wire.ask(wire.head()).body == b"ok"


def test_many_small_interim_responses_are_dropped_or_rejected(wire: Wire) -> None:
    wire.upstream.plays([*REQUEST, send(EARLY * 20 + OK)])
    response = wire.ask(wire.head())
    assert response.status == (502 if instead(wire.engine, "interim responses of an upstream") else 200)
