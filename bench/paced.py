"""`python -m bench.paced`: an upstream, and a load of requests at a fixed rate, in a process of their own.

It prints the port of its upstream. Each line of its input is JSON: the port to load, the call, the rate and
the seconds. For each it prints the latencies in seconds.
"""

import asyncio
import json
import sys
from typing import Any

import uvloop

from bench.gateway import RESPONSE
from bench.load import Call
from bench.programs import BenchFailed

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(RESPONSE)
_CONNECTIONS = 32


class _Upstream(asyncio.Protocol):
    """Responds to each request with `RESPONSE`. A small request comes in one piece."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(_HEAD + RESPONSE)


class _Client(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire
        self._received = b""
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._done is not None and self._received.endswith(RESPONSE):
            if not self._received.startswith(b"HTTP/1.1 200 "):
                self._done.set_exception(BenchFailed(f"expected 200, got {self._received[:200]!r}"))
            else:
                self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(BenchFailed(f"the connection ended: {self._received[:200]!r}"))

    async def exchange(self) -> None:
        self._received, self._done = b"", asyncio.get_running_loop().create_future()
        self._transport.write(self._wire)
        await self._done


async def paced(port: int, call: Call, rate: float, seconds: float) -> list[float]:
    """Send `rate` requests per second for so long. Return their latencies. Raises `BenchFailed`."""
    loop, wire, every = asyncio.get_running_loop(), call.encode(), _CONNECTIONS / rate
    begun, times = loop.time(), list[float]()

    async def send(number: int) -> None:
        transport, client = await loop.create_connection(lambda: _Client(wire), "127.0.0.1", port)
        due = begun + number / rate
        while due < begun + seconds:
            await asyncio.sleep(due - loop.time())
            sent = loop.time()
            await client.exchange()
            times.append(loop.time() - sent)
            due += every
        transport.close()

    await asyncio.gather(*map(send, range(_CONNECTIONS)))
    return times


async def _main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        wanted = json.loads(line)
        call = Call(wanted["path"], wanted["headers"], wanted["body"].encode())
        print(json.dumps(await paced(wanted["port"], call, wanted["rate"], wanted["seconds"])), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
