"""An upstream for loads: a program of its own, so that it is fast and takes nothing from the test's process.

Tests start it by `LoadUpstream`. ``python -m tests.support.load_upstream [ADDRESS [CERTIFICATE]]``
prints its port and serves until its input ends. The path's parts after ``/v1`` choose the response:

    ok                 a small JSON document
    wait/MS            the same after so many milliseconds
    bytes/N            N bytes
    events/N/MS/ID     N events that carry ID and their number, MS apart
    hold               one event, and nothing more until the client leaves
    silent             nothing at all
    cut                the first half of a body
    open, count        (asked directly) how many streams are open, how many requests came
"""

import asyncio
import ssl
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httptools
import requests
import uvloop

from tests.support.gateway import ROOT, RunningGateway, TenantInUse

SMALL = b'{"ok": true}'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_PIECE = bytes(256 * 1024)
seen: Counter[str] = Counter()
tasks: set[asyncio.Task[None]] = set()


def sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def event(identity: str, number: int) -> bytes:
    data = b'data: {"stream": "%s", "n": %d}\n\n' % (identity.encode(), number)
    return b"%x\r\n%s\r\n" % (len(data), data)


class Served(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpRequestParser(self)
        self.can_write = asyncio.Event()
        self.can_write.set()
        self.task: asyncio.Task[None] | None = None
        self.url = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_message_complete(self) -> None:
        kind, *arguments = self.url.decode().removeprefix("/v1").strip("/").split("/")
        seen["requests"] += 1
        if kind == "ok":
            self.transport.write(sized(SMALL))
        elif kind in ("open", "count"):
            self.transport.write(sized(b"%d" % seen["streams" if kind == "open" else "requests"]))
        elif kind != "silent":
            self.task = asyncio.get_running_loop().create_task(getattr(self, kind)(*arguments))
            tasks.add(self.task)
            self.task.add_done_callback(tasks.discard)

    async def wait(self, milliseconds: str) -> None:
        await asyncio.sleep(int(milliseconds) / 1000)
        self.transport.write(sized(SMALL))

    async def bytes(self, count: str) -> None:
        left = int(count)
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
        while left:
            await self.can_write.wait()
            self.transport.write(_PIECE[:left])
            left -= min(left, len(_PIECE))

    async def events(self, count: str, milliseconds: str, identity: str) -> None:
        self.transport.write(STREAM)
        for number in range(int(count)):
            self.transport.write(event(identity, number))
            await asyncio.sleep(int(milliseconds) / 1000)
        self.transport.write(b"0\r\n\r\n")

    async def hold(self) -> None:
        seen["streams"] += 1
        try:
            self.transport.write(STREAM + event("hold", 0))
            await asyncio.Event().wait()
        finally:
            seen["streams"] -= 1

    async def cut(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        self.transport.close()

    def pause_writing(self) -> None:
        self.can_write.clear()

    def resume_writing(self) -> None:
        self.can_write.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()


class LoadUpstream:
    """Runs until the end of the block; with a `certificate` (a PEM file with its key) it speaks TLS."""

    def __init__(self, certificate: Path | None = None, address: str = "127.0.0.1") -> None:
        self.scheme = "https" if certificate else "http"
        self.address = address
        self._arguments = [address, *([str(certificate)] if certificate else [])]
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """The target of a rule on ``/v1``."""
        return f"{self.scheme}://{self.address}:{self.port}"

    def __enter__(self) -> "LoadUpstream":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.load_upstream", *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def tenant(self, gateway: RunningGateway, *chain: dict[str, Any]) -> TenantInUse:
        """A tenant whose rule leads here, behind the plugins of `chain`."""
        made = gateway.create_tenant(tier="enterprise")
        made.create_rule("/v1", self.url, plugin_chain=list(chain))
        return made

    def ask(self, what: str) -> int:
        """Its own count of ``open`` streams, or of requests (``count``)."""
        return int(requests.get(f"{self.url}/v1/{what}", timeout=10, verify=False).text)


async def main(address: str = "127.0.0.1", certificate: str = "") -> None:
    loop, tls = asyncio.get_running_loop(), None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    server = await loop.create_server(Served, address, 0, ssl=tls, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
