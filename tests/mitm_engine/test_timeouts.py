"""Every timeout ends what takes too long, with an error that names the fault."""

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import pytest
from mitmproxy import http

from mitm_engine.options import Options, Terms, Timeouts
from tests.mitm_engine.world import FLOW_HOOKS, On, Streaming, Waiting, World, dripping, stalling, world
from tests.support.certificates import Authority
from tests.support.client import request, tls_client
from tests.support.ports import black_hole
from tests.support.upstream import CHUNKED, Peer, Script, chunk, hang, responding, sized
from tests.support.wait import until_true

SHORT = 0.3


async def flooding(peer: Peer) -> None:
    """Send a response without an end, as fast as it is read."""
    await peer.request()
    await peer.write(CHUNKED)
    with contextlib.suppress(ConnectionError):
        while True:
            await peer.write(chunk(bytes(65_536)))


async def upstream_is_gone(w: World) -> None:
    await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)


@pytest.mark.parametrize(
    ("script", "timeouts", "name"),
    [(hang, Timeouts(first_byte=SHORT), "first_byte"), (stalling, Timeouts(idle=SHORT), "idle")],
    ids=["silent, at the first byte timeout", "stalling, at the idle timeout"],
)
async def test_a_buffered_response_that_does_not_come_is_a_504(
    script: Script, timeouts: Timeouts, name: str
) -> None:
    async with world(script=script, terms=Terms(timeouts)) as w:
        assert (await w.ask()).status == 504
        await upstream_is_gone(w)
        assert w.recorder.failure().startswith("upstream_timeout")
        assert f"the timeout {name}." in w.recorder.failure()
        assert w.recorder.last().metadata["cause"] == "timeout"
        assert w.recorder.count("error") == w.recorder.count("post_response") == 1


async def test_a_late_response_on_a_kept_connection_is_not_asked_for_again() -> None:
    async def silent_later(peer: Peer) -> None:
        await peer.request()
        await peer.write(sized())
        await peer.request()
        await peer.until_gone()

    async with world(script=silent_later, terms=Terms(Timeouts(first_byte=SHORT))) as w:
        client = await w.client()
        assert (await client.ask()).status == 200
        assert (await client.ask()).status == 504
        assert len(w.upstream.received) == 2


async def test_a_stream_that_stalls_is_cut_at_the_idle_timeout() -> None:
    async with world(Streaming(), script=stalling, terms=Terms(Timeouts(idle=SHORT))) as w:
        client = await w.client(request())
        with pytest.raises(EOFError) as end:
            await client.response()
        assert end.value.args[0].endswith(chunk(b"first"))
        await upstream_is_gone(w)
        assert w.recorder.count("error") == 1


async def test_an_exchange_ends_at_its_total_timeout(streams: bool) -> None:
    terms = Terms(Timeouts(total=SHORT))
    async with world(streams=streams, script=dripping, terms=terms) as w:
        client = await w.client(request())
        if streams:
            with pytest.raises(EOFError):
                await client.response()
        else:
            assert (await client.response()).status == 504
        await upstream_is_gone(w)


async def test_a_client_that_does_not_read_does_not_delay_the_total_timeout() -> None:
    async with world(Streaming(), script=flooding, terms=Terms(Timeouts(total=SHORT))) as w:
        await w.client(request())  # and reads nothing
        await w.recorder.saw("responseheaders")
        await upstream_is_gone(w)
        assert w.recorder.failure().startswith("upstream_timeout")


async def test_an_unreachable_upstream_is_a_504_at_the_connect_timeout() -> None:
    with black_hole() as url:

        def lead_there(flow: http.HTTPFlow) -> None:
            flow.request.data.port = int(url.rpartition(":")[2])

        async with world(On(requestheaders=lead_there), terms=Terms(Timeouts(connect=SHORT))) as w:
            begun = asyncio.get_running_loop().time()
            assert (await w.ask()).status == 504
            assert asyncio.get_running_loop().time() - begun < SHORT + 0.5
            assert w.recorder.count("server_connect_error") == 1


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_a_hook_that_hangs_is_a_503_and_is_cancelled(hook: str) -> None:
    addon = Waiting(hook)
    async with world(addon, terms=Terms(Timeouts(hook=SHORT)), options=_quick()) as w:
        assert (await w.ask()).status == 503
        assert addon.cancelled.is_set()
        assert w.recorder.count("error") == w.recorder.count("post_response") == 1


