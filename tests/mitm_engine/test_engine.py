"""The engine between a real client and a real upstream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from mitmproxy import http

from mitm_engine import Engine, make_master

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b"7\r\ndata: 1\r\n"


class Addon:
    """Leads every request to the upstream; its stream function fails, and `error` adds to the answer."""

    engine: Engine

    def __init__(self, port: int, fails_at: int) -> None:
        self._port = port
        self._pieces = fails_at

    def request(self, flow: http.HTTPFlow) -> None:
        flow.request.host, flow.request.port, flow.request.scheme = "127.0.0.1", self._port, "http"

    def server_connect(self, data: object) -> None:
        data.server.peername = data.server.address  # type: ignore[attr-defined]

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = self._fail

    def _fail(self, piece: bytes) -> bytes:
        self._pieces -= 1
        if not self._pieces:
            raise ValueError("broken")
        return piece

    def error(self, flow: http.HTTPFlow) -> None:
        self.engine.write(flow, b"5\r\nwords\r\n")


@contextlib.asynccontextmanager
async def served(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]], fails_at: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answer(writer)
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    upstream = await asyncio.start_server(serve, "127.0.0.1", 0)
    addon = Addon(upstream.sockets[0].getsockname()[1], fails_at)
    addon.engine = engine = Engine(make_master(addon))
    front = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    listening = front.sockets[0].dup() if hasattr(front.sockets[0], "dup") else front.sockets[0]
    del listening
    front.close()
    import socket

    with socket.create_server(("127.0.0.1", 0)) as gate:
        client = await asyncio.open_connection(*gate.getsockname())
        accepted, _ = gate.accept()
    accepted.setblocking(False)
    engine.accept(accepted)
    try:
        client[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        yield client
    finally:
        client[1].close()
        upstream.close()
        await engine.drain()


@pytest.mark.parametrize("fails_at", [1, 2])
def test_what_an_addon_writes_beside_an_answer_never_comes_before_its_head(fails_at: int) -> None: ...
