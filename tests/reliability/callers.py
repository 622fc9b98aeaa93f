"""A minimal client, and the connections that it opens."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.gateway import TenantInUse

PATIENCE = 60.0  # seconds; a bound, not a wait


class Broken(Exception):
    """The connection ended before the response was complete."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, and the seconds that it took from the request on."""

    status: int
    head: bytes
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Caller:
    """The port of the proxy, the Host and key to send, and under TLS the authority to trust."""

    port: int
    host: str = ""
    key: str = ""
    authority: Path | None = None
    tls: ssl.SSLContext | None = None
    address: str = "127.0.0.1"

    @classmethod
    def trusting(cls, port: int, host: str, key: str, authority: Path | None) -> "Caller":
        context = ssl.create_default_context(cafile=authority) if authority else None
        return cls(port, host, key, authority, context)

    @classmethod
    def of(cls, tenant: TenantInUse, authority: Authority | None = None) -> "Caller":
        file = authority.file if authority else None
        return cls.trusting(tenant.gateway.proxy_port, tenant.host, tenant.key, file)

    def request(self, path: str, method: str = "GET", body: bytes = b"", *fields: str) -> bytes:
        """A whole request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *fields]
        if self.key:
            lines.append(f"Authorization: Bearer {self.key}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def open(self, source: str = "127.0.0.1") -> "Line":
        """A new connection, from that address if the proxy is on this machine. Raises OSError."""
        local = (source, 0) if self.address.startswith("127.") else None
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(
                self.address, self.port, ssl=self.tls, local_addr=local
            )
        return Line(reader, writer)

    async def stream(self, path: str, number: int = 0) -> "Line":
        """A new connection with a response of 200 whose body is left to be read; `number` varies the address."""
        line = await self.open(f"127.0.0.{2 + number % 100}")
        line.writer.write(self.request(path))
        assert b" 200 " in await line.head()
        return line


class Line:
    """One connection. `is_over` is true when no more responses come; `asked` counts the requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.asked = 0
        self._closes = False

    @property
    def is_over(self) -> bool:
        return self._closes or self.reader.at_eof() or self.writer.is_closing()

    async def ask(self, request: bytes) -> Response:
        """Send a request and read its response. Raises `Broken`."""
        start = time.perf_counter()
        self.asked += 1
        try:
            async with asyncio.timeout(PATIENCE):
                self.writer.write(request)
                head = await self.head()
                body = await self._body(head)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Broken(repr(error)) from None
        self._closes = b"\r\nconnection: close" in head
        return Response(int(head[9:12]), head, body, time.perf_counter() - start)

    async def head(self) -> bytes:
        """The head of a response, in lower case."""
        return (await self.reader.readuntil(b"\r\n\r\n")).lower()

    async def _body(self, head: bytes) -> bytes:
        _, found, rest = head.partition(b"\r\ncontent-length:")
        if found:
            return await self.reader.readexactly(int(rest.partition(b"\r\n")[0]))
        pieces = [piece async for piece in self.chunks()]
        return b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a body, one by one."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    def close(self) -> None:
        self.writer.transport.abort()
