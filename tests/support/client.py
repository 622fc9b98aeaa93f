"""The raw client, which writes bytes and reads responses strictly: `RawClient` blocks, `AsyncRawClient` awaits.

The reader is written from RFC 9112, sections 4 to 7, shares nothing with the gateway, and uses none of the
leniencies.
"""

import asyncio
import contextlib
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.support.header_fields import HeaderFields

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
# Seconds between two pieces, so that the other side reads them apart.
_GAP = 0.002


class NotHTTP(Exception):
    """The bytes are not a response that a strict client would take."""


class Ended(Exception):
    """The connection ended: `how` is ``closed`` or ``reset``."""

    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(f"The connection was {how}.")


class _Incomplete(Exception):
    """More bytes are needed."""


@dataclass(frozen=True)
class Response(HeaderFields):
    """A response, whole or cut.

    Attributes:
        framing: none, sized, chunked or closed.
        cut: how the connection ended before the body was whole.
        pieces: the chunks, or the reads of other bodies.
        interim: the 1xx responses that came before.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    framing: str
    body: bytes = b""
    cut: str | None = None
    pieces: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list["Response"] = field(default_factory=list)

    @property
    def closes(self) -> bool:
        return self.get("connection") == "close"

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]


@dataclass
class Reading:
    """Reads responses from a source of bytes. `more` gets some; it raises `Ended` at the end."""

    more: Callable[[], bytes]
    buffer: bytes = b""

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.buffer += self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            self.buffer += self.more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise NotHTTP(f"A line does not end with CRLF: {line!r}")
        return line[:-1]

    def response(self, method: str) -> Response:
        """The response to a request of this method, whole or cut. Raises `Ended` before a whole head."""
        interim: list[Response] = []
        while (got := self.message(method)).status < 200:
            interim.append(got)
        return replace(got, interim=interim)

    def message(self, method: str) -> Response:
        """The next response, which may be an interim one."""
        head, pieces = self.head(method), list[bytes]()
        cut, trailers = self._body(head, pieces)
        return replace(head, body=b"".join(pieces), cut=cut, pieces=pieces, trailers=trailers)

    def head(self, method: str = "GET") -> Response:
        """The head alone; its body is left to be read."""
        line = self.line()
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise NotHTTP(f"Not a status line: {line!r}")
        headers = self._fields()
        status = int(match[1])
        return Response(status, match[2].decode("latin-1"), headers, _framing(status, method, headers))

    def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self.line():
            match = _FIELD.fullmatch(line)
            if match is None:
                raise NotHTTP(f"Not a header field: {line!r}")
            fields.append((match[1].decode(), match[2].decode("latin-1")))
        return fields

    def _body(self, head: Response, pieces: list[bytes]) -> tuple[str | None, list[tuple[str, str]]]:
        """Fill `pieces`; how the body was cut, or None, and the trailers."""
        try:
            if head.framing == "sized":
                self._sized(int(head.get("content-length") or 0), pieces)
            elif head.framing == "chunked":
                while piece := self.chunk():
                    pieces.append(piece)
                return None, self._fields()
            elif head.framing == "closed":
                self._to_the_end(pieces)
        except Ended as end:
            return end.how, []
        return None, []

    def _sized(self, length: int, pieces: list[bytes]) -> None:
        while length:
            if not self.buffer:
                self.buffer = self.more()
            pieces.append(self.buffer[:length])
            self.buffer = self.buffer[length:]
            length -= len(pieces[-1])

    def chunk(self) -> bytes:
        """The next chunk; empty at the last one."""
        size = self.line()
        if not _CHUNK_SIZE.fullmatch(size):
            raise NotHTTP(f"Not a plain chunk size: {size!r}")
        if length := int(size, 16):
            data = self.exactly(length + 2)
            if not data.endswith(b"\r\n"):
                raise NotHTTP(f"A chunk does not end with CRLF: {data[-2:]!r}")
            return data[:-2]
        return b""

    def _to_the_end(self, pieces: list[bytes]) -> None:
        try:
            while True:
                if self.buffer:
                    pieces.append(self.buffer)
                    self.buffer = b""
                self.buffer = self.more()
        except Ended as end:
            if end.how != "closed":
                raise


def _framing(status: int, method: str, headers: list[tuple[str, str]]) -> str:
    """How the body ends (RFC 9112, section 6.3); what could be read in two ways raises."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    codings = [value for name, value in headers if name.lower() == "transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise NotHTTP(f"More than one framing: {lengths} {codings}")
    if codings and codings != ["chunked"]:
        raise NotHTTP(f"An unknown transfer coding: {codings}")
    if lengths and not re.fullmatch("[0-9]+", lengths[0]):
        raise NotHTTP(f"Not a plain Content-Length: {lengths}")
    if (status < 200 or status == 204) and (lengths or codings):
        raise NotHTTP(f"Framing where there is no body: {lengths} {codings}")
    if method == "HEAD" or status < 200 or status in (204, 304):
        return "none"
    return "chunked" if codings else "sized" if lengths else "closed"