@pytest.mark.parametrize(("hook", "status"), [("server_connect", 504), ("server_connected", 503)])
async def test_a_hook_that_hangs_at_a_connection_ends_the_exchange_too(hook: str, status: int) -> None:
    async with world(Waiting(hook), terms=Terms(Timeouts(connect=SHORT, hook=SHORT))) as w:
        assert (await w.ask()).status == status


def _quick() -> Options:
    return Options(timeouts=Timeouts(hook=SHORT), drain_timeout=0.2)


async def test_a_hook_that_hangs_in_client_connected_is_a_503() -> None:
    async with world(Waiting("client_connected"), options=_quick()) as w:
        client = await w.client()
        assert (await client.ask()).status == 503
        assert await client.ended() == b""


async def test_a_slow_stream_function_is_bounded_by_the_hook_timeout_only() -> None:
    async def slowly(piece: bytes) -> bytes:
        await asyncio.sleep(0.25 if piece else 0)
        return piece

    body = b"".join(chunk(b"x" * 10) for _ in range(4)) + b"0\r\n\r\n"
    terms = Terms(Timeouts(idle=SHORT, first_byte=SHORT))
    async with world(Streaming(slowly), script=responding(CHUNKED + body), terms=terms) as w:
        assert (await w.ask()).body == b"x" * 40


async def test_a_stream_function_that_hangs_is_a_503() -> None:
    async def never(piece: bytes) -> bytes:
        await asyncio.Event().wait()
        return piece

    async with world(Streaming(never), terms=Terms(Timeouts(hook=SHORT))) as w:
        assert (await w.ask()).status == 503


async def test_slow_head_is_a_408_at_the_head_timeout_although_bytes_come() -> None:
    options = Options(timeouts=Timeouts(head=SHORT), drain_timeout=0.2)
    async with world(options=options) as w:
        slow = await w.client()
        begun = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for byte in request():
                await slow.send(bytes([byte]))
                await asyncio.sleep(0.05)
        response = await slow.response()
        assert (response.status, response.closes) == (408, True)
        assert asyncio.get_running_loop().time() - begun < 2.5
        assert w.engine.metrics.closed["late"] == 1
        assert w.engine.metrics.faults["request_timeout"] == 1
        assert not w.recorder.hooks


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
async def test_client_that_begins_no_head_is_closed_without_a_response(sent: bytes) -> None:
    async with world(options=Options(timeouts=Timeouts(head=SHORT), drain_timeout=0.2)) as w:
        client = await w.client(sent)
        assert await client.read() == b""  # raises after a reset
        assert not w.engine.metrics.closed


async def test_head_of_a_later_request_has_its_own_timeout() -> None:
    options = Options(timeouts=Timeouts(head=SHORT, keep_alive=30), drain_timeout=0.2)
    async with world(options=options) as w:
        client = await w.client()
        assert (await client.ask()).status == 200
        await asyncio.sleep(SHORT + 0.3)
        assert (await client.ask()).status == 200
        await client.send(request()[:10])
        assert (await client.response()).status == 408
        assert await client.read() == b""


async def test_client_that_is_idle_gets_the_end_of_its_tls_connection(tmp_path: Path) -> None:
    """Before the first request, and after it."""
    Authority(tmp_path).server_context("localhost")
    timeouts = Timeouts(head=SHORT, keep_alive=SHORT)
    options = Options(tls=(tmp_path / "localhost.pem",) * 2, timeouts=timeouts, drain_timeout=0.2)
    async with world(options=options) as w:
        for sent in (b"", request()):
            client = await asyncio.to_thread(tls_client, w.port)
            with client:
                await asyncio.to_thread(client.sendall, sent)
                while got := await asyncio.to_thread(client.recv, 65_536):  # raises without a close_notify
                    assert got.startswith(b"HTTP/1.1 200 ")
        assert not w.engine.metrics.faults


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("size", [60_000, 20_000_000])
async def test_a_client_that_does_not_read_its_response_is_cut_off(size: int, closes: bool) -> None:
    options = Options(timeouts=Timeouts(grace=SHORT, keep_alive=SHORT), drain_timeout=0.2)
    async with world(script=responding(sized(bytes(size))), options=options, send_buffer=4096) as w:
        await w.client(
            request("/", "GET", b"", *(["Connection: close"] if closes else [])), receive_buffer=4096
        )
        await w.recorder.saw("response")
        await w.quiet()
        assert w.engine.metrics.closed["slow_reader"] == 1


