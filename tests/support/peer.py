"""A connection of the fake upstream (`tests/support/upstream.py`), and the requests that it reads."""

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass

from tests.support.header_fields import HeaderFields


@dataclass(eq=False)
class Received(HeaderFields):
    """One request as it came; `head` is its head to the last byte."""

    peer: "Peer"
    head: bytes
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""


class Peer:
    """One connection. `raw` holds every byte that came.

    When the other side has left, both `gone` (for the upstream's own loop) and `ended` (for threads) are set.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: list[Received]
    ) -> None:
        self.reader, self.writer = reader, writer
        self.raw, self.buffer = bytearray(), bytearray()
        self.gone, self.ended = asyncio.Event(), threading.Event()
        self._log = log
        self.last: Received | None = None

    def leave(self) -> None:
        self.gone.set()
        self.ended.set()

    async def fill(self) -> None:
        """Read some bytes. Raises `IncompleteReadError`, which is an EOFError, when none come any more."""
        try:
            data = await self.reader.read(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.leave()
            raise asyncio.IncompleteReadError(bytes(self.buffer), None)
        self.raw += data
        self.buffer += data

    async def until(self, mark: bytes) -> bytes:
        while (end := self.buffer.find(mark)) < 0:
            await self.fill()
        return await self.exactly(end + len(mark))

    async def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            await self.fill()
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    async def head(self) -> Received:
        """The head of the next request."""
        head = await self.until(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")[:-2]
        method, target, version = line.split(" ")
        headers = [
            (name, value.strip(" \t")) for name, _, value in (field.partition(":") for field in fields)
        ]
        self.last = Received(self, head, method, target, version, headers)
        self._log.append(self.last)
        return self.last

    async def body(self) -> Received:
        """The request whose head was read last, with its body."""
        assert self.last is not None
        if self.last.get("transfer-encoding"):
            while size := int((await self.until(b"\r\n")).partition(b";")[0], 16):
                self.last.body += (await self.exactly(size + 2))[:-2]
            while await self.until(b"\r\n") != b"\r\n":
                pass
        else:
            self.last.body = await self.exactly(int(self.last.get("content-length") or 0))
        return self.last

    async def request(self) -> Received:
        """The next request with its body."""
        await self.head()
        return await self.body()

    async def write(self, data: bytes) -> None:
        """Send, as fast as the other side reads. Raises `ConnectionError` when it has left."""
        try:
            if self.writer.is_closing():
                raise ConnectionResetError
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            self.leave()
            raise

    async def until_gone(self) -> None:
        """Read until the other side leaves."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                await self.fill()
        self.leave()

    def reset(self) -> None:
        """End the connection with RST."""
        plug: socket.socket = self.writer.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
