"""A fake HTTP proxy: it opens a tunnel for every CONNECT, and records the requests."""

import asyncio
import contextlib
from collections.abc import Mapping

from tests.support.peer import Peer
from tests.support.upstream import Script

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def tunneling(names: Mapping[str, str] | None = None) -> Script:
    """Connect to the address that CONNECT names, and pass bytes both ways. It resolves `names` itself."""

    async def script(peer: Peer) -> None:
        asked = await peer.head()
        host, _, port = asked.target.rpartition(":")
        address = (names or {}).get(host, host).strip("[]")
        reader, writer = await asyncio.open_connection(address, int(port))
        await peer.write(OPENED)
        back = asyncio.ensure_future(_pipe(reader, peer.writer))
        try:
            await _pipe(peer.reader, writer)
        finally:
            back.cancel()
            writer.close()

    return script


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
