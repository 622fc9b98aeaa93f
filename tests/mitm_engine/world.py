"""An engine on loopback in the event loop of the test, with an upstream, clients and addons."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from mitmproxy import http

from mitm_engine.engine import Engine, make_master
from mitm_engine.options import Options, Policy, Terms
from tests.support.client import AsyncRawClient, Response
from tests.support.upstream import CHUNKED, Peer, Script, Upstream, chunk, responding, sized
from tests.support.wait import until_true

HOOKS = [
    "client_connected",
    "client_disconnected",
    "requestheaders",
    "request",
    "server_connect",
    "server_connected",
    "server_connect_error",
    "server_disconnected",
    "responseheaders",
    "response",
    "error",
    "post_response",
]
FLOW_HOOKS = ("requestheaders", "request", "responseheaders", "response")


class Router:
    """Points every flow at the upstream."""

    def __init__(self, port: int, scheme: str = "http", host: str = "127.0.0.1") -> None:
        self.port, self.scheme, self.host = port, scheme, host

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        data = flow.request.data
        data.host, data.port, data.scheme = self.host, self.port, self.scheme.encode()


class Recorder:
    """Records the hooks that fired and the flows."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        self.flows: list[http.HTTPFlow] = []
        for hook in HOOKS:
            setattr(self, hook, self._recording(hook))

    def _recording(self, hook: str) -> Callable[[object], None]:
        def record(subject: object) -> None:
            self.hooks.append(hook)
            if isinstance(subject, http.HTTPFlow) and subject not in self.flows:
                self.flows.append(subject)

        return record

    def last(self) -> http.HTTPFlow:
        return self.flows[-1]

    def failure(self) -> str:
        """The error of the last flow."""
        error = self.last().error
        assert error is not None
        return error.msg

    def count(self, hook: str) -> int:
        return self.hooks.count(hook)

    async def saw(self, hook: str, times: int = 1) -> None:
        """Wait until the hook fired."""
        await until_true(lambda: self.hooks.count(hook) >= times)


class On:
    """An addon with one hook."""

    def __init__(self, **hooks: Callable[..., object]) -> None:
        self.name = f"on-{id(self)}"  # mitmproxy wants one of each name
        for name, method in hooks.items():
            setattr(self, name, method)


class Waiting:
    """An addon that waits in some hooks for `go`, and notes when it does and when it was cancelled."""

    def __init__(self, *hooks: str) -> None:
        self.go, self.reached, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        for hook in hooks:
            setattr(self, hook, self._hang)

    async def _hang(self, subject: object) -> None:
        self.reached.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def fail(subject: object) -> None:
    """A hook that raises."""
    raise RuntimeError("an addon's own trouble")


class Streaming:
    """Passes every response as it comes, or through a function."""

    def __init__(self, through: Any = True) -> None:
        self.through = through

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None:
            flow.response.stream = self.through


class World:
    """The `engine`, the `upstream`, the `recorder`, and the clients of a test."""

    def __init__(self, engine: Engine, upstream: Upstream, recorder: Recorder, port: int) -> None:
        self.engine, self.upstream, self.recorder, self.port = engine, upstream, recorder, port
        self.clients: list[AsyncRawClient] = []

    async def client(self, data: bytes = b"", *, receive_buffer: int = 0) -> AsyncRawClient:
        """A new client, which sends `data`."""
        made = await AsyncRawClient.connect(self.port, receive_buffer=receive_buffer)
        self.clients.append(made)
        await made.send(data)
        return made

    async def ask(self, target: str = "/", method: str = "GET", body: bytes = b"", *more: str) -> Response:
        """The response to the only request of a new client."""
        return await (await self.client()).ask(target, method, body, *more)

    async def quiet(self) -> None:
        """Wait until no connection of a client is left."""
        await until_true(lambda: self.engine.connections == 0 and self.engine.metrics.in_flight == 0)


async def dripping(peer: Peer) -> None:
    """Send a chunk every 10 ms, without an end."""
    await peer.request()
    await peer.write(CHUNKED)
    while True:
        await peer.write(chunk(b"."))
        await asyncio.sleep(0.01)


async def stalling(peer: Peer) -> None:
    """Send a first chunk and nothing more."""
    await peer.request()
    await peer.write(CHUNKED + chunk(b"first"))
    await peer.until_gone()


def gated(go: asyncio.Event, first: bytes, last: bytes = b"0\r\n\r\n") -> Script:
    """Send a response whose last part waits for `go`."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(first)
        await go.wait()
        await peer.write(last)

    return script


@contextlib.asynccontextmanager
async def world(
    *addons: object,
    script: Script | None = None,
    options: Options | None = None,
    terms: Terms | None = None,
    policy: Policy | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    send_buffer: int = 0,
    streams: bool = False,
) -> AsyncIterator[World]:
    """An engine whose addons are a router, `addons` and a recorder; all of it ends with the context.

    `send_buffer` is the size of the kernel's buffer for a client, in bytes; 0 is its own choice. With `streams`
    every response passes as it comes.
    """
    recorder, upstream = Recorder(), Upstream(script or responding(sized()), tls)
    async with contextlib.AsyncExitStack() as ends:
        await upstream.start()
        ends.push_async_callback(upstream.stop)
        router = Router(upstream.port, "https" if tls else "http", host)
        if policy is None:
            policy = Policy(terms=lambda _: terms) if terms else Policy()
        master = make_master(router, *[Streaming()] * streams, *addons, recorder)
        engine = Engine(master, options or Options(drain_timeout=0.2), policy)
        ends.push_async_callback(engine.drain)
        listener = ends.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        listener.setblocking(False)
        accepting = asyncio.ensure_future(_accept(listener, engine, send_buffer))
        ends.callback(accepting.cancel)
        made = World(engine, upstream, recorder, listener.getsockname()[1])
        try:
            yield made
        finally:
            for client in made.clients:
                client.close()


async def _accept(listener: socket.socket, engine: Engine, send_buffer: int) -> None:
    loop = asyncio.get_running_loop()
    while True:
        sock, _ = await loop.sock_accept(listener)
        sock.setblocking(False)
        if send_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        engine.accept(sock)
