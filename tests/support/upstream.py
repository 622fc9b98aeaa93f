"""The fake upstream: it does with each connection what a script says, and records what it received.

A `Script` plays a whole connection. Without one the upstream plays exchanges: a sequence of actions for each,
taken from those that a test has planned (`plays`), or else `default`. The default answers by the last part of
the path, see `BY_PATH`.
"""

import asyncio
import contextlib
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from tests.support.peer import Peer, Received
from tests.support.wait import until

Script = Callable[[Peer], Awaitable[object]]
Action = Script


def sized(body: bytes = b"ok", status: str = "200 OK", *fields: str) -> bytes:
    """A response with a length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


OK = sized()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def replying(reply: Callable[[Received], bytes]) -> Script:
    """Answer each request of a connection by itself."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.write(reply(await peer.request()))

    return script


def responding(*responses: bytes) -> Script:
    """Give these responses, one per request, and the last one again and again."""
    left = list(responses)
    return replying(lambda _: left.pop(0) if len(left) > 1 else left[0])


def send(*pieces: bytes) -> Action:
    """Send each piece in a packet of its own, as far as the kernel goes along."""

    async def act(peer: Peer) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.002)
            await peer.write(piece)

    return act


def wait(event: threading.Event) -> Action:
    async def act(_: Peer) -> None:
        while not event.is_set():
            await asyncio.sleep(0.002)

    return act


async def hang(peer: Peer) -> None:
    """Send nothing until the gateway leaves."""
    while True:
        await peer.fill()


async def flood(peer: Peer) -> None:
    """Send chunks until the gateway leaves."""
    while True:
        await peer.write(chunk(b"x" * 65536))


async def half_close(peer: Peer) -> None:
    peer.writer.write_eof()


async def close(peer: Peer) -> None:
    raise ConnectionAbortedError


async def reset(peer: Peer) -> None:
    await peer.writer.drain()
    peer.reset()
    raise ConnectionResetError


async def endless(peer: Peer) -> None:
    """Send events until the gateway leaves."""
    await peer.write(STREAM)
    gone = asyncio.ensure_future(peer.until_gone())
    while not gone.done():
        await peer.write(chunk(b"data: {}\n\n"))
        await asyncio.wait([gone], timeout=0.02)
    raise ConnectionAbortedError


async def echo(peer: Peer) -> None:
    """Answer with the request's body: of the type X-Type, in the coding X-Coding, in pieces of X-Size bytes.

    With X-Size the first comes 50 ms after the head, and each 5 ms after the one before; with X-Open the
    response never ends. It has a length when X-Sized is there.
    """
    assert peer.last is not None
    request, body = peer.last, peer.last.body
    size, is_sized = int(request.get("x-size") or 0), request.get("x-sized")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {request.get('x-type')}\r\n"
    if coding := request.get("x-coding"):
        head += f"Content-Encoding: {coding}\r\n"
    head += f"Content-Length: {len(body)}\r\n" if is_sized else "Transfer-Encoding: chunked\r\n"
    await peer.write(f"{head}\r\n".encode())
    # Events that arrive together are judged together.
    pause = float(request.get("x-pause") or 0.005)
    await asyncio.sleep(0.05 if size else 0)
    for start in range(0, len(body), size or len(body)):
        piece = body[start : start + (size or len(body))]
        await peer.write(piece if is_sized else chunk(piece))
        if size:
            await asyncio.sleep(pause)
    if request.get("x-open"):
        await peer.until_gone()
        raise ConnectionAbortedError
    if not is_sized:
        await peer.write(b"0\r\n\r\n")


def _events(pause: float, end: Action) -> Sequence[Action]:
    async def act(peer: Peer) -> None:
        await peer.write(STREAM)
        for number in range(4):
            await peer.write(chunk(b'data: {"n": %d}\n\n' % number))
            await asyncio.sleep(pause)

    return act, end


_END = send(b"0\r\n\r\n")
_JSON = "Content-Type: application/json"
#: The response to a path that ends so. Every other request gets 200 and ``{"ok": true}``.
BY_PATH: dict[str, Sequence[Action]] = {
    "empty": [send(b"HTTP/1.1 204 No Content\r\n\r\n")],
    "unchanged": [send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")],
    "error": [send(sized(b'{"error": "upstream"}', "500 Internal Server Error", _JSON))],
    "cookies": [send(sized(b"{}", "201 Made Up", "Set-Cookie: a=1", "Set-Cookie: b=2"))],
    "stream": _events(0.1, _END),
    "events": _events(0.0, _END),
    "cut": _events(0.01, close),
    "endless": [endless],
    "half": [send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), close],
    "silent": [close],
    "garbage": [send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), close],
    "tell": [echo],
}


async def respond_by_path(peer: Peer) -> None:
    request = await peer.request()
    plain = send(sized(b"" if request.method == "HEAD" else b'{"ok": true}', "200 OK", _JSON))
    for action in BY_PATH.get(request.target.partition("?")[0].rpartition("/")[2], [plain]):
        await action(peer)


#: Reads a request: the first actions of most exchanges.
REQUEST: tuple[Action, ...] = (Peer.head, Peer.body)


class Upstream:
    """Listens on loopback: in the running loop (`start`, `stop`), or as a context in a thread of its own.

    `received` grows with every head, `peers` with every connection, `server_names` with every SNI.
    """

    def __init__(
        self,
        script: Script | None = None,
        tls: ssl.SSLContext | None = None,
        default: Sequence[Action] = (respond_by_path,),
    ) -> None:
        self.script = script or self._play
        self.received: list[Received] = []
        self.peers: list[Peer] = []
        self.server_names: list[str | None] = []
        self.port = 0
        self._tls, self._default = tls, default
        self._scripts: deque[Sequence[Action]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def plays(self, *scripts: Sequence[Action]) -> None:
        """Plan the next exchanges; each begins with its first byte, on whichever connection that comes."""
        self._scripts.extend(scripts)

    def responds(self, *pieces: bytes) -> None:
        """Read the next request whole and send these bytes."""
        self.plays([*REQUEST, send(*pieces)])

    @property
    def raw(self) -> bytes:
        """Every byte of every connection."""
        return b"".join(bytes(peer.raw) for peer in self.peers)

    def await_requests(self, count: int, seconds: float = 3.0) -> list[Received]:
        """The requests, once there are so many."""
        for _ in until(seconds):
            if len(self.received) >= count:
                break
        assert len(self.received) == count, self.raw
        return self.received

    def forget(self) -> None:
        """End all connections; drop what was received and what is planned."""
        asyncio.run_coroutine_threadsafe(self._end_peers(), self._loop).result(5)
        self.received.clear()
        self.peers.clear()
        self._scripts.clear()

    async def _end_peers(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _play(self, peer: Peer) -> None:
        while True:
            if not peer.buffer:
                await peer.fill()
            for action in self._scripts.popleft() if self._scripts else self._default:
                await action(peer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer, self.received)
        self.peers.append(peer)
        try:
            await self.script(peer)
        except (OSError, EOFError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            peer.leave()
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def start(self) -> None:
        if self._tls:
            self._tls.sni_callback = lambda _, name, __: self.server_names.append(name)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await self._end_peers()
        for _ in range(3):  # aborted transports close in the turns of the loop that follow
            await asyncio.sleep(0)

    def __enter__(self) -> "Upstream":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result(5)
        asyncio.run_coroutine_threadsafe(_end_handshakes(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


async def _end_handshakes() -> None:
    """Cancel what the loop still does for connections that it was about to accept."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=2)
