"""The bytes that a client has read, as the kernel counts them."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from mitm_engine.read_rate import ReadRate, has_left, reset, taken, unread
from tests.support.wait import until_true

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


async def test_bytes_read_by_the_client_are_counted_while_the_buffer_stands_still(
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
