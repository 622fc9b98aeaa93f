"""The engine as a whole: TLS for clients, draining and metrics."""

import asyncio
import contextlib
import json
import os
import ssl
from pathlib import Path

import pytest
from mitmproxy import http

from mitm_engine.options import Options, Timeouts
from tests.mitm_engine.world import On, Streaming, World, dripping, gated, stalling, world
from tests.support.certificates import Authority
from tests.support.client import request
from tests.support.upstream import CHUNKED, Peer, chunk, hang, responding, sized
from tests.support.wait import until_true


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.server_context("localhost")
    return made


def served(authority: Authority, **more: object) -> Options:
    pair = authority.folder / "localhost.pem"
    return Options(tls=(pair, pair), drain_timeout=0.2, **more)  # type: ignore[arg-type]


def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def secure(
    w: World, authority: Authority, limit: int = 65_536
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", w.port, ssl=trusting(authority), server_hostname="localhost", limit=limit
    )


async def test_tls_clients_are_served_with_http_1_1(authority: Authority) -> None:
    async with world(options=served(authority)) as w:
        reader, writer = await secure(w, authority)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        for _ in range(2):
            writer.write(request())
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
        seen = w.recorder.last().client_conn
        assert seen.tls
        assert seen.tls_version == "TLSv1.3"
        writer.close()
        await w.recorder.saw("client_disconnected")


@pytest.mark.parametrize("sent", [request(), request("/", "POST", bytes(500_000)), bytes(200)])
async def test_a_client_without_tls_on_a_tls_port_reads_what_to_do(authority: Authority, sent: bytes) -> None:
    async with world(options=served(authority)) as w:
        client = await w.client(sent)
        response = await client.response()
        assert (response.status, response.closes) == (400, True)
        assert "https://" in json.loads(response.body)["error"]["message"]
        assert await client.ended() == b""
        await w.quiet()
        assert not w.recorder.hooks


@pytest.mark.parametrize("sent", [b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)])
async def test_tls_on_a_plain_port_is_closed_without_a_byte(sent: bytes) -> None:
    async with world() as w:
        client = await w.client(sent)
        assert await client.read() == b""
        assert not w.recorder.flows


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["Connection: close"]])
async def test_a_tls_client_that_reads_slowly_gets_its_whole_last_response(
    authority: Authority, more: list[str]
) -> None:
    body = bytes(600_000)
    options = served(authority, timeouts=Timeouts(grace=3))
    async with world(script=responding(sized(body)), options=options, send_buffer=4096) as w:
        reader, writer = await secure(w, authority, limit=2000)
        writer.write(request("/", "GET", b"", *more))
        await reader.readuntil(b"\r\n\r\n")
        got = 0
        for _ in range(20):
            got += len(await reader.readexactly(8000))
            await asyncio.sleep(0.1)
        got += len(await reader.readexactly(len(body) - got))
        assert got == len(body)
        writer.close()


async def test_new_certificates_serve_new_connections_and_bad_ones_change_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    def copy_from(source: Authority) -> None:
        source.server_context("localhost")
        (tmp_path / "pair.pem").write_bytes((source.folder / "localhost.pem").read_bytes())

    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "Other CA")
    copy_from(authority)
    options = Options(tls=(tmp_path / "pair.pem", tmp_path / "pair.pem"), drain_timeout=0.2)
    async with world(options=options) as w:
        _, old = await secure(w, authority)
        copy_from(other)
        w.engine.reload_tls()
        _, new = await secure(w, other)
        (tmp_path / "pair.pem").write_text("no certificate")
        w.engine.reload_tls()
        _, newer = await secure(w, other)
        for writer in (old, new, newer):
            writer.close()


async def test_a_drain_ends_idle_connections_and_lets_others_finish() -> None:
    go = asyncio.Event()
    script = gated(go, CHUNKED + chunk(b"first"), chunk(b"last") + b"0\r\n\r\n")
    async with world(Streaming(), script=script, options=Options(drain_timeout=20)) as w:
        fresh, busy, half = [await w.client() for _ in range(3)]
        await busy.send(request())
        await busy.until(chunk(b"first"))
        await half.send(request()[:10])
        await until_true(
            lambda: [one.is_idle for one in w.engine._worker.connections.values()].count(False) == 2
        )
        draining = asyncio.ensure_future(w.engine.drain())
        assert await fresh.ended() == b""
        assert w.engine.is_draining
        # A request that has begun is served, and its response announces the close.
        go.set()
        await half.send(request()[10:])
        await half.until(b"\r\nConnection: close\r\n")
        assert (await half.ended()).endswith(b"0\r\n\r\n")
        assert (await busy.ended()).endswith(chunk(b"last") + b"0\r\n\r\n")
        await asyncio.wait_for(draining, 2)
        assert w.engine.connections == 0


