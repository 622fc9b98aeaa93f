"""Requests and load: one exchange after the other from here, many at once from wrk."""

import http.client
import itertools
import json
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.programs import BenchFailed

CONNECTIONS = 32  # of a full load

_SCRIPT = Path(__file__).parent / "load.lua"
_ERRORS = ("connect", "read", "write", "status", "timeout")
_TIMEOUT = 10  # seconds without a response
_SPARE_SECONDS = 20.0  # beyond the duration, until wrk counts as hung
_RULE_SECONDS = 5.0  # until a new rule must work; the gateway promises 2


class Call(NamedTuple):
    """A request. `headers` include Host."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def encode(self) -> bytes:
        """The bytes on the wire."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"POST {self.path} HTTP/1.1\r\n{fields}Content-Length: {len(self.body)}\r\n\r\n"
        return head.encode() + self.body


def open_connection(port: int) -> socket.socket:
    """A connection to 127.0.0.1."""
    return socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)


def exchange(connection: socket.socket, call: Call) -> tuple[http.client.HTTPResponse, bytes]:
    """Send `call`, and return the response and its body. Raises `BenchFailed`."""
    try:
        connection.sendall(call.encode())
        with http.client.HTTPResponse(connection, method="POST") as response:
            response.begin()
            return response, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchFailed(f"no whole response: {error!r}") from None


def expect(connection: socket.socket, call: Call, body: bytes) -> None:
    """Raise `BenchFailed` when the response to `call` is not a 200 with this body."""
    response, found = exchange(connection, call)
    if response.status != 200 or found != body:
        raise BenchFailed(f"expected the upstream's response, got {response.status} {found[:200]!r}")


def await_rule(port: int, call: Call, body: bytes) -> None:
    """Return when `call` is forwarded and `body` comes back. Raises `BenchFailed`."""
    deadline = time.monotonic() + _RULE_SECONDS
    while True:
        try:
            with open_connection(port) as connection:
                return expect(connection, call, body)
        except BenchFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def drive(
    port: int, calls: Sequence[Call], response: bytes, *, connections: int, seconds: float
) -> list[float]:
    """Send `calls` in turn for so long: one on each connection, then again when all have their responses.

    Return the seconds of each response since its round of requests began. Raises `BenchFailed` when a body is
    not `response`. wrk makes a higher load, but of requests that are all alike and small.
    """
    wires, times = itertools.cycle([call.encode() for call in calls]), list[float]()
    with ExitStack() as stack:
        sockets = [stack.enter_context(open_connection(port)) for _ in range(connections)]
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(times) < len(calls):
            begun = time.perf_counter()
            for one in sockets:
                one.sendall(next(wires))
            for one in sockets:
                _receive(one, response)
                times.append(time.perf_counter() - begun)
    return times


def _receive(connection: socket.socket, response: bytes) -> None:
    data, problem = b"", ""
    while not problem:
        try:
            more = connection.recv(65_536)
        except OSError as error:
            more, problem = b"", repr(error)
        data += more
        head, _, body = data.partition(b"\r\n\r\n")
        if body == response and head.startswith(b"HTTP/1.1 200 "):
            return
        if not more or len(body) >= len(response):
            problem = problem or "another one"
    raise BenchFailed(f"expected the upstream's response, got {problem}: {data[:400]!r}")


class Load(NamedTuple):
    """The result of a load: requests per second, latencies in seconds."""

    requests: int
    rate: float
    p50: float
    p99: float


def run_wrk(port: int, call: Call, connections: int, seconds: int) -> Load:
    """Load 127.0.0.1:`port`. Raises `BenchFailed` on the first error of any kind."""
    headers = [part for name, value in call.headers.items() for part in ("-H", f"{name}: {value}")]
    command = [
        *("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", f"{_TIMEOUT}s"),
        *("-s", str(_SCRIPT), *headers, f"http://127.0.0.1:{port}{call.path}", "--", call.body.decode()),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds + _SPARE_SECONDS, check=True)
    except subprocess.SubprocessError as error:
        raise BenchFailed(f"wrk failed: {error}") from None
    return parse_result(done.stdout.decode())


def parse_result(text: str) -> Load:
    """The last line of `text`, as load.lua prints it. Raises `BenchFailed` when it has errors."""
    try:
        found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise BenchFailed(f"wrk printed no result: {text.strip()[-400:]!r}") from None
    if errors := ", ".join(f"{found[name]} x {name}" for name in _ERRORS if found[name]):
        raise BenchFailed(f"{errors} among {found['requests']} requests")
    if not found["requests"]:
        raise BenchFailed("no request got a response")
    rate = found["requests"] * 1e6 / found["duration"]
    return Load(found["requests"], rate, found["p50"] / 1e6, found["p99"] / 1e6)
