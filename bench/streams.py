"""`python -m bench.streams`: the CPU time of an event of a stream, plain, searched by a guard, and metered.

Each event is a write of its own. The next one is sent when all clients have it, so no proxy can join two.
As in the comparison, the program under test has a core of its own, and then shares it with the load.
"""

import pstats
import queue
import socket
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.contenders import Bench, Contender, command
from bench.gateway import RESPONSE
from bench.load import CONNECTIONS, Call, await_rule, open_connection
from bench.programs import BenchFailed
from bench.report import Round, Table, cell, over_rounds, ratios
from bench.upstream import Upstream

#: The contenders in the order in which they are measured.
CONTENDERS = {
    "nginx": "nginx as proxy, without buffering",
    "haproxy": "HAProxy as proxy",
    "express": "the gateway: host, key and rule",
    "express+judged": "the same, content_validator searches the text of the events",
    "express+ai": "a rule for AI: the usage meter reads the events",
}
_LOCATION = "proxy_pass http://plain; proxy_buffering off; proxy_read_timeout 300s;"
_BODY = b'{"model": "bench", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: close\r\n\r\n"
)
_EVENT = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":0,"model":"bench","choices":'
    b'[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n'
)
_DONE = b"data: [DONE]\n\n"
_LAST = b"0\r\n\r\n"
_EVENT_ENDS = b"\n\n\r\n"  # of an event in a chunk of its own
_WARM_UP = 20  # events of each stream before the first that counts


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Streams:
    """Open streams through one contender: the sockets of the clients, and those of the upstream."""

    def __init__(self, clients: list[socket.socket], upstreams: list[socket.socket]) -> None:
        self._clients, self._upstreams = clients, upstreams

    def pass_on(self, event: bytes) -> None:
        """Send an event in each stream. Return when each client has it. Raises `BenchFailed`."""
        for one in self._upstreams:
            one.sendall(event)
        for client in self._clients:
            _read_until(client, _EVENT_ENDS)

    def pass_for(self, seconds: float) -> int:
        """Pass events on for so long. Return their number."""
        event, end, count = _chunk(_EVENT), time.monotonic() + seconds, 0
        while time.monotonic() < end:
            self.pass_on(event)
            count += len(self._clients)
        return count

    def end(self) -> None:
        """End the streams. Raises `BenchFailed` when a client does not see the end."""
        self.pass_on(_chunk(_DONE))
        for one in self._upstreams:
            one.sendall(_LAST)
            one.close()
        for client in self._clients:
            _read_until(client, _LAST)


def _read_until(client: socket.socket, end: bytes) -> None:
    data = b""
    while not data.endswith(end):
        try:
            more = client.recv(65_536)
        except OSError as error:
            raise BenchFailed(f"an event did not arrive: {error!r} after {data[-400:]!r}") from None
        data += more
        if not more:
            raise BenchFailed(f"a stream was cut after {data[-400:]!r}")


@contextmanager
def open_streams(port: int, call: Call, upstream: Upstream, count: int = CONNECTIONS) -> Iterator[Streams]:
    """So many streams at once. Raises `BenchFailed`."""
    wire = call._replace(body=_BODY).encode()
    with ExitStack() as stack:
        clients = [stack.enter_context(open_connection(port)) for _ in range(count)]
        upstreams = []
        for client in clients:
            client.sendall(wire)
            try:
                upstreams.append(stack.enter_context(upstream.take()))
            except queue.Empty:
                raise BenchFailed("a request for a stream did not reach the upstream") from None
        for one in upstreams:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.sendall(_HEAD)
        streams = Streams(clients, upstreams)
        for _ in range(_WARM_UP):
            streams.pass_on(_chunk(_EVENT))
        yield streams
        streams.end()


def _turn(bench: Bench, contender: Contender, upstream: Upstream, seconds: float) -> Mapping[str, float]:
    await_rule(contender.port, contender.call, RESPONSE)
    figures = {}
    with open_streams(contender.port, contender.call, upstream) as streams:
        for name in ("cpu apart", "cpu"):
            bench.place(contender, apart=name == "cpu apart")
            used = contender.cpu_seconds()
            count = streams.pass_for(seconds)
            figures[name] = (contender.cpu_seconds() - used) / count
    return figures


def measure(names: Collection[str], rounds: int, seconds: float) -> list[Round]:
    """The CPU time of an event, of each contender in each round. Raises `BenchFailed`."""
    with _opened(names) as (bench, contenders, upstream):
        return bench.measure(contenders, rounds, lambda one: _turn(bench, one, upstream, seconds))


def profile(name: str, seconds: float = 1.0) -> tuple[pstats.Stats, int]:
    """The profile of the worker while it passes events on, and their number. Raises `BenchFailed`."""
    with _opened([name], profiled=True) as (bench, [contender], upstream):
        await_rule(contender.port, contender.call, RESPONSE)
        counts = list[int]()
        with open_streams(contender.port, contender.call, upstream) as streams:
            stats = bench.profile(contender, lambda: counts.append(streams.pass_for(seconds)))
        return stats, counts[0]


@contextmanager
def _opened(
    names: Collection[str], *, profiled: bool = False
) -> Iterator[tuple[Bench, list[Contender], Upstream]]:
    with ExitStack() as stack:
        upstream = Upstream(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(folder, stack, upstream=upstream.port, location=_LOCATION, profiled=profiled)
        yield bench, bench.start(names), upstream


def event_table(rounds: Sequence[Round]) -> Table:
    """CPU time of an event, events per second of a core, and the speed of nginx and HAProxy, by CPU time."""
    rows = []
    for name in rounds[0]:
        row = [name]
        for measure in ("cpu apart", "cpu"):
            used = over_rounds(rounds, name, measure)
            row += [cell(used, 1e6, 1), cell([1 / one for one in used if one])]
            row += [cell(ratios(rounds, base, name, measure), 1, 2) for base in ("nginx", "haproxy")]
        rows.append(row)
    columns = ["CPU us", "events/s", "of nginx", "of haproxy"]
    head = ["", *columns, "one core: CPU us", *columns[1:]]
    return Table(f"Events of {CONNECTIONS} streams; events/s of a core is 1 s by the CPU time", head, rows)


main = command("Measure the events of streams.", CONTENDERS, seconds=2.0, measure=measure, table=event_table)


if __name__ == "__main__":
    main()
