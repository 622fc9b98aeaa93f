"""Faults of an upstream are errors for the client; half a response never looks like a whole one."""

import time

import pytest

from tests.conformance.differences import instead
from tests.conformance.fault_rows import CUTS, FAULTS, Cut, Fault
from tests.conformance.wire import Wire, is_ours
from tests.support.client import Ended
from tests.support.upstream import REQUEST, close, send, sized


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_malformed_response_is_502(wire: Wire, fault: Fault) -> None:
    wire.upstream.plays([*REQUEST, *fault.actions])
    client = wire.client(wire.head())
    if instead(wire.engine, fault.name):
        # Not every such response can be read strictly.
        assert client.reading.exactly(10) in (b"HTTP/1.1 2", b"HTTP/1.1 6")
    else:
        is_ours(client.response(), 502, "upstream_protocol_error")
    # The connection to that upstream is not used again.
    assert wire.ask(wire.head()).body == b"ok"


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.name)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_cut_body_never_looks_complete(wire: Wire, cut: Cut, version: str) -> None:
    """By a length that is not reached, a last chunk that is missing, or a reset."""
    wire.upstream.plays([*REQUEST, send(cut.head, cut.body), *cut.end])
    client = wire.client(wire.head(version=version))
    row = cut.name if version == "1.1" else f"{cut.name}, for HTTP/1.0"
    try:
        got = client.response()
    except Ended as end:
        assert end.how == "reset"
    else:
        if got.status == 502:
            is_ours(got, 502, "upstream_protocol_error")
        else:
            # A reader of lines gets one more line, with the error.
            came, error, _ = got.body.partition(b'\n{"error":')
            assert cut.whole.startswith(came)
            assert bool(error) == (b"x-ndjson" in cut.head)
            assert (got.cut is None) == bool(instead(wire.engine, row)), got
    assert wire.ask(wire.head()).body == b"ok"


def test_a_body_that_is_longer_than_its_length_ends_there(wire: Wire) -> None:
    wire.upstream.plays([*REQUEST, send(sized(b"one") + b"two"), close])
    got = wire.ask(wire.head())
    assert (got.status, got.body, got.cut) == (200, b"one", None)
    assert wire.ask(wire.head()).body == b"ok"


def test_chunks_in_http_1_0_end_the_connection(wire: Wire) -> None:
    """Such framing is faulty (RFC 9112, 6.1): the response may be read, the connection must not serve again."""
    head = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.upstream.responds(head + b"2\r\nok\r\n0\r\n\r\n")
    got = wire.ask(wire.head())
    assert (got.status, got.body) == (200, b"ok") or got.status == 502
    assert wire.ask(wire.head()).body == b"ok"
    assert len(wire.upstream.peers) == 2


def test_an_unreachable_upstream_is_502_within_100_ms(wire: Wire) -> None:
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        is_ours(wire.ask(wire.head("GET", "/unreachable")), 502, "upstream_unreachable")
        taken.append(time.perf_counter() - start)
    # The best of five: a busy machine is not the gateway's fault.
    assert min(taken) < 0.1, taken
