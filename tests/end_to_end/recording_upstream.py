"""An upstream on a real socket that writes down what it got and answers what a test asks for.

The answer is chosen by the path's last part; see `_RESPONSES`. Everything else is answered with 200 and
``{"ok": true}``.
"""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class Seen:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    closed: threading.Event = field(default_factory=threading.Event)

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


Handler = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RecordingUpstream:
    """Runs in a thread of its own; `seen` grows with every request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.port = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "RecordingUpstream":
        started = threading.Event()
        self._loop.call_soon(started.set)
        self._thread.start()
        started.wait()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Aborted transports close in the turns of the loop that follow.
            for _ in range(3):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while seen := await _read(reader):
                self.seen.append(seen)
                last = seen.target.partition("?")[0].rpartition("/")[2]
                await _RESPONSES.get(last, _ok)(seen, reader, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, OSError):
        return None
    line, *fields = head.split("\r\n")[:-2]
    method, target, _ = line.split(" ")
    headers = [(name, value.strip()) for name, _, value in (item.partition(":") for item in fields)]
    seen = Seen(method, target, headers, b"")
    if length := seen.get("content-length"):
        seen.body = await reader.readexactly(int(length))
    return seen


def _sized(status: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


async def _ok(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        _sized("200 OK", b"" if seen.method == "HEAD" else b'{"ok": true}', "Content-Type: application/json")
    )


async def _error(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        _sized("500 Internal Server Error", b'{"error": "upstream"}', "Content-Type: application/json")
    )


async def _cookies(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    extra = [
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "X-RateLimit-Limit-Requests: 9",
        "X-Gateway-Error-Source: me",
    ]
    writer.write(_sized("201 Made Up", b"{}", *extra))


_EVENTS = [b'data: {"n": %d}\n\n' % n for n in range(4)]
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _events(writer: asyncio.StreamWriter, pause: float) -> None:
    writer.write(_STREAM)
    for event in _EVENTS:
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(pause)


async def _stream(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _events(writer, 0.1)
    writer.write(b"0\r\n\r\n")


async def _quick_events(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _events(writer, 0.0)
    writer.write(b"0\r\n\r\n")


async def _cut(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _events(writer, 0.01)
    raise ConnectionAbortedError


async def _endless(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Events until the gateway goes away."""
    writer.write(_STREAM)
    gone = asyncio.ensure_future(reader.read(1))
    while not gone.done():
        writer.write(b"a\r\ndata: {}\n\n\r\n")
        await writer.drain()
        await asyncio.wait([gone], timeout=0.02)
    seen.closed.set()
    raise ConnectionAbortedError


async def _half(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    raise ConnectionAbortedError


async def _silent(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raise ConnectionAbortedError


async def _garbage(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()
    raise ConnectionAbortedError


async def _early(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _sized("200 OK", b"{}"))


async def _tell(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the request's body: of the type X-Type, in the coding X-Coding, in pieces of X-Size bytes.

    With X-Size the first comes 50 ms after the head, and each 5 ms after the one before; with X-Open the
    answer never ends. It has a length when X-Sized is there.
    """
    body, size = seen.body, int(seen.get("x-size") or 0)
    head = [f"HTTP/1.1 200 OK\r\nContent-Type: {seen.get('x-type')}\r\n"]
    if coding := seen.get("x-coding"):
        head.append(f"Content-Encoding: {coding}\r\n")
    chunked = not seen.get("x-sized")
    head.append("Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {len(body)}\r\n")
    writer.write("".join((*head, "\r\n")).encode())
    if size:
        await writer.drain()
        await asyncio.sleep(0.05)
    for start in range(0, len(body), size or len(body)):
        piece = body[start : start + (size or len(body))]
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if writer.is_closing():
            break
        await writer.drain()
        if size:
            await asyncio.sleep(0.005)
    if seen.get("x-open"):
        await reader.read(1)
        seen.closed.set()
        raise ConnectionAbortedError
    if chunked:
        writer.write(b"0\r\n\r\n")


_RESPONSES: dict[str, Handler] = {
    "error": _error,
    "cookies": _cookies,
    "stream": _stream,
    "events": _quick_events,
    "cut": _cut,
    "endless": _endless,
    "half": _half,
    "silent": _silent,
    "garbage": _garbage,
    "early": _early,
    "tell": _tell,
}
