"""`python -m bench.dashboards`: what ten open dashboards cost while the proxy serves at a fixed rate.

A dashboard is the polling of an open page, with the addresses and the ETags of `kit/poll.js`. Rounds with and
without dashboards alternate, and each is compared with the one beside it. CPU times are those of /proc.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import click
from redis import Redis

from bench import machine
from bench.gateway import Gateway
from bench.load import Call
from bench.programs import BenchFailed, Running, free_port, python
from bench.report import Target, end_with

_PROBE_SECONDS = 0.1  # from one call of /livez to the next
_HEALTH_SECONDS = 15.0  # from one look of kit/shell.js at the health to the next
_SETTLING_SECONDS = 2.0

#: The newest request that is listed, in the path of the page Traffic.
NEWEST = "{newest}"


class Page(NamedTuple):
    """A page: what it reads when it opens, and again and again, and the seconds in between."""

    name: str
    opening: Sequence[str]
    again: Sequence[str]
    seconds: float = 5.0


PAGES: Mapping[str, Page] = {
    page.name: page
    for page in (
        Page("/ui/", (), ("/api/v1/overview?window=1h", "/api/v1/providers/health", "/readyz")),
        Page(
            "/ui/traffic",
            ("/api/v1/tenants?limit=500", "/api/v1/requests?limit=200"),
            (f"/api/v1/requests?limit=200&after={NEWEST}",),
            1.0,
        ),
        Page("/ui/system", ("/api/v1/settings",), ("/api/v1/status",)),
        Page("/ui/limits", ("/api/v1/tenants?limit=500",), ("/api/v1/rate-limits?limit=100&each_key=true",)),
    )
}
#: The reads of every page.
SHELL = "/api/v1/me", "/readyz"
#: The ten dashboards.
OPEN = ("/ui/",) * 3 + ("/ui/traffic",) * 3 + ("/ui/system",) * 2 + ("/ui/limits",) * 2


class Browser:
    """The connections and the cache of a browser with one page."""

    def __init__(self, port: int) -> None:
        self.asked = 0
        self.unchanged = 0
        self._port = port
        self._tags: dict[str, str] = {}
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def read(self, path: str) -> Any:
        """The document; None if it has not changed. Raises `BenchFailed`."""
        tag = f"If-None-Match: {self._tags[path]}\r\n" if path in self._tags else ""
        head = f"GET {path} HTTP/1.1\r\nHost: localhost:{self._port}\r\nAccept: application/json\r\n{tag}\r\n"
        self.asked += 1
        while self._idle:
            with suppress(OSError, asyncio.IncompleteReadError):  # the server has closed it meanwhile
                return await self._exchange(path, head.encode(), *self._idle.pop())
        return await self._exchange(
            path, head.encode(), *await asyncio.open_connection("127.0.0.1", self._port)
        )

    async def _exchange(
        self, path: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Any:
        writer.write(head)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self._idle.append((reader, writer))
        if " 304 " in status:
            self.unchanged += 1
            return None
        if " 200 " not in status:
            raise BenchFailed(f"GET {path}: {status} {body[:200]!r}")
        if "etag" in headers:
            self._tags[path] = headers["etag"]
        return json.loads(body)

    async def show(self, page: Page) -> None:
        """Read what the page reads, until canceled."""
        await asyncio.gather(*map(self.read, SHELL), *map(self.read, page.opening))
        newest, health = "0", time.monotonic()
        while True:
            found = await asyncio.gather(*(self.read(path.replace(NEWEST, newest)) for path in page.again))
            for document in found:
                if document and document.get("requests"):
                    newest = document["requests"][0]["id"]
            if time.monotonic() - health > _HEALTH_SECONDS:
                health = time.monotonic()
                await self.read(SHELL[1])
            await asyncio.sleep(page.seconds)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


class Round(NamedTuple):
    """One round: shares of a core, CPU seconds per request, requests per second, latencies in seconds."""

    admin: float
    store: float
    worker: float
    rate: float
    probes: Sequence[float]
    latencies: Sequence[float]
    asked: int
    unchanged: int


class Bench:
    """A running gateway under load."""

    def __init__(self, stack: ExitStack, rate: float) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._rate = rate
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._load = stack.enter_context(
            subprocess.Popen(python("-m", "bench.paced"), text=True, bufsize=1, **pipes)  # type: ignore[call-overload]
        )
        stack.callback(self._load.terminate)
        self._gateway = Gateway(folder / "gateway", int(self._load.stdout.readline()))
        self._port = free_port()
        self._admin, self._proxy = [
            Running(program, folder, stack)
            for program in (self._gateway.admin(), self._gateway.proxy("proxy", self._port))
        ]
        for one in (self._admin, self._proxy):
            one.wait()
        with Redis(unix_socket_path=self._gateway.socket) as client:
            self._store = int(client.info("server")["process_id"])
        self._call = self._gateway.create_tenant("dashboards")
        machine.await_idle(self._proxy.pid)

    def run(self, seconds: float, pages: Sequence[str]) -> Round:
        """One round with these pages open. Raises `BenchFailed`."""
        found = asyncio.run(self._run(seconds, pages))
        for one in (self._admin, self._proxy):
            one.check()
        return found

    async def _run(self, seconds: float, pages: Sequence[str]) -> Round:
        browsers = [Browser(self._gateway.admin_port) for _ in pages]
        async with asyncio.TaskGroup() as group:
            showing = [
                group.create_task(one.show(PAGES[page])) for one, page in zip(browsers, pages, strict=True)
            ]
            load = group.create_task(asyncio.to_thread(self._send, seconds + _SETTLING_SECONDS))
            await asyncio.sleep(_SETTLING_SECONDS)
            used, began = self._used(), time.monotonic()
            probing = group.create_task(self._probe(began + seconds))
            probes = await probing
            spent, passed = self._used(), time.monotonic() - began
            latencies = await load
            for task in showing:
                task.cancel()
        for one in browsers:
            one.close()
        admin, store, worker = (after - before for before, after in zip(used, spent, strict=True))
        rate = len(latencies) / (seconds + _SETTLING_SECONDS)
        asked, unchanged = sum(one.asked for one in browsers), sum(one.unchanged for one in browsers)
        return Round(
            admin / passed, store / passed, worker / passed / rate, rate, probes, latencies, asked, unchanged
        )

    def _send(self, seconds: float) -> Sequence[float]:
        call: Call = self._call
        wanted = {
            "port": self._port,
            "path": call.path,
            "headers": dict(call.headers),
            "body": call.body.decode(),
            "rate": self._rate,
            "seconds": seconds,
        }
        self._load.stdin.write(json.dumps(wanted) + "\n")
        times: list[float] = json.loads(self._load.stdout.readline())
        return times

    async def _probe(self, end: float) -> Sequence[float]:
        """Call /livez on new connections. Return the seconds of each."""
        times = []
        while time.monotonic() < end:
            began = time.perf_counter()
            browser = Browser(self._gateway.admin_port)
            await browser.read("/livez")
            times.append(time.perf_counter() - began)
            browser.close()
            await asyncio.sleep(_PROBE_SECONDS)
        return times

    def _used(self) -> tuple[float, float, float]:
        """CPU seconds of the admin processes, of Redis, and of the proxy."""
        admin, proxy = machine.cpu_seconds(self._admin.pid), machine.cpu_seconds(self._proxy.pid)
        return admin, machine.cpu_seconds_of(self._store), proxy


def _p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[98]


@contextmanager
def bench(rate: float) -> Iterator[Bench]:
    """A running gateway. Raises `BenchFailed`."""
    with ExitStack() as stack:
        yield Bench(stack, rate)


def measure(
    rounds: int, seconds: float, rate: float, tell: Callable[[str], object] = lambda _: None
) -> list[Target]:
    """The figures of `rounds` pairs of rounds. Raises `BenchFailed`."""
    pairs = []
    with bench(rate) as running:
        running.run(2.0, OPEN)  # warm-up
        for number in range(rounds):
            both = [running.run(seconds, pages) for pages in ((), OPEN)[:: 1 if number % 2 else -1]]
            without, with_them = both[:: 1 if number % 2 else -1]
            pairs.append((without, with_them))
            tell(_line(without, with_them))
        probes = [time for _, one in pairs for time in one.probes]
        tell(f"-- /livez of all rounds with dashboards: p99 {1e3 * _p99(probes):.1f} ms")
    more = [100 * (two.worker / one.worker - 1) for one, two in pairs]
    opened = [two for _, two in pairs]
    return [
        Target("admin CPU, % of a core", [100 * one.admin for one in opened], 20),
        Target("/livez, median of a round, ms", [1e3 * median(one.probes) for one in opened], 20),
        Target("CPU of the proxy per request, % more", more, 5),
    ]


def _figures(one: Round) -> str:
    return (
        f"{one.rate:.0f} requests/s, admin {100 * one.admin:.1f} %, Redis {100 * one.store:.1f} %, "
        f"proxy {1e6 * one.worker:.0f} us, p50 {1e3 * median(one.latencies):.2f} ms, "
        f"p99 {1e3 * _p99(one.latencies):.1f} ms, /livez p50 {1e3 * median(one.probes):.1f} ms, "
        f"p99 {1e3 * _p99(one.probes):.1f} ms"
    )


def _line(without: Round, with_them: Round) -> str:
    calls = f"{with_them.asked} calls, {with_them.unchanged} of them 304"
    return f"-- without: {_figures(without)}\n   with:    {_figures(with_them)}; {calls}"


@click.command()
@click.option("--rounds", default=10, help="Pairs of rounds: without dashboards, and with ten.")
@click.option("--seconds", default=8.0, help="The length of a round.")
@click.option("--rate", default=1_000.0, help="Requests per second.")
def main(rounds: int, seconds: float, rate: float) -> None:
    """Measure ten open dashboards under load. Exit code 1 when a target is missed."""
    print(machine.describe())
    found = measure(rounds, seconds, rate, lambda line: print(line, file=sys.stderr))
    print(machine.describe())
    end_with(found)


if __name__ == "__main__":
    main()