async def test_a_client_that_reads_slowly_but_steadily_gets_the_whole_response() -> None:
    options = Options(timeouts=Timeouts(grace=SHORT), min_rate=1000, drain_timeout=0.2)
    async with world(script=responding(sized(bytes(400_000))), options=options, send_buffer=4096) as w:
        client = await w.client(request(), receive_buffer=4096)
        for _ in range(60):
            await client.read(2000)
            await asyncio.sleep(0.02)
        assert len((await client.response()).body) == 400_000


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_a_request_is_late_only_when_the_upstream_reads_nothing_of_it(
    is_tls: bool, tmp_path: Path
) -> None:
    reads = [asyncio.Event(), asyncio.Event()]

    async def script(peer: Peer) -> None:
        await peer.head()
        for go in reads:
            await go.wait()
            await peer.exactly(3_000_000)
        await peer.until_gone()

    authority = Authority(tmp_path)
    tls = authority.server_context("localhost") if is_tls else None
    terms = Terms(Timeouts(first_byte=600.0), trust=str(authority.file) if is_tls else None)
    async with world(script=script, terms=terms, tls=tls, host="localhost") as w:
        client = await w.client()
        sending = asyncio.ensure_future(client.send(request("/", "POST", bytes(18_000_000))))
        await until_true(lambda: bool(w.upstream.peers) and _unsent(w) > 0)
        [connection] = w.engine._worker.connections.values()
        for number, go in enumerate(reads, 1):
            go.set()
            await until_true(partial(_has_read, w, _unsent(w)))
            # Each time later than the timeout after the time before.
            connection.expire(asyncio.get_running_loop().time() + 1000.0 * number)
            assert not w.recorder.count("error")
        connection.expire(asyncio.get_running_loop().time() + 5000.0)
        assert (await client.response()).status == 504
        assert "read the request too slowly" in w.recorder.failure()
        await sending


def _unsent(w: World) -> int:
    """The bytes of a request that its upstream has not read yet, and that the kernel has not taken."""
    [upstream] = w.engine._worker.pool._counted
    return upstream.unsent


def _has_read(w: World, unsent: int) -> bool:
    return _unsent(w) < unsent


@pytest.mark.slow
@pytest.mark.alone
async def test_the_first_byte_timeout_begins_when_the_request_is_out() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.sleep(1.4)
        await peer.exactly(18_000_000)
        await asyncio.sleep(0.8)
        await peer.write(sized())

    async with world(script=script, terms=Terms(Timeouts(first_byte=2.0))) as w:
        client = await w.client()
        sending = asyncio.ensure_future(client.send(request("/", "POST", bytes(18_000_000))))
        assert (await client.response()).status == 200
        await sending


@pytest.mark.parametrize("hook", ["requestheaders", "request"])
async def test_a_hook_that_ignores_its_cancellation_forwards_nothing(hook: str) -> None:
    async def stubborn(flow: http.HTTPFlow) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with world(On(**{hook: stubborn}), terms=Terms(Timeouts(hook=SHORT)), options=_quick()) as w:
        client = await w.client()
        assert (await client.ask("/", "POST", b"x")).status == 503
        assert not w.upstream.peers
        # The next request on the connection is served with its own deadlines.
        assert (await client.ask()).status == 503


async def test_an_upload_does_not_count_toward_the_total_timeout() -> None:
    async with world(terms=Terms(Timeouts(total=SHORT))) as w:
        client = await w.client(b"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 2\r\n\r\n")
        await w.recorder.saw("requestheaders")
        await asyncio.sleep(2 * SHORT)
        await client.send(b"ab")
        assert (await client.response("POST")).status == 200
