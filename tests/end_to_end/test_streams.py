"""Event streams through the gateway: as they come, and never silently cut."""

import contextlib
import http.client
import json
import socket
import time

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def streaming(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", everlasting_upstream.url)
    tenant.create_rule("/buffered", everlasting_upstream.url, streams="buffer")
    return tenant


def first_event(port: int, path: str, headers: dict[str, str]) -> float:
    """Seconds from the request to the first event."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        start = time.perf_counter()
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        assert response.readline().startswith(b"data:")
        return time.perf_counter() - start


def test_events_come_one_by_one_and_within_30_ms_of_direct(
    streaming: TenantInUse, upstream: Upstream
) -> None:
    headers = {"Host": streaming.host, "Authorization": f"Bearer {streaming.key}"}
    direct = min(first_event(upstream.port, "/v1/stream", {}) for _ in range(5))
    through = min(first_event(streaming.gateway.proxy_port, "/v1/stream", headers) for _ in range(5))
    assert through - direct < 0.030


def test_every_event_arrives_in_order(streaming: TenantInUse, upstream: Upstream) -> None:
    response = streaming.request("GET", "/v1/stream", stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    arrived = [(time.monotonic(), line) for line in response.iter_lines() if line]
    assert [line for _, line in arrived] == [b'data: {"n": %d}' % n for n in range(4)]
    assert arrived[-1][0] - arrived[0][0] > 0.2


def test_a_buffered_stream_comes_whole(streaming: TenantInUse, upstream: Upstream) -> None:
    response = streaming.request("GET", "/buffered/stream")
    assert "transfer-encoding" not in response.headers
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.text.count("data:") == 4


def test_a_client_that_goes_away_closes_the_upstream(streaming: TenantInUse, upstream: Upstream) -> None:
    response = streaming.request("GET", "/v1/endless", stream=True)
    next(response.iter_content(1))
    response.close()
    assert upstream.received[0].peer.ended.wait(1.0)


def test_a_stream_that_breaks_off_ends_with_an_error_event(
    streaming: TenantInUse, upstream: Upstream
) -> None:
    """It stays visibly incomplete too: the last chunk never comes."""
    with socket.create_connection(("127.0.0.1", streaming.gateway.proxy_port), timeout=5) as client:
        head = f"GET /v1/cut HTTP/1.1\r\nHost: {streaming.host}\r\nx-api-key: {streaming.key}\r\n\r\n"
        client.sendall(head.encode())
        received = b"".join(iter(lambda: client.recv(65536), b""))
    last = received.rpartition(b"data: ")[2].partition(b"\n")[0]
    assert json.loads(last)["error"]["code"] == "upstream_protocol_error"
    assert not received.endswith(b"0\r\n\r\n")
