"""One HTTP exchange after the other over one connection, as a client with nothing to wait for."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_TIMEOUT = 10.0  # seconds without a byte


class ExchangeFailed(Exception):
    """The answer was not the expected one."""


@dataclass(frozen=True, slots=True)
class Call:
    """The request that is sent to every contender alike. `headers` include Host."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the wire."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"{self.method} {self.path} HTTP/1.1\r\n{fields}Content-Length: {len(self.body)}\r\n\r\n"
        return head.encode() + self.body


@dataclass(slots=True)
class Connection:
    """A keep-alive connection to 127.0.0.1:`port`. Close it at the end."""

    port: int
    _socket: socket.socket = field(init=False)
    _received: bytes = b""

    def __post_init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, call: Call) -> bytes:
        """The body of the answer, which must be a 200 of known length. Raises `ExchangeFailed`, OSError."""
        self._socket.sendall(call.encode())
        head = self._until(b"\r\n\r\n").lower()
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not head.startswith(b"http/1.1 200 ") or not length.strip().isdigit():
            raise ExchangeFailed(f"expected a 200 with a length, got {head[:200]!r}")
        while len(self._received) < int(length):
            self._receive()
        body, self._received = self._received[: int(length)], self._received[int(length) :]
        return body

    def first_event(self, call: Call, go_on: Callable[[], object]) -> float:
        """Seconds until the first event of a stream that ends only once `go_on` was called.

        Raises `ExchangeFailed`, and `TimeoutError` when the stream is held back until its end.
        """
        started = time.perf_counter()
        self._socket.sendall(call.encode())
        head = self._until(b"\r\n\r\n").lower()
        if not head.startswith(b"http/1.1 200 ") or b"transfer-encoding: chunked" not in head:
            raise ExchangeFailed(f"expected a stream, got {head[:200]!r}")
        self._until(b"data: 1\n\n")
        waited = time.perf_counter() - started
        go_on()
        self._until(b"0\r\n\r\n")
        return waited

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(mark)
        return found

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ExchangeFailed(f"the connection ended behind {self._received[-200:]!r}")
        self._received += data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