async def test_exchange_that_exceeds_the_drain_timeout_ends_with_its_hooks() -> None:
    async with world(Streaming(), script=dripping, options=Options(drain_timeout=0.3)) as w:
        client = await w.client(request())
        await client.until(chunk(b"."))
        begun = asyncio.get_running_loop().time()
        await w.engine.drain()
        assert asyncio.get_running_loop().time() - begun < 1.0
        assert w.engine.connections == w.engine.metrics.in_flight == 0
        assert w.recorder.count("error") == w.recorder.count("post_response") == 1
        assert w.recorder.count("client_disconnected") == 1
        with contextlib.suppress(ConnectionResetError):
            await client.ended()
        assert not client.seen.endswith(b"0\r\n\r\n")


async def test_a_drain_waits_for_post_response_hooks() -> None:
    settled: list[int] = []
    go = asyncio.Event()

    async def settle(flow: http.HTTPFlow) -> None:
        await go.wait()
        settled.append(1)

    async with world(On(post_response=settle), options=Options(drain_timeout=5)) as w:
        client = await w.client()
        assert (await client.ask()).status == 200
        draining = asyncio.ensure_future(w.engine.drain())
        await until_true(lambda: w.engine.connections == 0)
        assert not draining.done()
        go.set()
        await draining
        assert settled == [1]


async def test_drain_during_a_handshake_ends_the_handshake(authority: Authority) -> None:
    async with world(options=served(authority)) as w:
        client = await w.client()
        await until_true(lambda: w.engine.connections == 1)
        await w.engine.drain()
        await client.ended()
        assert w.engine.connections == 0


async def test_an_addon_can_write_into_a_stream_only_until_its_end() -> None:
    go = asyncio.Event()
    async with world(Streaming(), script=gated(go, CHUNKED + chunk(b"first"))) as w:
        client = await w.client(request())
        await client.until(chunk(b"first"))
        flow = w.recorder.last()
        w.engine.write(flow, chunk(b"beside"))
        await client.until(chunk(b"beside"))
        go.set()
        await client.until(b"0\r\n\r\n")
        w.engine.write(flow, chunk(b"too late"))
        assert (await client.ask()).body == b"first"
        client.close()
        await w.quiet()
        w.engine.write(flow, chunk(b"nobody"))


