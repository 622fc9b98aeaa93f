"""Request bodies that no addon reads: they flow to the upstream as they arrive, with little memory."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
from mitmproxy import http

from mitm_engine.options import Options, Terms, Timeouts
from tests.mitm_engine.test_back_pressure import resident
from tests.mitm_engine.world import On, Streaming, Waiting, World, world
from tests.support.client import AsyncRawClient, request
from tests.support.upstream import (
    CHUNKED,
    Peer,
    chunk,
    hang,
    sized,
)
from tests.support.wait import until_true

MB = 1_000_000
PIECE = bytes(100_000)
CHUNKS = "Transfer-Encoding: chunked"
EXPECTING = "Expect: 100-continue"


class Uploading:
    """Lets each request body pass as it comes, or through a function. Notes the content at `request`."""

    def __init__(self, through: object = True) -> None:
        self.through = through
        self.contents: list[bytes | None] = []

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flow.request.stream = self.through  # type: ignore[assignment]

    def request(self, flow: http.HTTPFlow) -> None:
        self.contents.append(flow.request.raw_content)


def head(*fields: str, method: str = "POST") -> bytes:
    return request("/", method, b"", *fields)


def length(size: int) -> str:
    return f"Content-Length: {size}"


class Sink:
    """An upstream that reads a body at will, and notes how much came; then it gives `response`."""

    def __init__(self, go: asyncio.Event | None = None, response: bytes | None = None) -> None:
        self.go = go
        self.response = response or sized()
        self.got = 0

    async def __call__(self, peer: Peer) -> None:
        await peer.head()
        if self.go:
            peer.writer.transport.pause_reading()
            await self.go.wait()
            peer.writer.transport.resume_reading()
        assert peer.last is not None
        size = int(peer.last.get("content-length") or 0)
        while self.got < size:
            if not peer.buffer:
                await peer.fill()
            self.got += len(peer.buffer)
            peer.buffer.clear()
            peer.raw.clear()
        await peer.write(self.response)
        await peer.until_gone()


async def send_all(client: AsyncRawClient, size: int) -> None:
    """Send a body as uploaders do: all of it, before the response is read."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(0, size, len(PIECE)):
            await client.send(PIECE)


async def seen_by_upstream(w: World, data: bytes) -> None:
    await until_true(lambda: data in bytes(w.upstream.raw))


@pytest.mark.parametrize("framing", ["sized", "chunked"])
async def test_body_flows_as_it_comes_and_the_hook_request_fires_before_it(framing: str) -> None:
    addon = Uploading()
    async with world(addon) as w:
        is_sized = framing == "sized"
        client = await w.client(head(length(8) if is_sized else CHUNKS))
        await until_true(lambda: addon.contents == [None])
        for piece in (b"one-", b"two-"):
            await client.send(piece if is_sized else chunk(piece))
            await seen_by_upstream(w, piece)
        if not is_sized:
            await client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 200
        [seen] = w.upstream.received
        assert seen.body == b"one-two-"
        assert (seen.get("content-length"), seen.get("transfer-encoding")) == (
            ("8", None) if is_sized else (None, "chunked")
        )
        # Both connections serve on; a body that has arrived with its head is not an upload.
        assert (await client.ask("/", "POST", b"hello")).status == 200
        assert (len(w.upstream.peers), addon.contents) == (1, [None, b"hello"])


async def test_many_small_chunks_arrive_whole_and_in_order() -> None:
    async with world(Uploading()) as w:
        client = await w.client(head(CHUNKS))
        parts = [b"%d," % number for number in range(5000)]
        for start in range(0, len(parts), 500):
            await client.send(b"".join(chunk(part) for part in parts[start : start + 500]))
            await asyncio.sleep(0)
        await client.send(b"0\r\n\r\n" + request("/next"))
        assert [(await client.response()).status for _ in range(2)] == [200, 200]
        assert w.upstream.received[0].body == b"".join(parts)
        assert w.upstream.received[1].target == "/next"


async def test_slow_upstream_holds_the_client_back_and_the_process_does_not_grow() -> None:
    go, size = asyncio.Event(), 50 * MB
    sink = Sink(go)
    async with world(Uploading(), script=sink) as w:
        client = await w.client(head(length(size)))
        await w.recorder.saw("server_connected")
        before = resident()
        sending = asyncio.ensure_future(send_all(client, size))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done  # the upstream reads nothing
        assert resident() - before < 20 * MB
        go.set()
        assert (await client.response()).status == 200
        assert sink.got == size
        assert resident() - before < 20 * MB
        await sending


