"""An upstream that does with each connection what a test's script says."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name]


class Peer:
    """One connection from the engine, in the hands of a script."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.gone = asyncio.Event()

    async def head(self) -> Asked:
        """The head of the next request. Raises EOFError when none comes any more."""
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = raw.split("\r\n")[:-2]
        method, target, version = line.split(" ")
        assert version == "HTTP/1.1"
        pairs = [field.partition(":") for field in rest]
        return Asked(method, target, [(name, value.strip()) for name, _, value in pairs], b"")

    async def request(self) -> Asked:
        """The next request with its body."""
        asked = await self.head()
        lengths = asked.all("content-length")
        body = await self.reader.readexactly(int(lengths[0])) if lengths else b""
        return Asked(asked.method, asked.target, asked.fields, body)

    async def write(self, data: bytes) -> None:
        if self.writer.is_closing():
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    async def until_gone(self) -> None:
        """Wait until the engine has closed."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass
        self.gone.set()

    def reset(self) -> None:
        """End with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]
Reply = Callable[[Asked], bytes]


def sized(body: bytes = b"ok", status: str = "200 OK", *fields: str) -> bytes:
    """An answer with a length."""
    return (
        "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]).encode() + body
    )


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def replying(reply: Reply) -> Script:
    """Answer each request of a connection by itself."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.write(reply(await peer.request()))

    return script


def responding(*responses: bytes) -> Script:
    """Give these answers, one a request, the last one again and again."""
    left = list(responses)

    def reply(_: Asked) -> bytes:
        return left.pop(0) if len(left) > 1 else left[0]

    return replying(reply)


class ScriptedUpstream:
    """Listens on loopback; `peers` holds every connection that came."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.peers: list[Peer] = []
        self.asked: list[Asked] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            await self.script(peer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            peer.gone.set()
            writer.close()
            self._tasks.discard(task)

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
