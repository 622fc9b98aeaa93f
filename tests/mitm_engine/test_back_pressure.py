"""A response that is larger than memory passes as fast as its client reads, as the kernel counts it."""

import asyncio
import resource
import socket
from collections.abc import Iterator

import pytest
from mitmproxy import http

from mitm_engine.read_rate import ReadRate, has_left, reset, taken, unread
from tests.mitm_engine.world import Streaming, world
from tests.support.client import AsyncRawClient, request
from tests.support.upstream import CHUNKED, Peer, chunk
from tests.support.wait import until_true

MB = 1_000_000
PIECE = bytes(100_000)


def resident() -> int:
    """Bytes of memory that this process holds: engine, upstream and client together."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Source:
    """An upstream that sends `size` bytes as fast as they are taken."""

    def __init__(self, size: int, *, is_chunked: bool) -> None:
        self.size, self.is_chunked, self.sent = size, is_chunked, 0

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        sized = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size
        await peer.write(CHUNKED if self.is_chunked else sized)
        while self.sent < self.size:
            await peer.write(chunk(PIECE) if self.is_chunked else PIECE)
            self.sent += len(PIECE)
        if self.is_chunked:
            await peer.write(b"0\r\n\r\n")

    async def stuck(self) -> None:
        """Wait until nothing was taken for 0.1 seconds."""
        sent, since, loop = -1, 0.0, asyncio.get_running_loop()
        while sent < self.sent or loop.time() - since < 0.1:
            if sent < self.sent:
                sent, since = self.sent, loop.time()
            await asyncio.sleep(0.002)


async def read_away(client: AsyncRawClient, size: int) -> tuple[int, int]:
    """Read at least `size` bytes and keep none. Returns how many came, and the most memory seen."""
    got, most = 0, 0
    while got < size:
        data = await client.read(1_000_000)
        client.seen = b""
        assert data
        got += len(data)
        most = max(most, resident())
    return got, most


class Late:
    """An addon that waits for a while at the head of the response."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        flow.response.stream = True
        await asyncio.sleep(self.seconds)


async def _pass_through(addon: object, size: int, *, is_chunked: bool) -> None:
    source = Source(size, is_chunked=is_chunked)
    async with world(addon, script=source) as w:
        client = await w.client(receive_buffer=65_536)
        before = resident()
        await client.send(request())
        await w.recorder.saw("responseheaders")
        await source.stuck()  # the client reads nothing
        assert source.sent < 15 * MB  # what the kernel's buffers hold
        assert resident() - before < 20 * MB
        _, most = await read_away(client, size)
        assert most - before < 20 * MB
        await until_true(lambda: w.recorder.count("post_response") == 1)
        assert w.recorder.count("response") == 1


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_a_slow_reader_of_50_mb_does_not_make_the_process_grow(is_chunked: bool) -> None:
    await _pass_through(Streaming(), 50 * MB, is_chunked=is_chunked)


@pytest.mark.slow
@pytest.mark.parametrize("is_chunked", [True, False])
async def test_a_slow_hook_and_a_slow_reader_of_300_mb_do_not_make_the_process_grow(is_chunked: bool) -> None:
    await _pass_through(Late(1.0), 300 * MB, is_chunked=is_chunked)


async def test_a_slow_hook_holds_the_upstream_back() -> None:
    source = Source(50 * MB, is_chunked=True)
    async with world(Late(0.5), script=source) as w:
        client = await w.client()
        before = resident()
        await client.send(request())
        await w.recorder.saw("responseheaders")
        assert source.sent < 15 * MB
        assert resident() - before < 20 * MB
        await read_away(client, 50 * MB)


async def test_a_slow_stream_function_holds_the_upstream_back() -> None:
    pieces: list[int] = []

    async def slowly(piece: bytes) -> bytes:
        await asyncio.sleep(0.01)
        pieces.append(len(piece))
        return piece

    source = Source(50 * MB, is_chunked=False)
    async with world(Streaming(slowly), script=source) as w:
        client = await w.client()
        before = resident()
        await client.send(request())
        reading = asyncio.ensure_future(read_away(client, 50 * MB))
        await until_true(lambda: len(pieces) >= 20)
        assert source.sent < 30 * MB
        assert resident() - before < 20 * MB
        reading.cancel()


SIZE = 6 * 1024 * 1024  # more than the kernel takes


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as plug:
        yield plug


@pytest.fixture
def transport(runner: asyncio.Runner, client: socket.socket) -> Iterator[asyncio.Transport]:
    """The transport of a served connection of `client`."""

    async def serve() -> asyncio.Transport:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client.connect(listener.getsockname())
            client.setblocking(False)
            accepted = listener.accept()[0]
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, accepted)
        return transport

    made = runner.run(serve())
    yield made
    made.abort()
    runner.run(asyncio.sleep(0))


async def read(client: socket.socket, count: int) -> None:
    loop = asyncio.get_running_loop()
    while count > 0:
        count -= len(await loop.sock_recv(client, min(count, 65536)))


async def test_bytes_in_the_kernel_count_as_unread(
    transport: asyncio.Transport, client: socket.socket
) -> None:
    assert unread(transport) == 0
    transport.write(bytes(SIZE))
    assert 0 < unread(transport) <= SIZE
    assert unread(transport) > transport.get_write_buffer_size()
    await read(client, SIZE)
    await until_true(lambda: unread(transport) == 0)


async def test_bytes_read_by_the_client_are_counted_while_nothing_is_written(
    transport: asyncio.Transport, client: socket.socket
) -> None:
    transport.write(bytes(SIZE))
    await until_true(lambda: taken(transport) > 0)
    before = taken(transport)
    await read(client, SIZE)
    await until_true(lambda: taken(transport) > before)
    assert taken(transport) >= SIZE


async def test_a_reset_is_not_a_clean_end(transport: asyncio.Transport, client: socket.socket) -> None:
    transport.write(b"half")
    await read(client, 4)
    reset(transport)
    with pytest.raises(ConnectionResetError):
        await asyncio.get_running_loop().sock_recv(client, 1)
    assert unread(transport) == 0


async def test_a_client_is_too_slow_after_a_grace_without_enough_bytes_read(
    transport: asyncio.Transport, client: socket.socket
) -> None:
    loop, pace = asyncio.get_running_loop(), ReadRate()
    transport.write(bytes(SIZE))
    pace.begin(transport, 0.0)
    assert not pace.is_too_slow(transport, 9.0, 1.0, 10.0)
    before = taken(transport)
    while taken(transport) < before + 100_000:
        await loop.sock_recv(client, 65_536)
    # 100,000 bytes in 9.5 seconds are enough for 1,000 a second, and a new grace begins.
    assert not pace.is_too_slow(transport, 9.5, 1000.0, 10.0)
    assert not pace.is_too_slow(transport, 19.0, 1e9, 10.0)
    assert pace.is_too_slow(transport, 19.5, 1e9, 10.0)


async def test_a_client_that_left_is_noticed_without_reading(
    transport: asyncio.Transport, client: socket.socket
) -> None:
    transport.pause_reading()
    assert not has_left(transport)
    client.shutdown(socket.SHUT_WR)
    await until_true(lambda: has_left(transport), 5)
