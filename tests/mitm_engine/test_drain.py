"""The end of a worker, as the clients see it that are connected to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mitmproxy import http

from mitm_engine import engine
from mitm_engine.options import Options, Terms
from tests.mitm_engine.world import On, Streaming, World, gated, world
from tests.support.certificates import Authority
from tests.support.client import request, tls_client
from tests.support.upstream import CHUNKED, chunk, sized
from tests.support.wait import until_true

LONG = 20.0  # seconds of a drain that nothing may wait for


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """The certificate and its key."""
    authority = Authority(tmp_path)
    authority.server_context("localhost")
    return authority.folder / "localhost.pem"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that drains waits only for a moment for a last request."""
    monkeypatch.setattr(engine, "LAST_REQUEST", 0.05)


def silent(port: int) -> ssl.SSLSocket:
    """A client with TLS that has had one response and does nothing more."""
    client = tls_client(port)
    client.sendall(request())
    seen = b""
    while not seen.endswith(b"ok"):
        seen += client.recv(65536)
    return client


@contextlib.asynccontextmanager
async def draining(w: World, *, is_replaced: bool = False) -> AsyncIterator["asyncio.Task[None]"]:
    """A drain that has begun; at the end of the block it ends, long before its timeout."""
    task = asyncio.ensure_future(w.engine.drain(is_replaced=is_replaced))
    await until_true(lambda: w.engine.is_draining)
    yield task
    await asyncio.wait_for(task, 5)
    assert w.engine.connections == 0


async def test_drain_closes_an_idle_tls_connection_without_waiting_for_its_client(pair: Path) -> None:
    async with world(options=Options(tls=(pair, pair), drain_timeout=LONG)) as w:
        client = await asyncio.to_thread(silent, w.port)
        async with draining(w):
            pass
        with client:
            assert client.recv(1) == b""  # the end was announced as TLS does it; else this raises
        assert not w.engine.metrics.closed


async def test_drain_does_not_wait_for_a_client_that_sends_no_handshake(pair: Path) -> None:
    async with world(options=Options(tls=(pair, pair), drain_timeout=LONG)) as w:
        client = await w.client()
        await until_true(lambda: w.engine.connections == 1)
        async with draining(w):
            await client.ended()


async def test_request_that_follows_a_response_begun_before_the_drain_is_served() -> None:
    """Its head promised to keep the connection, and the client takes the promise at once."""
    go = asyncio.Event()
    head = CHUNKED + chunk(b"first")
    async with world(
        Streaming(),
        script=gated(go, head, chunk(b"last") + b"0\r\n\r\n"),
        options=Options(drain_timeout=LONG),
    ) as w:
        client = await w.client(request())
        await client.until(chunk(b"first"))
        async with draining(w):
            go.set()
            await client.until(b"0\r\n\r\n")
            second = await client.ask()
            assert second.status in (200, 502)  # the script has only one response
            assert second.closes
            assert await client.ended() == b""


async def test_requests_that_were_sent_together_are_all_served_during_a_drain() -> None:
    go = asyncio.Event()
    async with world(script=gated(go, b"", sized()), options=Options(drain_timeout=LONG)) as w:
        client = await w.client(request("/1") + request("/2") + request("/3")[:20])
        await w.recorder.saw("server_connected")
        async with draining(w):
            go.set()
            first = await client.response()
            second = await client.response()
            await client.send(request("/3")[20:])
            third = await client.response()
            assert [one.closes for one in (first, second, third)] == [False, False, True]
            assert await client.ended() == b""
        assert [flow.request.path for flow in w.recorder.flows] == ["/1", "/2", "/3"]


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "during"])
async def test_drain_does_not_wait_for_the_rest_of_a_body_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """Its request has its response, before the drain or during it."""
    for module in ("closing", "client_connection", "exchange.exchange"):
        monkeypatch.setattr(f"mitm_engine.{module}.LINGER", 0.1)
    go = asyncio.Event()

    async def reject(flow: http.HTTPFlow) -> None:
        await go.wait()
        flow.response = http.Response.make(401, b"no")

    options = Options(drain_timeout=LONG, min_rate=100)
    async with world(On(requestheaders=reject), options=options, terms=Terms(linger=60.0)) as w:
        client = await w.client(request("/", "POST", b"", "Content-Length: 500000000"))

        async def upload() -> None:
            with contextlib.suppress(OSError):
                while True:
                    await client.send(bytes(2000))
                    await asyncio.sleep(0.01)

        uploading = asyncio.ensure_future(upload())
        await until_true(lambda: w.engine.metrics.in_flight == 1)
        if not is_late:
            go.set()
            assert (await client.response()).status == 401
        async with draining(w):
            if is_late:
                go.set()
                assert (await client.response()).status == 401
        uploading.cancel()


async def next_round(w: World) -> None:
    """Wait until the deadlines of all connections were looked at."""
    lag = w.engine.metrics.loop_lag
    await until_true(lambda: w.engine.metrics.loop_lag != lag)


async def test_worker_that_was_replaced_keeps_idle_connections_for_a_last_request() -> None:
    async with world(options=Options(drain_timeout=LONG)) as w:
        used, fresh = [await w.client() for _ in range(2)]
        await used.ask()
        await until_true(lambda: w.engine.connections == 2)
        async with draining(w, is_replaced=True):
            for _ in range(3):
                await next_round(w)  # a round of the deadlines would have closed it
            for client in (used, fresh):
                response = await client.ask()
                assert response.status == 200
                assert response.closes
                assert await client.ended() == b""


async def test_worker_that_was_replaced_closes_idle_connections_at_the_end_of_its_drain(pair: Path) -> None:
    async with world(options=Options(tls=(pair, pair), drain_timeout=0.1)) as w:
        client = await asyncio.to_thread(silent, w.port)
        async with draining(w, is_replaced=True):
            pass
        with client:
            assert client.recv(1) == b""


async def test_connection_whose_request_was_not_read_yet_is_not_closed() -> None:
    async with world(options=Options(drain_timeout=LONG)) as w:
        client = await w.client()
        await client.ask()
        [connection] = w.engine._worker.connections.values()
        connection.close_if_idle()
        client.socket.setblocking(True)
        client.socket.sendall(request())  # the loop does not run meanwhile
        client.socket.setblocking(False)
        connection.expire(0)
        assert (await client.response()).status == 200
