"""The connections of the tests, on both event loops."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from shared.core.errors import StoreDown
from shared.redis_client.connection import RedisConnection
from shared.redis_client.endpoint import endpoint
from shared.redis_client.open import AnyConnection
from shared.redis_client.script import Script


@asynccontextmanager
async def link_to(
    options: Mapping[str, Any], deadline: float = 20, scripts: tuple[Script, ...] = ()
) -> AsyncIterator[RedisConnection]:
    """A link until the end of the block. A test machine may be slow, so it has time to answer."""
    link = RedisConnection(endpoint(options), scripts, deadline)
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def closing(link: AnyConnection) -> AsyncIterator[AnyConnection]:
    """A link until the end of the block. A loop of uvloop does not end before it."""
    try:
        yield link
    finally:
        await link.close()


async def served(link: RedisConnection, *command: str | int) -> Any:
    """The reply, as soon as there is one."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await link.call(*command)
            except StoreDown:
                await asyncio.sleep(0.005)


@contextmanager
def listener() -> Iterator[socket.socket]:
    """Accepts connections into its backlog, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent


@asynccontextmanager
async def responding(reply: Callable[[bytes], bytes]) -> AsyncIterator[tuple[dict[str, Any], list[bytes]]]:
    """A server whose every read of a connection is answered by `reply`; its address, and what it read."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            heard.append(data)
            writer.write(reply(data))
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        host, port = running.sockets[0].getsockname()
        yield {"host": host, "port": port}, heard