@pytest.mark.parametrize("leave", [AsyncRawClient.close, AsyncRawClient.reset], ids=["fin", "rst"])
@pytest.mark.parametrize("is_held", [False, True], ids=["waiting for the client", "held back"])
async def test_client_that_leaves_during_its_upload_closes_the_upstream(
    leave: Callable[[AsyncRawClient], None], is_held: bool
) -> None:
    sink = Sink(asyncio.Event() if is_held else None)
    async with world(Uploading(), script=sink) as w:
        client = await w.client(head(length(50 * MB)))
        await w.recorder.saw("server_connected")
        # No more than what the gateway's kernel takes: behind that, the end of the connection would be stuck.
        while is_held and not w.engine._worker.held:
            await client.send(PIECE)
            await asyncio.sleep(0)  # asyncio's own loop sends at once, and would let the engine read nothing
        leave(client)
        async with asyncio.timeout(1.5):
            await w.recorder.saw("post_response")
            assert w.recorder.failure().startswith("client_closed")
        if not is_held:
            await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)
        await w.quiet()
        await until_true(lambda: w.engine.metrics.upstream_connections == 0)


async def test_upstream_that_closes_during_the_upload_is_a_502() -> None:
    async def closing(peer: Peer) -> None:
        await peer.head()
        await peer.fill()

    async with world(Uploading(), script=closing, terms=Terms(linger=5.0)) as w:
        client = await w.client(head(length(5 * MB)))
        await send_all(client, 5 * MB)
        assert (await client.response()).status == 502
        assert w.recorder.failure().startswith("upstream_protocol_error")
        assert len(w.upstream.peers) == 1


@pytest.mark.parametrize("streams", [True, False], ids=["streamed response", "no response yet"])
async def test_body_that_exceeds_its_limit_as_it_passes_ends_both_connections(streams: bool) -> None:
    async def begun(peer: Peer) -> None:
        await peer.head()
        await peer.write(CHUNKED + chunk(b"begun"))
        await peer.until_gone()

    script = begun if streams else hang
    async with world(Uploading(), Streaming(), script=script, terms=Terms(request_body=500_000)) as w:
        client = await w.client(head(CHUNKS))
        if streams:
            await client.until(chunk(b"begun"))
        for _ in range(6):
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                await client.send(chunk(PIECE))
        if streams:
            with pytest.raises((EOFError, ConnectionResetError)):
                await client.response()
        else:
            assert (await client.response()).status == 413
        assert w.recorder.failure().startswith("body_too_large")
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)


async def test_announced_length_above_the_limit_is_a_413_before_any_upstream() -> None:
    async with world(Uploading(), terms=Terms(request_body=1000)) as w:
        client = await w.client(head(length(1001)))
        assert (await client.response()).status == 413
        assert not w.upstream.peers


@pytest.mark.parametrize("chunks", [b"5\r\nhelloX", b"zz\r\n"])
async def test_malformed_chunk_during_the_upload_is_a_400_and_cuts_the_upstream(chunks: bytes) -> None:
    async with world(Uploading()) as w:
        client = await w.client(head(CHUNKS))
        await client.send(chunk(b"first"))
        await seen_by_upstream(w, b"first")
        await client.send(chunks)
        assert (await client.response()).status == 400
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)
        assert b"0\r\n\r\n" not in w.upstream.raw


async def test_client_that_uploads_too_slowly_gets_408_and_its_upstream_is_closed() -> None:
    terms, options = Terms(Timeouts(grace=0.4)), Options(min_rate=100, drain_timeout=0.2)
    async with world(Uploading(), terms=terms, options=options) as w:
        client = await w.client(head(length(10_000)) + bytes(500))
        assert (await client.response()).status == 408
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)


async def test_upstream_that_does_not_read_is_a_504_and_the_client_is_not_blamed() -> None:
    terms = Terms(Timeouts(grace=0.3, first_byte=1.0))
    async with world(Uploading(), script=Sink(asyncio.Event()), terms=terms) as w:
        client = await w.client(head(length(50 * MB)))
        sending = asyncio.ensure_future(send_all(client, 50 * MB))
        assert (await client.response()).status == 504
        sending.cancel()


async def test_first_byte_timeout_begins_with_the_end_of_the_body() -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.until_gone()

    async with world(Uploading(), script=silent, terms=Terms(Timeouts(first_byte=0.5))) as w:
        client = await w.client(head(length(20)))
        for _ in range(10):  # one second in all
            await client.send(b"ab")
            await asyncio.sleep(0.1)
        assert (await client.response()).status == 504
        assert w.upstream.received[0].body == b"ab" * 10


