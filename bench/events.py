"""An upstream that streams: `python -m bench.events --port PORT [--certificate FILE]`, on 127.0.0.1.

What it answers is chosen by the path's last part: `two` streams one event, and a second one and the end once
somebody calls `end`; `hold` streams one event and stays silent until the client goes; all else, and `end`, is
answered with a small JSON document. It reads requests with a Content-Length only, as all send them here.
"""

import argparse
import asyncio
import ssl
from pathlib import Path
from typing import ClassVar, cast

import uvloop

from bench.nginx import RESPONSE

_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(RESPONSE),
    RESPONSE.encode(),
)
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
)
_END = b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"


class Events(asyncio.Protocol):
    """One connection. All share the streams that wait for their end."""

    _unfinished: ClassVar[list[asyncio.Transport]] = []

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (split := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:split]
            length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            end = split + 4 + int(length or 0)
            if len(self._received) < end:
                return
            self._received = self._received[end:]
            self._response(head.split(b" ", 2)[1].rpartition(b"/")[2])

    def _response(self, kind: bytes) -> None:
        if kind == b"two":
            self._unfinished.append(self._transport)
        elif kind == b"end":
            while self._unfinished:
                self._unfinished.pop().write(_END)
        self._transport.write(_STREAM if kind in (b"two", b"hold") else _JSON)


async def serve(port: int, certificate: Path | None) -> None:
    """Serve until the process is ended. `certificate` is a PEM file with certificate and key."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Events, "127.0.0.1", port, ssl=context, backlog=4096)
    await server.serve_forever()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="An upstream that streams events.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", type=Path)
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.certificate))


if __name__ == "__main__":
    main()