def take_response(data: bytes, method: str = "GET", *, ended: bool = False) -> tuple[Response, bytes] | None:
    """The first response in `data`, whole, and the bytes behind it; None when there is none (yet).

    `ended` says that no more bytes will come.
    """

    def more() -> bytes:
        raise Ended("closed") if ended else _Incomplete

    reading = Reading(more, data)
    try:
        got = reading.message(method)
    except (_Incomplete, Ended):
        return None
    return None if got.cut else (got, reading.buffer)


def request(target: str = "/", method: str = "GET", body: bytes = b"", *more: str) -> bytes:
    """A request as bytes."""
    fields = ["Host: a.example.com", *more]
    if body:
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode("latin-1") + body


def tls_client(port: int, beginning: bytes = b"") -> ssl.SSLSocket:
    """A blocking client with TLS, which sends `beginning` before it.

    Its `recv` raises when the connection ends without a close_notify.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connected = socket.create_connection(("127.0.0.1", port), 10)
    connected.sendall(beginning)
    return context.wrap_socket(connected, suppress_ragged_eofs=False)


class _Connection:
    """The socket to a port of this machine, which both clients have."""

    def __init__(self, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """End with RST, not FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class RawClient(_Connection):
    """One connection to the gateway. Times are in seconds; reads that take longer raise TimeoutError."""

    def __init__(self, port: int, timeout: float = 15.0, receive_buffer: int = 0) -> None:
        super().__init__(receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        #: Ours and the gateway's. A socket that was reset does not have them any more.
        self.ports = self.socket.getsockname()[1], port
        self.reading = Reading(self._more)
        self.head, self.chunk = self.reading.head, self.reading.chunk

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Send each piece apart. A connection that the gateway has ended takes no more; that is no error."""
        with contextlib.suppress(ConnectionError):
            for number, piece in enumerate(pieces):
                if number:
                    time.sleep(_GAP)
                self.socket.sendall(piece)

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """End both directions; a thread that is sending stops."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def response(self, method: str = "GET") -> Response:
        return self.reading.response(method)

    def ask(self, *pieces: bytes) -> Response:
        """Send a request and read its response."""
        self.send(*pieces)
        return self.response()

    def peek(self, count: int) -> bytes:
        """The next bytes, which stay to be read."""
        self.reading.buffer = self.reading.exactly(count) + self.reading.buffer
        return self.reading.buffer[:count]

    def rest(self) -> bytes:
        """All that still comes until the connection ends."""
        taken = b""
        with contextlib.suppress(Ended):
            while True:
                taken, self.reading.buffer = taken + self.reading.buffer, b""
                self.reading.buffer = self.reading.more()
        return taken

    def is_silent(self, seconds: float) -> bool:
        """True when neither a byte nor an end comes in this time."""
        return not self.reading.buffer and not select.select([self.socket], [], [], seconds)[0]

    def _more(self) -> bytes:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            raise Ended("reset") from None
        if not data:
            raise Ended("closed")
        return data


class AsyncRawClient(_Connection):
    """One connection in the running event loop. Reads nothing that no test asked for."""

    seen = b""
    has_ended = False

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int = 0) -> "AsyncRawClient":
        client = cls(receive_buffer)
        client.socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client.socket, ("127.0.0.1", port))
        return client

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def read(self, size: int = 65536) -> bytes:
        """The next bytes; b"" at the end. Raises ConnectionResetError."""
        data = await asyncio.get_running_loop().sock_recv(self.socket, size)
        self.seen += data
        self.has_ended = not data
        return data

    async def response(self, method: str = "GET") -> Response:
        """The next response, or interim one. Raises EOFError when the connection ends before it is whole."""
        while True:
            if taken := take_response(self.seen, method, ended=self.has_ended):
                found, self.seen = taken
                return found
            if self.has_ended:
                raise EOFError(self.seen)
            await self.read()

    async def until(self, end: bytes) -> bytes:
        """The bytes up to `end`. Raises EOFError."""
        while end not in self.seen:
            if not await self.read():
                raise EOFError(self.seen)
        found, end, self.seen = self.seen.partition(end)
        return found + end

    async def ended(self) -> bytes:
        """All that still comes until the connection ends, by FIN or RST."""
        try:
            while await self.read():
                pass
        except ConnectionResetError:
            self.has_ended = True
        return self.seen

    async def ask(self, target: str = "/", method: str = "GET", body: bytes = b"", *more: str) -> Response:
        """Send a request and read its response."""
        await self.send(request(target, method, body, *more))
        return await self.response(method)