async def test_100_continue_comes_when_the_upstream_is_connected() -> None:
    connecting = Waiting("server_connect")
    async with world(Uploading(), connecting) as w:
        client = await w.client(head(length(4), EXPECTING))
        await connecting.reached.wait()
        reading = asyncio.ensure_future(client.read())
        await asyncio.wait([reading], timeout=0.02)
        assert not reading.done()
        connecting.go.set()
        await reading
        assert (await client.response()).status == 100
        await client.send(b"body")
        assert (await client.response()).status == 200
        assert (w.upstream.received[0].body, w.upstream.received[0].get("expect")) == (b"body", None)


async def test_unreachable_upstream_gets_no_body_and_the_client_no_100() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    def lead_there(flow: http.HTTPFlow) -> None:
        flow.request.data.port = port

    async with world(Uploading(), On(request=lead_there)) as w:
        client = await w.client(head(length(4), EXPECTING))
        assert (await client.response()).status == 502


async def test_http_1_0_client_may_upload() -> None:
    async with world(Uploading()) as w:
        client = await w.client(head(length(10)).replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello")
        await seen_by_upstream(w, b"hello")
        await client.send(b"world")
        assert (await client.response()).status == 200
        assert w.upstream.received[0].body == b"helloworld"


def dying_second(served: list[bytes]) -> Callable[[Peer], object]:
    """Serve one request; close with the head of the second. Later connections serve all."""

    async def script(peer: Peer) -> None:
        is_first = not served
        served.append(b"")
        while True:
            await peer.head()
            if is_first and served[0]:
                return
            await peer.body()
            served[0] = b"x"
            await peer.write(sized())

    return script


@pytest.mark.parametrize(
    ("fields", "status"), [([EXPECTING], 200), ([], 502)], ids=["no body yet", "body sent"]
)
async def test_upload_is_sent_again_only_before_its_first_body_byte(fields: list[str], status: int) -> None:
    async with world(Uploading(), script=dying_second([])) as w:  # type: ignore[arg-type]
        client = await w.client()
        assert (await client.ask()).status == 200
        await client.send(head(length(6), *fields, method="PUT") + (b"" if fields else b"begin"))
        if fields:
            assert (await client.response()).status == 100
            await until_true(lambda: len(w.upstream.peers) == 2)
            await client.send(b"begins")
        assert (await client.response()).status == status
        assert len(w.upstream.peers) == (2 if fields else 1)


async def test_upload_of_which_an_addon_keeps_a_piece_back_is_not_sent_again() -> None:
    taken = asyncio.Event()

    def keep(piece: bytes) -> bytes:
        taken.set()
        return b""

    async def dying(peer: Peer) -> None:
        await peer.request()
        await peer.write(sized())
        await peer.head()
        await taken.wait()

    async with world(Uploading(keep), script=dying) as w:
        client = await w.client()
        assert (await client.ask()).status == 200
        await client.send(head(CHUNKS, method="PUT") + chunk(b"piece"))
        assert (await client.response()).status == 502
        assert len(w.upstream.peers) == 1


async def test_stream_function_sees_each_piece_and_the_end() -> None:
    pieces: list[bytes] = []

    def shout(piece: bytes) -> bytes:
        pieces.append(piece)
        return piece.upper()

    async with world(Uploading(shout)) as w:
        client = await w.client(head(CHUNKS))
        await client.send(chunk(b"hello"))
        await seen_by_upstream(w, b"HELLO")
        await client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 200
        assert w.upstream.received[0].body == b"HELLO"
        assert pieces == [b"hello", b""]


@pytest.mark.parametrize("result", [ValueError(), b"longer than before", b"less"])
async def test_stream_function_that_fails_or_changes_the_length_cuts_the_upstream(result: object) -> None:
    def function(piece: bytes) -> bytes:
        if isinstance(result, bytes):
            return result if piece else b""
        raise ValueError

    async with world(Uploading(function)) as w:
        client = await w.client(head(length(5)))
        await w.recorder.saw("server_connected")
        await client.send(b"hello")
        assert (await client.response()).status == 503
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)
        assert b"longer" not in w.upstream.raw


async def test_response_of_an_addon_at_request_ends_the_upload_before_any_upstream() -> None:
    def respond(flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(403, b"no")

    async with world(Uploading(), On(request=respond)) as w:
        client = await w.client(head(length(5 * MB)))
        assert (await client.response()).status == 403
        assert not w.upstream.peers


async def test_content_that_an_addon_sets_at_request_replaces_the_upload() -> None:
    def replace(flow: http.HTTPFlow) -> None:
        flow.request.data.content = b"other"

    async with world(Uploading(), On(request=replace)) as w:
        client = await w.client(head(length(500_000)))
        assert (await client.response()).status == 200
        assert w.upstream.received[0].body == b"other"
