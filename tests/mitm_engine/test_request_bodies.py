"""Bodies of requests: read once they are wanted, bounded, and with an early response when they are not."""

import asyncio
import contextlib

import pytest
from mitmproxy import http

from mitm_engine.options import Options, Terms, Timeouts
from tests.mitm_engine.world import On, Waiting, World, fail, world
from tests.support.client import AsyncRawClient, request
from tests.support.wait import until_true

MB = 1_000_000
EXPECTING = "Expect: 100-continue"


def reject(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(401, b"no")


def head(length: int, *more: str) -> bytes:
    return request("/", "POST", b"", f"Content-Length: {length}", *more)


async def upload(client: AsyncRawClient, length: int) -> None:
    """Send a body as uploaders do: all of it, before the response is read."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(0, length, 65_536):
            await client.send(bytes(65_536))


async def sent_in_time(client: AsyncRawClient, data: bytes) -> int:
    """How many of 50 MB a client can send in 0.3 s."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            while sent < 50 * MB:
                await client.send(data)
                sent += len(data)
    return sent


async def respond_while_uploading(w: World, raw: bytes, length: int) -> int:
    client = await w.client(raw)
    sending = asyncio.ensure_future(upload(client, length))
    response = await client.response()
    # A body that fits into the sockets may be there before the response is written.
    assert response.closes or length < MB
    sending.cancel()
    return response.status


@pytest.mark.parametrize("length", [100_000, 1 * MB, 20 * MB])
async def test_an_early_response_reaches_a_client_during_its_upload(length: int) -> None:
    async with world(On(requestheaders=reject)) as w:
        for _ in range(5):
            assert await respond_while_uploading(w, head(length), length) == 401
        # A body that was there before the response was written was a whole request.
        assert w.recorder.count("request") == 0 or length < MB
        assert w.recorder.count("error") == 0
        assert w.recorder.count("response") == 5


async def test_an_early_response_reaches_a_client_that_reads_after_its_upload() -> None:
    async with world(On(requestheaders=reject)) as w:
        client = await w.client(head(500_000) + bytes(500_000))
        assert (await client.response()).status == 401


async def test_an_upload_after_its_response_is_cut_off_after_a_mebibyte() -> None:
    async with world(On(requestheaders=reject)) as w:
        client = await w.client(head(100 * MB))
        sent = 0
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(1000):
                await client.send(bytes(100_000))
                sent += 100_000
        assert sent < 20 * MB  # a mebibyte, and what the kernel holds
        await w.quiet()


@pytest.mark.slow
async def test_a_stalled_upload_after_its_response_is_closed_after_two_seconds() -> None:
    async with world(On(requestheaders=reject)) as w:
        client = await w.client(head(1000))
        assert (await client.response()).status == 401
        begun = asyncio.get_running_loop().time()
        assert await client.ended() == b""
        await w.quiet()
        assert 1.5 < asyncio.get_running_loop().time() - begun < 4


async def test_100_continue_comes_after_requestheaders_and_not_before() -> None:
    admission = Waiting("requestheaders")
    async with world(admission) as w:
        client = await w.client(head(4, EXPECTING))
        await admission.reached.wait()
        waiting = asyncio.ensure_future(client.read())
        await asyncio.wait([waiting], timeout=0.02)
        assert not waiting.done()
        admission.go.set()
        await waiting
        assert (await client.response()).status == 100
        await client.send(b"body")
        assert (await client.response()).status == 200
        assert w.recorder.last().request.raw_content == b"body"


@pytest.mark.parametrize(
    ("addons", "length", "status"), [([On(requestheaders=reject)], 4, 401), ([], 2000, 413)]
)
async def test_a_rejected_request_gets_no_100_continue(
    addons: list[object], length: int, status: int
) -> None:
    async with world(*addons, terms=Terms(request_body=1000)) as w:
        client = await w.client(head(length, EXPECTING))
        response = await client.response()
        assert response.status == status
        assert response.closes


async def test_100_continue_is_not_sent_after_the_body_began_or_to_http_1_0() -> None:
    async with world() as w:
        begun, old = await w.client(), await w.client()
        await begun.send(head(4, EXPECTING) + b"bo")
        await old.send(head(4, EXPECTING).replace(b"HTTP/1.1", b"HTTP/1.0"))
        await w.recorder.saw("requestheaders", 2)
        await begun.send(b"dy")
        await old.send(b"body")
        assert (await begun.response()).status == 200
        assert (await old.response()).status == 200


async def test_a_body_with_too_large_a_length_is_rejected_before_it_comes() -> None:
    async with world(terms=Terms(request_body=1000)) as w:
        client = await w.client(head(1001))
        response = await client.response()
        assert (response.status, response.closes) == (413, True)
        assert w.recorder.hooks == ["client_connected", "requestheaders", "error", "post_response"]


async def test_a_whole_body_over_the_limit_is_rejected_and_the_connection_kept() -> None:
    async with world(terms=Terms(request_body=1000)) as w:
        client = await w.client()
        for _ in range(3):
            assert (await client.ask("/", "POST", bytes(1001))).status == 413
        assert (await client.ask("/", "POST", bytes(1000))).status == 200


async def test_a_body_that_is_not_wanted_yet_is_not_read_beyond_64_kib() -> None:
    admission = Waiting("requestheaders")
    async with world(admission) as w:
        client = await w.client(head(60 * MB))
        assert await sent_in_time(client, bytes(100_000)) < 20 * MB  # what the kernel holds, and no more
        admission.go.set()
        assert (await client.response()).status == 413


async def test_pipelined_heads_are_not_read_without_end() -> None:
    options = Options(pipelined=10_000, drain_timeout=0.2)
    async with world(Waiting("requestheaders"), options=options) as w:
        one = request("/", "GET", b"", "X: " + "y" * 30_000)
        # The bytes that the kernel holds, and no more.
        assert await sent_in_time(await w.client(), one) < 20 * MB


async def test_a_large_body_is_read_once_it_is_wanted() -> None:
    async def requestheaders(flow: http.HTTPFlow) -> None:
        await until_true(lambda: bool(w.engine._worker.held))

    body = bytes(range(256)) * 20_000
    async with world(On(requestheaders=requestheaders)) as w:
        client = await w.client()
        sending = asyncio.ensure_future(client.send(request("/", "POST", body)))
        assert (await client.response()).status == 200
        await sending
        assert w.recorder.last().request.raw_content == body


async def test_a_malformed_body_is_a_400_and_is_not_forwarded() -> None:
    async with world() as w:
        client = await w.client(request("/", "POST", b"", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        await w.recorder.saw("requestheaders")
        await client.send(b"zzz\r\n")
        response = await client.response()
        assert (response.status, response.closes) == (400, True)
        assert w.recorder.count("error") == w.recorder.count("post_response") == 1
        assert not w.upstream.peers


async def test_unread_bodies_of_rejected_requests_do_not_block_a_connection() -> None:
    async with world(On(requestheaders=fail)) as w:
        client = await w.client()
        for _ in range(50):
            assert (await client.ask("/", "POST", bytes(10_000))).status == 503


async def test_a_slow_body_is_a_408_and_a_steady_one_may_take_its_time() -> None:
    terms, options = Terms(Timeouts(grace=0.4)), Options(min_rate=100, drain_timeout=0.2)
    async with world(terms=terms, options=options) as w:
        slow, steady = await w.client(), await w.client()
        await slow.send(head(1000) + bytes(10))
        await steady.send(head(400))
        for _ in range(20):
            await steady.send(bytes(20))
            await asyncio.sleep(0.06)
        assert (await steady.response()).status == 200
        response = await slow.response()
        assert (response.status, response.closes) == (408, True)


async def test_a_body_that_begins_fast_and_then_stalls_is_a_408() -> None:
    terms, options = Terms(Timeouts(grace=0.3)), Options(min_rate=100, drain_timeout=0.2)
    async with world(terms=terms, options=options) as w:
        client = await w.client(head(2 * MB) + bytes(MB))
        async with asyncio.timeout(2):
            assert (await client.response()).status == 408
        await until_true(lambda: w.engine.metrics.in_flight == 0)


@pytest.mark.parametrize("size", [10, 3_000, 60_000])
async def test_a_rejection_does_not_depend_on_the_size_of_the_body(size: int) -> None:
    async with world(On(requestheaders=reject), terms=Terms(request_body=1000)) as w:
        client = await w.client()
        assert (await client.ask("/", "POST", bytes(size))).status == 401


@pytest.mark.parametrize(
    ("linger", "announced", "sends"),
    [
        pytest.param(60.0, 500_000_000, False, id="rate"),
        pytest.param(0.3, 500_000_000, True, id="time"),
        pytest.param(60.0, 2_000_000, True, id="announced length"),
    ],
)
async def test_rest_of_a_rejected_body_is_read_only_within_its_bounds(
    monkeypatch: pytest.MonkeyPatch, linger: float, announced: int, sends: bool
) -> None:
    for module in ("closing", "exchange.exchange"):
        monkeypatch.setattr(f"mitm_engine.{module}.LINGER", 0.1)
    async with world(On(requestheaders=reject), terms=Terms(linger=linger)) as w:
        client = await w.client(head(announced))
        assert (await client.response()).status == 401
        assert w.engine.connections == 1

        async def go_on() -> None:
            while sends:
                await client.send(bytes(20_000))
                await asyncio.sleep(0.002)

        uploading = asyncio.ensure_future(go_on())
        await until_true(lambda: w.engine.connections == 0, 5.0)
        uploading.cancel()
        await asyncio.wait([uploading])
