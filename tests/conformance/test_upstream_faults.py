"""What a broken upstream does is told to the client; half an answer never looks like a whole one."""

import time

import pytest

from tests.conformance.differences import instead
from tests.conformance.fault_rows import CUTS, FAULTS, Cut, Fault
from tests.conformance.wire import Wire, is_ours
from tests.support.client import Ended
from tests.support.upstream import REQUEST, close, send


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_an_answer_that_cannot_be_trusted_is_502(wire: Wire, fault: Fault) -> None:
    wire.upstream.plays([*REQUEST, *fault.actions])
    client = wire.client()
    client.send(wire.head())
    if instead(wire.engine, fault.name):
        # Not every such answer can be read strictly.
        assert client.reading.exactly(10) in (b"HTTP/1.1 2", b"HTTP/1.1 6")
    else:
        is_ours(client.response(), 502, "upstream_protocol_error")
    # The connection to that upstream is not used again.
    assert wire.ask(wire.head()).body == b"ok"


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.name)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_half_a_body_is_visibly_cut(wire: Wire, cut: Cut, version: str) -> None:
    """By a length that is not reached, a last chunk that is missing, or a reset."""
    wire.upstream.plays([*REQUEST, send(cut.head, cut.body), *cut.end])
    client = wire.client()
    client.send(wire.head(version=version))
    row = cut.name if version == "1.1" else f"{cut.name}, for HTTP/1.0"
    try:
        got = client.response()
    except Ended as end:
        assert end.how == "reset"
    else:
        if got.status == 502:
            is_ours(got, 502, "upstream_protocol_error")
        else:
            # A reader of lines is told how they ended, by one more of them.
            came, told, _ = got.body.partition(b'\n{"error":')
            assert cut.whole.startswith(came)
            assert bool(told) == (b"x-ndjson" in cut.head)
            assert (got.cut is None) == bool(instead(wire.engine, row)), got
    assert wire.ask(wire.head()).body == b"ok"


def test_a_body_that_is_longer_than_its_length_ends_there(wire: Wire) -> None:
    wire.upstream.plays([*REQUEST, send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nonetwo"), close])
    got = wire.ask(wire.head())
    assert (got.status, got.body, got.cut) == (200, b"one", None)
    assert wire.ask(wire.head()).body == b"ok"


def test_chunks_in_http_1_0_end_the_connection(wire: Wire) -> None:
    """Such framing is faulty (RFC 9112, 6.1): the answer may be read, the connection must not serve again."""
    raw = (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    wire.upstream.plays([*REQUEST, send(raw)])
    client = wire.client()
    client.send(wire.head())
    got = client.response()
    assert (got.status, got.body) == (200, b"ok") or got.status == 502
    assert wire.ask(wire.head()).body == b"ok"
    assert len(wire.upstream.peers) == 2


def test_an_upstream_that_is_not_there_is_502_within_100_ms(wire: Wire) -> None:
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        is_ours(wire.ask(wire.head("GET", "/refusing")), 502, "upstream_unreachable")
        taken.append(time.perf_counter() - start)
    # The best of five: a busy machine is not the gateway's doing.
    assert min(taken) < 0.1, taken
