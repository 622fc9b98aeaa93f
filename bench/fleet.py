"""`python -m bench.fleet`: what workers and their requests cost the store, and so a fleet of 100 machines.

A worker that is idle tells that it lives. All workers together look for changes about once per second, so
what a worker costs is the difference between many of them and few. The store is one Valkey.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
from redis import Redis

from bench import machine, pages
from bench.contenders import Bench
from bench.gateway import RESPONSE, limiter_entry
from bench.load import CONNECTIONS, Call, await_rule, drive
from bench.programs import Running, free_port
from bench.results import read_results

# Few workers, and many.
_WORKERS = (2, 6)
#: Kinds of requests, by the text that pages show.
KINDS = ("a plain request", "a request with a limit", "a call of a model by a rule for AI")


class Cost(NamedTuple):
    """The cost of something for the store: commands, and seconds of its core."""

    commands: float
    cpu: float

    def per(self, number: float) -> "Cost":
        return Cost(self.commands / number, self.cpu / number)

    def beside(self, other: "Cost") -> "Cost":
        return Cost(self.commands - other.commands, self.cpu - other.cpu)


class Meter:
    """Measures what blocks cost a store."""

    def __init__(self, store: Redis) -> None:
        self._store = store
        self.found = Cost(0, 0)

    def _now(self) -> Cost:
        found: Mapping[str, Any] = self._store.info("everything")
        return Cost(found["total_commands_processed"], found["used_cpu_user"] + found["used_cpu_sys"])

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """`found` has the cost of the block."""
        before = self._now()
        yield
        self.found = self._now().beside(before)


def measure(seconds: float) -> dict[str, Cost]:
    """The costs: of an idle worker per second, and of each of `KINDS`. Raises `BenchFailed`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(folder, stack)
        meter = Meter(stack.enter_context(Redis(unix_socket_path=bench.gateway.socket)))
        found = {"an idle worker, per second": _idle(bench, meter, folder, stack, seconds)}
        port = free_port()
        proxy = Running(bench.gateway.proxy("loaded", port), folder, stack)
        proxy.wait()
        calls = (
            bench.gateway.create_tenant("plain"),
            bench.gateway.create_tenant("limited", on_rule=[limiter_entry("global")]),
            bench.gateway.create_ai_tenant("ai"),
        )
        for kind, call in zip(KINDS, calls, strict=True):
            await_rule(port, call, RESPONSE)
            found[kind] = _per_request(meter, port, call, seconds)
        proxy.check()
    return found


def _idle(bench: Bench, meter: Meter, folder: Path, stack: ExitStack, seconds: float) -> Cost:
    """The cost of one more worker for the store, per second."""
    costs = []
    for workers in (_WORKERS[0], _WORKERS[1] - _WORKERS[0]):
        proxy = Running(bench.gateway.proxy(f"idle-{workers}", free_port(), workers=workers), folder, stack)
        proxy.wait()
        machine.await_idle(proxy.pid)
        with meter():
            time.sleep(seconds)
        costs.append(meter.found)
    return costs[1].beside(costs[0]).per((_WORKERS[1] - _WORKERS[0]) * seconds)


def _per_request(meter: Meter, port: int, call: Call, seconds: float) -> Cost:
    """The cost of a request for the store, with the writes that follow it."""
    with meter():
        times = drive(port, [call], RESPONSE, connections=CONNECTIONS, seconds=seconds)
        time.sleep(1)  # records and sums follow
    return meter.found.per(len(times))


@click.command()
@click.option("--seconds", default=20.0, help="Length of each measurement.")
@click.option("--record", is_flag=True, help="Write the figures into the pages.")
def main(seconds: float, record: bool) -> None:
    """Measure what workers and requests cost the store."""
    print(machine.describe())
    found = measure(seconds)
    costs: dict[str, Sequence[float]] = {name: list(cost) for name, cost in found.items()}
    print(pages.fleet_tables(costs))
    if record:
        replace(read_results(pages.DATA), fleet=costs).write(pages.DATA)
        pages.main()


if __name__ == "__main__":
    main()
