"""A small world: an engine on loopback in the test's own event loop, an upstream, clients and addons."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable

from mitmproxy import http

from mitm_engine.engine import Engine, make_master
from mitm_engine.options import Options, Policy, Terms
from tests.support.client import AsyncRawClient, Response
from tests.support.upstream import Script, Upstream, responding, sized
from tests.support.wait import until_true

HOOKS = (
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
)
FLOW_HOOKS = ("requestheaders", "request", "responseheaders", "response")


class Router:
    """Points every flow at the upstream."""

    def __init__(self, port: int, scheme: str = "http", host: str = "127.0.0.1") -> None:
        self.port, self.scheme, self.host = port, scheme, host

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        data = flow.request.data
        data.host, data.port, data.scheme = self.host, self.port, self.scheme.encode()


class Recorder:
    """Writes down which hooks fired, and keeps the last flow."""

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


class Streaming:
    """Lets every answer pass as it comes."""

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None:
            flow.response.stream = True


class World:
    """What a test holds: `engine`, `upstream`, the `recorder`, and clients that it makes."""

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


@contextlib.asynccontextmanager
async def world(
    *addons: object,
    script: Script | None = None,
    options: Options | None = None,
    terms: Terms | None = None,
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