async def test_engine_writes_nothing_into_a_response_with_a_length(streams: bool) -> None:
    """It would be read as the rest of a cut body."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(sized(b"whole")[:-2])
        await w.recorder.saw("responseheaders")
        peer.reset()

    def add(flow: http.HTTPFlow) -> None:
        w.engine.write(flow, b"le")

    async with world(On(error=add, post_response=add), script=script, streams=streams) as w:
        client = await w.client()
        if not streams:
            assert (await client.ask()).status == 502
        else:
            await client.send(request())
            assert (await client.ended()).endswith(b"who")
        assert not client.seen.endswith(b"le")


async def test_an_addon_that_writes_at_the_end_of_a_cut_stream_writes_after_all_that_came() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"data: 1\n\n")
        await w.recorder.saw("responseheaders")
        peer.reset()

    def error(flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        # The upstream sent no chunks, but the client gets some.
        assert flow.response.headers["transfer-encoding"] == "chunked"
        w.engine.write(flow, chunk(b"event: error\n\n"))

    async with world(Streaming(), On(error=error), script=script) as w:
        client = await w.client(request())
        with contextlib.suppress(ConnectionResetError):
            await client.ended()
        assert client.seen.endswith(chunk(b"data: 1\n\n") + chunk(b"event: error\n\n"))


async def test_metrics_count_connections_requests_and_pool_hits() -> None:
    async with world() as w:
        metrics = w.engine.metrics
        client = await w.client()
        for _ in range(3):
            await client.ask()
        assert (metrics.accepted, metrics.connections, metrics.requests, metrics.in_flight) == (1, 1, 3, 0)
        assert (metrics.pool_hits, metrics.pool_misses, metrics.upstream_connections) == (2, 1, 1)
        client.close()
        await w.quiet()
        assert metrics.connections == 0
        assert not metrics.faults
        assert not metrics.closed


async def test_descriptors_come_back_after_every_kind_of_end() -> None:
    async def script(peer: Peer) -> None:
        while (await peer.request()).target != "/cut":
            await peer.write(sized(b"x"))
        await peer.write(sized(b"whole")[:-1])

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with world(script=script) as w:
        before = descriptors()
        for number in range(30):
            client = await w.client(request("/cut" if number % 3 == 1 else "/"))
            if number % 3 == 2:
                client.reset()
            else:
                await client.response()
                client.close()
        await w.quiet()
        w.engine._worker.pool.empty()
        await until_true(lambda: descriptors() <= before)


@pytest.mark.parametrize("abruptly", [True, False])
async def test_a_tls_client_that_leaves_ends_its_exchange(authority: Authority, abruptly: bool) -> None:
    async with world(script=hang, options=served(authority)) as w:
        _, writer = await secure(w, authority)
        writer.write(request())
        await w.recorder.saw("server_connected")
        if abruptly:
            writer.transport.abort()
        else:
            writer.close()
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)
        await w.recorder.saw("client_disconnected")
        assert w.recorder.failure().startswith("client_closed")


@pytest.mark.slow
async def test_a_tls_client_that_does_not_read_is_cut_off(authority: Authority) -> None:
    options = served(authority, timeouts=Timeouts(grace=0.4))
    async with world(script=responding(sized(bytes(5_000_000))), options=options, send_buffer=4096) as w:
        _, writer = await secure(w, authority, limit=2000)
        writer.write(request())
        await w.recorder.saw("response")
        await w.quiet()
        assert w.engine.metrics.closed["slow_reader"] == 1
        writer.transport.abort()


async def test_addons_can_write_into_a_stream_that_a_drain_ends() -> None:
    def error_event(flow: http.HTTPFlow) -> None:
        assert flow.error
        w.engine.write(flow, chunk(flow.error.msg.partition(":")[0].encode()))

    options = Options(drain_timeout=0.1)
    async with world(Streaming(), On(error=error_event), script=stalling, options=options) as w:
        client = await w.client(request())
        await client.until(b"first")
        await w.engine.drain()
        assert (await client.ended()).endswith(chunk(b"overloaded"))


async def test_a_request_without_a_response_at_the_drain_timeout_is_a_503() -> None:
    async with world(script=hang, options=Options(drain_timeout=0.1)) as w:
        client = await w.client(request())
        await w.recorder.saw("request")
        await w.engine.drain()
        assert (await client.response()).status == 503


async def test_connections_in_a_handshake_count_toward_the_limit(authority: Authority) -> None:
    async with world(options=served(authority, connections=3)) as w:
        clients = [await w.client() for _ in range(6)]
        await until_true(lambda: w.engine.metrics.closed["full"] == 3)
        assert w.engine.connections == 3
        assert [await client.ended() for client in clients[3:]] == [b""] * 3


@pytest.mark.parametrize(
    ("fails_at", "status", "end"),
    [
        (1, b"503 Service Unavailable", None),
        (2, b"200 OK", b"\r\n\r\n5\r\nfirst\r\n5\r\nadded\r\n"),
    ],
    ids=["not before the head of an error", "behind what was sent"],
)
async def test_an_addon_writes_after_a_failure_only_behind_what_was_sent(
    fails_at: int, status: bytes, end: bytes | None
) -> None:
    more, left = asyncio.Event(), [fails_at]

    def fail(piece: bytes) -> bytes:
        left[0] -= 1
        if not left[0]:
            raise ValueError("broken")
        return piece

    def error(flow: http.HTTPFlow) -> None:
        w.engine.write(flow, chunk(b"added"))

    script = gated(more, CHUNKED + chunk(b"first"), chunk(b"second"))
    async with world(Streaming(fail), On(error=error), script=script) as w:
        client = await w.client(request("/", "GET", b"", "Connection: close"))
        received = await client.until(b"\r\n\r\n")
        if end:
            received += await client.until(chunk(b"first"))
        more.set()
        received += await client.ended()
    assert received.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert received.endswith(end) if end else b"added" not in received
