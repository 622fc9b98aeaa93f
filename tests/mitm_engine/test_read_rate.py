"""What a client has taken, asked of the kernel."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest
import uvloop

from mitm_engine.read_rate import ReadRate, has_left, reset, taken, unread
from tests.support.wait import until_true

SIZE = 6 * 1024 * 1024  # more than the kernel takes
Test = Callable[[asyncio.Transport, socket.socket], Awaitable[None]]


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """The transport of a served connection, and its client."""
    loop = asyncio.get_running_loop()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        client.setblocking(False)
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, listener.accept()[0])
        yield transport, client
        transport.abort()
        await asyncio.sleep(0)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Runs a test with a transport and its client, on either loop."""

    async def with_both(test: Test) -> None:
        async with connected() as both:
            await test(*both)

    def start(test: Test) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(with_both(test))

    return start


async def read(client: socket.socket, count: int) -> None:
    loop = asyncio.get_running_loop()
    while count > 0:
        count -= len(await loop.sock_recv(client, min(count, 65536)))


def test_what_is_in_the_kernel_counts_as_unread(run: Callable[[Test], None]) -> None:
    async def test(transport: asyncio.Transport, client: socket.socket) -> None:
        assert unread(transport) == 0
        transport.write(bytes(SIZE))
        assert 0 < unread(transport) <= SIZE
        assert unread(transport) > transport.get_write_buffer_size()
        await read(client, SIZE)
        await until_true(lambda: unread(transport) == 0)

    run(test)


def test_a_reader_is_seen_to_read_while_the_transports_buffer_stands_still(
    run: Callable[[Test], None],
) -> None:
    async def test(transport: asyncio.Transport, client: socket.socket) -> None:
        transport.write(bytes(SIZE))
        await until_true(lambda: taken(transport) > 0)
        before = taken(transport)
        await read(client, SIZE)
        await until_true(lambda: taken(transport) > before)
        assert taken(transport) >= SIZE

    run(test)


def test_a_reset_does_not_look_like_an_end(run: Callable[[Test], None]) -> None:
    async def test(transport: asyncio.Transport, client: socket.socket) -> None:
        transport.write(b"half")
        await read(client, 4)
        reset(transport)
        with pytest.raises(ConnectionResetError):
            await asyncio.get_running_loop().sock_recv(client, 1)
        assert unread(transport) == 0

    run(test)


def test_who_reads_nothing_is_too_slow_after_the_grace_and_who_reads_enough_is_not(
    run: Callable[[Test], None],
) -> None:
    async def scenario(transport: asyncio.Transport, client: socket.socket) -> None:
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

    run(scenario)


def test_a_client_that_has_left_is_seen_although_nothing_is_read(run: Callable[[Test], None]) -> None:
    async def scenario(transport: asyncio.Transport, client: socket.socket) -> None:
        transport.pause_reading()
        assert not has_left(transport)
        client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(5):
            while not has_left(transport):
                await asyncio.sleep(0.001)

    run(scenario)
