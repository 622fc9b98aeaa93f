"""An upstream that does exactly what a test tells it, and writes down exactly what it received.

A script is a list of actions for one exchange. The next script begins with the first byte of the next
exchange, on whichever connection that comes; without a script the answer is a plain 200.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.end_to_end.running_gateway import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Received:
    """One request as it came over the wire; `head` is its head to the last byte."""

    head: bytes
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


@dataclass
class Visit:
    """One connection: every byte that came is in `raw`; `ended` is set when the gateway has left."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    log: list[Received]
    raw: bytearray = field(default_factory=bytearray)
    buffer: bytearray = field(default_factory=bytearray)
    ended: threading.Event = field(default_factory=threading.Event)

    async def fill(self) -> None:
        """Wait for bytes. Raises `IncompleteReadError` at the end of the connection."""
        try:
            data = await self.reader.read(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.ended.set()
            raise asyncio.IncompleteReadError(bytes(self.buffer), None)
        self.raw += data
        self.buffer += data

    async def say(self, data: bytes) -> None:
        """Send, as fast as the gateway reads. Raises `ConnectionError` when it has left."""
        self.writer.write(data)
        try:
            await self.writer.drain()
        except ConnectionError:
            self.ended.set()
            raise

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


Action = Callable[[Visit], Awaitable[None]]


async def read_head(visit: Visit) -> None:
    head = await visit.until(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")[:-2]
    method, target, version = line.split(" ")
    headers = [(name, value.strip(" \t")) for name, _, value in (item.partition(":") for item in fields)]
    visit.log.append(Received(head, method, target, version, headers))


async def read_body(visit: Visit) -> None:
    seen = visit.log[-1]
    if seen.get("transfer-encoding"):
        while size := int((await visit.until(b"\r\n")).partition(b";")[0], 16):
            seen.body += (await visit.exactly(size + 2))[:-2]
        while await visit.until(b"\r\n") != b"\r\n":
            pass
    else:
        seen.body = await visit.exactly(int(seen.get("content-length") or 0))


def send(*pieces: bytes) -> Action:
    """Send each piece in a packet of its own, as far as the kernel goes along."""

    async def act(visit: Visit) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.002)
            await visit.say(piece)

    return act


def wait(event: threading.Event) -> Action:
    async def act(_: Visit) -> None:
        while not event.is_set():
            await asyncio.sleep(0.002)

    return act


async def hang(visit: Visit) -> None:
    """Say nothing until the gateway leaves."""
    while True:
        await visit.fill()


async def flood(visit: Visit) -> None:
    """Send chunks until the gateway leaves."""
    while True:
        await visit.say(b"10000\r\n" + b"x" * 65536 + b"\r\n")


async def half_close(visit: Visit) -> None:
    visit.writer.write_eof()


async def close(visit: Visit) -> None:
    raise ConnectionAbortedError


async def reset(visit: Visit) -> None:
    """Leave without goodbye (RST)."""
    await visit.writer.drain()
    plug: socket.socket = visit.writer.get_extra_info("socket")
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.writer.transport.abort()
    raise ConnectionResetError


REQUEST: tuple[Action, ...] = (read_head, read_body)


class ScriptedUpstream:
    """Runs in a thread of its own. `received` grows with every head, `visits` with every connection."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.visits: list[Visit] = []
        self.port = 0
        self._scripts: deque[Sequence[Action]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def plays(self, *scripts: Sequence[Action]) -> None:
        """What the next exchanges get, one script each."""
        self._scripts.extend(scripts)

    def responses(self, *pieces: bytes) -> None:
        """The next exchange is read whole and gets these bytes."""
        self.plays([*REQUEST, send(*pieces)])

    @property
    def raw(self) -> bytes:
        """Every byte of every connection."""
        return b"".join(bytes(visit.raw) for visit in self.visits)

    def await_requests(self, count: int, seconds: float = 3.0) -> list[Received]:
        """The requests, when there are so many of them."""
        for _ in until(seconds):
            if len(self.received) >= count:
                break
        assert len(self.received) == count, self.raw
        return self.received

    def forget(self) -> None:
        """End all connections, and everything that was seen or planned."""
        asyncio.run_coroutine_threadsafe(self._end_visits(), self._loop).result(5)
        self.received.clear()
        self.visits.clear()
        self._scripts.clear()

    async def _end_visits(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        visit = Visit(reader, writer, self.received)
        self.visits.append(visit)
        try:
            while True:
                if not visit.buffer:
                    await visit.fill()
                for action in self._scripts.popleft() if self._scripts else (*REQUEST, send(OK)):
                    await action(visit)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    @contextlib.contextmanager
    def running(self) -> Iterator["ScriptedUpstream"]:
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(start, self._loop).result(5)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(server.close)
            self.forget()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._loop.close()
