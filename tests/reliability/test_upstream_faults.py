"""R22: whatever an upstream does, the client is told soon, and never told a lie."""

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator

import pytest

from tests.reliability.figures import figure
from tests.reliability.steadiness import steady
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import OK, Peer, Received, Upstream, hang

pytestmark = [pytest.mark.slow, pytest.mark.alone]

CONNECT, FIRST_BYTE = 1.0, 1.5  # seconds
SWEEP = 0.5  # seconds; how late a deadline may be noticed, and what a busy machine adds


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    settings = {
        "GATEWAY__LIMITS__TIMEOUTS__CONNECT": f"{CONNECT}s",
        "GATEWAY__LIMITS__TIMEOUTS__FIRST_BYTE": f"{FIRST_BYTE}s",
    }
    with RunningGateway(tmp_path_factory.mktemp("faults") / "data", settings) as running:
        yield running


@pytest.fixture
def tenant(gateway: RunningGateway) -> Iterator[TenantInUse]:
    made = gateway.create_tenant()
    made.create_rule("/warm", "http://127.0.0.1:1")
    made.request("GET", "/warm/x")
    with steady(gateway):
        yield made


def timed(tenant: TenantInUse, path: str, method: str = "GET") -> tuple[int, str, float]:
    """Status, code and seconds of one call."""
    start = time.perf_counter()
    response = tenant.request(method, path)
    return response.status_code, response.json()["error"]["code"], time.perf_counter() - start


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that answers no SYN: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_refused_connection_is_502_within_100_ms(tenant: TenantInUse) -> None:
    tenant.create_rule("/v1", "http://127.0.0.1:1")
    told = [timed(tenant, "/v1/x") for _ in range(20)]
    assert {(status, code) for status, code, _ in told} == {(502, "upstream_unreachable")}
    typical = statistics.median(seconds for *_, seconds in told)
    figure("R22", f"refused connection: 502 in {typical * 1000:.1f} ms (promise 100)")
    assert typical < 0.1


def test_a_black_hole_is_504_at_the_connect_timeout(tenant: TenantInUse, black_hole: int) -> None:
    tenant.create_rule("/v1", f"http://127.0.0.1:{black_hole}")
    status, code, seconds = timed(tenant, "/v1/x")
    figure("R22", f"black hole: {status} in {seconds:.2f} s (connect timeout {CONNECT})")
    assert (status, code) == (504, "upstream_timeout")
    assert CONNECT <= seconds < CONNECT + SWEEP


def test_a_silent_upstream_is_504_at_its_timeout(tenant: TenantInUse) -> None:
    with Upstream(hang) as silent:
        tenant.create_rule("/v1", silent.url)
        status, code, seconds = timed(tenant, "/v1/x")
    figure("R22", f"silent upstream: {status} in {seconds:.2f} s (first byte timeout {FIRST_BYTE})")
    assert (status, code) == (504, "upstream_timeout")
    assert FIRST_BYTE <= seconds < FIRST_BYTE + SWEEP


@pytest.mark.parametrize("kind", ["half", "cut"])
def test_a_cut_body_is_a_cut_connection(tenant: TenantInUse, kind: str) -> None:
    """By length or in chunks: never a body that looks complete."""
    with Upstream() as upstream:
        tenant.create_rule("/v1", upstream.url)
        with socket.create_connection(("127.0.0.1", tenant.gateway.proxy_port), timeout=5) as client:
            head = f"GET /v1/{kind} HTTP/1.1\r\nHost: {tenant.host}\r\nx-api-key: {tenant.key}\r\n\r\n"
            client.sendall(head.encode())
            received = b"".join(iter(lambda: client.recv(65536), b""))
    body = received.partition(b"\r\n\r\n")[2]
    complete = body.endswith(b"0\r\n\r\n") if kind == "cut" else len(body) == 100
    figure("R22", f"body cut ({kind}): {'LOOKS COMPLETE' if complete else 'visibly incomplete'}")
    assert received.startswith(b"HTTP/1.1 200")
    assert not complete


def test_an_old_client_sees_that_a_body_was_cut(tenant: TenantInUse) -> None:
    """Under HTTP/1.0 the end of the connection is that of the body, so it must be no proper end."""
    with Upstream() as upstream:
        tenant.create_rule("/v1", upstream.url)
        with socket.create_connection(("127.0.0.1", tenant.gateway.proxy_port), timeout=5) as client:
            head = f"GET /v1/cut HTTP/1.0\r\nHost: {tenant.host}\r\nx-api-key: {tenant.key}\r\n\r\n"
            client.sendall(head.encode())
            with pytest.raises(ConnectionResetError):
                b"".join(iter(lambda: client.recv(65536), b""))


def test_a_post_that_was_sent_is_never_repeated(tenant: TenantInUse) -> None:
    """The upstream answers once, then reads each next request and closes: also on a reused connection."""
    posts: list[Received] = []

    async def respond_once(peer: Peer) -> None:
        if (await peer.request()).method == "GET":
            await peer.write(OK)
            posts.append(await peer.request())

    with Upstream(respond_once) as upstream:
        tenant.create_rule("/v1", upstream.url)
        for number in range(1, 21):
            assert tenant.request("GET", "/v1/x").status_code == 200
            response = tenant.request("POST", "/v1/x", json={"number": number})
            assert (response.status_code, response.json()["error"]["code"]) == (
                502,
                "upstream_protocol_error",
            )
            assert [post.method for post in posts] == ["POST"] * number
    figure("R22", "POST whose reused connection died: 20 calls, 20 seen by the upstream")
