"""Requests that could be read in two ways are rejected, the connection ends, and no byte is forwarded."""

import json

import pytest

from shared.core.errors import STATUS
from tests.conformance import differences, head_rows
from tests.conformance.differences import instead
from tests.conformance.head_rows import Row
from tests.conformance.wire import PATH, Wire, closes, heads_are_clean, is_ours
from tests.support.client import RawClient

ROWS = (*head_rows.HOSTS, *head_rows.LINES, *head_rows.FIELDS, *head_rows.FRAMING, *head_rows.CHUNKS)


def sent(wire: Wire, row: Row) -> RawClient:
    """A client that sent the row's bytes, and behind them a request that must never be read as one."""
    raw = row.raw.replace(b"HOST", wire.tenant.host.encode()).replace(b"KEY", wire.tenant.key.encode())
    return wire.client(raw + wire.head("GET", "/v1/smuggled"))


def is_rejected(client: RawClient, row: Row) -> None:
    response = client.response()
    assert response.status in {STATUS[code] for code in row.codes}, response
    code = json.loads(response.body)["error"]["code"]
    assert code in row.codes
    is_ours(response, STATUS[code])
    closes(client, response)


def is_forwarded(wire: Wire, client: RawClient) -> None:
    """It and the request behind it are served; the upstream got both in a form with one meaning."""
    assert [client.response().status, client.response().status] == [200, 200]
    assert [seen.target for seen in wire.upstream.received] == [PATH, "/v1/smuggled"]
    heads_are_clean(wire.upstream.received)
    wire.upstream.forget()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_malformed_request_is_rejected_before_any_hook(wire: Wire, row: Row) -> None:
    client = sent(wire, row)
    match instead(wire.engine, row.name):
        case None:
            is_rejected(client, row)
        case differences.TAKEN:
            is_forwarded(wire, client)
        case differences.CUT:
            assert client.rest() == b""
        case differences.WAITS:
            assert client.is_silent(0.3)
    wire.nothing_reached_the_upstream()


@pytest.mark.parametrize("row", head_rows.EITHER, ids=lambda row: row.name)
def test_lenient_request_line_is_rejected_or_forwarded_in_its_clean_form(wire: Wire, row: Row) -> None:
    client = sent(wire, row)
    if client.peek(12) == b"HTTP/1.1 200":
        is_forwarded(wire, client)
    else:
        is_rejected(client, row)
    wire.nothing_reached_the_upstream()
