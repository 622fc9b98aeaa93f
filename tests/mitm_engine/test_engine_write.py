"""What an addon writes beside an answer, when that answer breaks off."""

import asyncio
import socket

from mitmproxy import http

from mitm_engine.engine import Engine, make_master

RESPONSE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"


class Addon:
    """Its stream function fails at the piece of that number; in `error` it adds to the answer."""

    engine: Engine

    def __init__(self, port: int, fails_at: int) -> None:
        self._port = port
        self._left = fails_at

    def request(self, flow: http.HTTPFlow) -> None:
        flow.request.host, flow.request.port = "127.0.0.1", self._port

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = self._fail

    def _fail(self, piece: bytes) -> bytes:
        self._left -= 1
        if not self._left:
            raise ValueError("broken")
        return piece

    def error(self, flow: http.HTTPFlow) -> None:
        self.engine.write(flow, b"5\r\nadded\r\n")


async def has_response(fails_at: int) -> bytes:
    """All that a client gets when the upstream's second piece comes after the client has the first."""
    more = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RESPONSE)
        await more.wait()
        writer.write(b"6\r\nsecond\r\n")
        await reader.read()
        writer.close()

    upstream = await asyncio.start_server(serve, "127.0.0.1", 0)
    addon = Addon(upstream.sockets[0].getsockname()[1], fails_at)
    addon.engine = Engine(make_master(addon))
    with socket.create_server(("127.0.0.1", 0)) as gate:
        reader, writer = await asyncio.open_connection(*gate.getsockname())
        accepted, _ = gate.accept()
    accepted.setblocking(False)
    addon.engine.accept(accepted)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    if b"200 OK" in head:
        head += await reader.readexactly(10)
    more.set()
    received = head + await reader.read()
    writer.close()
    upstream.close()
    await addon.engine.drain()
    return received


def test_it_stands_behind_what_was_sent() -> None:
    received = asyncio.run(has_response(fails_at=2))
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\n5\r\nfirst\r\n5\r\nadded\r\n")


def test_it_is_not_sent_before_the_head_of_another_answer() -> None:
    received = asyncio.run(has_response(fails_at=1))
    assert received.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"added" not in received
