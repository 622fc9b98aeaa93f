"""The cost of observing a request: CPU time of a worker with metrics, records, log and spans, and without.

    python -m bench.observability [--requests N] [--rounds N] [--calls]

Proxies that observe more or less share one store, and take turns. CPU time is that of all their processes.
`--calls` counts function calls in their place, which a busy machine does not change.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any, Final

import click

from bench import profiler
from bench.gateway import RESPONSE, Gateway
from bench.load import Call, await_rule, expect, open_connection
from bench.machine import cpu_seconds, describe
from bench.profiler import calls_in
from bench.programs import Running, free_port
from bench.upstream import Upstream

_WARM_UP: Final = 200  # requests
_OFF: Final = {
    "GATEWAY__METRICS__PORT": "0",
    "GATEWAY__RECORDS__PER_TENANT": "0",
    "GATEWAY__LOG__LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class _Proxy:
    """A proxy that runs, and the settings that it was started with."""

    running: Running
    port: int


class _Collector(BaseHTTPRequestHandler):
    """Takes spans, and reads none of them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@contextmanager
def _collector() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def measure(rounds: int, requests: int, *, counts_calls: bool = False) -> Mapping[str, list[float]]:
    """The microseconds of CPU time, or the calls, per request, for each round by what is on.

    Raises `BenchFailed`.
    """
    with ExitStack() as stack:
        upstream = Upstream(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        gateway = Gateway(folder / "gateway", upstream.port)
        Running(gateway.admin(), folder, stack).wait()
        call = gateway.create_ai_tenant("observed")
        kinds = {
            "off": _OFF,
            "metrics": {**_OFF, "GATEWAY__METRICS__PORT": ""},
            "metrics, records, log": {"GATEWAY__METRICS__PORT": ""},
            "the same and spans": {
                "GATEWAY__METRICS__PORT": "",
                "GATEWAY__OTEL__ENDPOINT": stack.enter_context(_collector()),
            },
        }
        proxies = {name: _start(gateway, name, kind, folder, stack) for name, kind in kinds.items()}
        for one in proxies.values():
            await_rule(one.port, call, RESPONSE)
            _send(one.port, call, _WARM_UP)
        found: dict[str, list[float]] = {name: [] for name in proxies}
        for _ in range(rounds):
            for name, one in proxies.items():
                amount = _calls if counts_calls else _cpu
                found[name].append(amount(one, call, requests, folder))
                one.running.check()
        return found


def _start(
    gateway: Gateway, name: str, settings: Mapping[str, str], folder: Path, stack: ExitStack
) -> _Proxy:
    port = free_port()
    program = gateway.proxy(name.replace(" ", "-").replace(",", ""), port)
    own = {variable: text for variable, text in settings.items() if text}
    environment = {**program.environment, **own, **profiler.variables(folder)}
    running = Running(replace(program, environment=environment), folder, stack)
    running.wait()
    return _Proxy(running, port)


def _send(port: int, call: Call, requests: int) -> None:
    with open_connection(port) as connection:
        for _ in range(requests):
            expect(connection, call, RESPONSE)


def _cpu(one: _Proxy, call: Call, requests: int, _: Path) -> float:
    before = cpu_seconds(one.running.pid)
    _send(one.port, call, requests)
    return (cpu_seconds(one.running.pid) - before) / requests * 1e6


def _calls(one: _Proxy, call: Call, requests: int, folder: Path) -> float:
    stats = profiler.profile(one.running.pid, folder, lambda: _send(one.port, call, requests))
    return calls_in(stats) / requests


@click.command()
@click.option("--requests", default=1000, help="Requests per round.")
@click.option("--rounds", default=10, help="Rounds, in which the proxies take turns.")
@click.option("--calls", is_flag=True, help="Count function calls instead of CPU time.")
def main(requests: int, rounds: int, calls: bool) -> None:
    """Compare a proxy that observes its requests with one that does not."""
    print(describe())
    found = measure(rounds, requests, counts_calls=calls)
    unit = "calls" if calls else "us of CPU time"
    base = median(found["off"])
    for name, values in found.items():
        print(f"{name:24} {median(values):8.1f} {unit} per request  ({median(values) - base:+.1f})")


if __name__ == "__main__":
    main()
