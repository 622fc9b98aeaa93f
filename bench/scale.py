"""`python -m bench.scale`: what each of up to 100,000 tenants costs a worker and the store.

The store writes the tenants as for the admin API. For each number of tenants a new proxy starts on them.
"""

import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import click
from redis import Redis

from bench import machine, pages
from bench.contenders import Bench
from bench.gateway import RESPONSE, make_call
from bench.load import Call, drive, exchange, expect, open_connection
from bench.programs import BenchFailed, Running, free_port
from bench.report import Target, end_with
from bench.results import read_results
from bench.rules import Client
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.records.parts import PartNames
from shared.config_store.store import RedisStore
from shared.model.config import ApiKey, Rule, Snapshot, Tenant
from shared.secrets.api_keys import mint_key
from shared.services import Services, connect
from shared.settings import load_settings

NUMBERS = (100, 1_000, 10_000, 100_000)
#: Tenants whose first request is timed, and tenants that call in turn.
_COLD, _WARM = 300, 100
_SECONDS = 5.0  # of the tenants that call in turn
_UNKNOWN_HOSTS = 20_000
_PAGES = 20  # of the list of tenants
_MIB = 1024 * 1024


class Point(NamedTuple):
    """The figures of one number of tenants.

    Attributes:
        store: bytes of Redis per tenant.
        start: seconds from the start of the proxy until it serves.
        memory: bytes of its worker then.
        cold: milliseconds within which 99 of 100 first requests of tenants have their responses.
        warm: the same of requests of tenants that are in memory.
        page: the same of pages of 100 tenants of the admin API.
        strangers: bytes that the worker grew by for 20,000 unknown hosts.
    """

    store: float
    start: float
    memory: float
    cold: float
    warm: float
    page: float
    strangers: float


class Tenants:
    """A growing number of tenants, each with a rule and a key, and their calls."""

    def __init__(self, services: Services, client: Redis, upstream: int) -> None:
        self._hasher, self._target = services.hasher, f"http://127.0.0.1:{upstream}"
        names, audit_key = PartNames.of(services.hasher), AuditKey.of(services.hasher)
        # The store of the services gives up after a quarter of a second.
        self._store = RedisStore(client, 0, services.known, names, audit_key)
        self.calls: list[Call] = []

    def grow(self, number: int) -> None:
        """Write tenants until there are so many."""
        for count in range(len(self.calls), number):
            key = mint_key(os.urandom)
            stored = ApiKey(f"key_{count:026}", "bench", key.prefix, self._hasher(key.text))
            tenant = Tenant(f"ten_{count:026}", "Bench", f"bench-{count}", tier="enterprise")
            rule = Rule(f"rule_{count:026}", "/v1", self._target)
            made = Snapshot(tenant, (rule,), (stored,))
            self._store.write(None, made, edit=Edit(actor="platform", summary="Tenant created."))
            self.calls.append(make_call(f"bench-{count}.example.com", key.text))


def measure(numbers: Sequence[int]) -> dict[int, Point]:
    """The figures by the number of tenants, in ascending order. Raises `BenchFailed`."""
    found = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(folder, stack)
        settings = load_settings(environ=bench.gateway.admin().environment)
        services = stack.enter_context(connect(settings))
        store = stack.enter_context(Redis(unix_socket_path=bench.gateway.socket))
        tenants = Tenants(services, store, bench.gateway.upstream)
        empty = _used(store)
        for number in sorted(numbers):
            print(f"-- {number:,} tenants", file=sys.stderr, flush=True)
            tenants.grow(number)
            found[number] = _point(bench, tenants.calls, (_used(store) - empty) / number)
    return found


def _used(store: Redis) -> int:
    used: int = store.info("memory")["used_memory"]
    return used


def _point(bench: Bench, calls: Sequence[Call], store: float) -> Point:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        began = time.monotonic()
        proxy = Running(bench.gateway.proxy("proxy", port), Path(folder), stack)
        proxy.wait()
        start = time.monotonic() - began
        machine.await_idle(proxy.pid)
        memory = _largest(proxy.pid)
        chosen = random.Random(len(calls)).sample(calls, min(_COLD, len(calls)))
        cold = [_seconds(port, call) for call in chosen]
        warm = drive(port, chosen[:_WARM], RESPONSE, connections=1, seconds=_SECONDS)
        before = _largest(proxy.pid)
        _ask_unknown_hosts(port)
        strangers = _largest(proxy.pid) - before
        page = _pages(bench.gateway.admin_port)
        proxy.check()
    return Point(store, start, memory, _p99(cold), _p99(warm), _p99(page), strangers)


def _largest(pid: int) -> float:
    """The bytes in memory of the largest process of a tree."""
    pages_of = (int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in machine.tree(pid))
    return float(max(pages_of) * os.sysconf("SC_PAGE_SIZE"))


def _seconds(port: int, call: Call) -> float:
    with open_connection(port) as connection:
        began = time.perf_counter()
        expect(connection, call, RESPONSE)
        return time.perf_counter() - began


def _ask_unknown_hosts(port: int) -> None:
    with open_connection(port) as connection:
        for number in range(_UNKNOWN_HOSTS):
            response, body = exchange(connection, make_call(f"nobody-{number}.example.com"))
            if response.status != 401:
                raise BenchFailed(f"expected 401 for an unknown host, got {response.status} {body!r}")
            if response.will_close:
                raise BenchFailed("the connection was closed")


def _pages(port: int) -> list[float]:
    times = []
    with closing(Client(port, "localhost")) as client:
        for _ in range(_PAGES):
            began = time.perf_counter()
            status, document = client("GET", "/api/v1/tenants?limit=100")
            times.append(time.perf_counter() - began)
            if status != 200 or len(document["tenants"]) != 100:
                raise BenchFailed(f"expected 100 tenants, got {status}")
    return times


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98] * 1e3


def targets(found: dict[int, Point]) -> list[Target]:
    """The figures of the most tenants beside what reliability.md promises for R19."""
    few, most = found[min(found)], found[max(found)]
    number = f"{max(found):,} tenants"
    return [
        Target(f"{number}: first request of a tenant, p99 ms", [most.cold], 20),
        Target(
            f"{number}: request of a tenant in memory, p99 beside {min(found)}", [most.warm / few.warm], 1.5
        ),
        Target(f"{number}: Redis per tenant, KiB", [most.store / 1024], 6),
        Target(
            f"{number}: a worker after {_UNKNOWN_HOSTS:,} unknown hosts, MiB more",
            [most.strangers / _MIB],
            20,
        ),
    ]


@click.command()
@click.option("--number", "numbers", multiple=True, type=int, default=NUMBERS, help="Tenants, repeatable.")
@click.option("--record", is_flag=True, help="Write the figures into the pages.")
def main(numbers: Sequence[int], record: bool) -> None:
    """Measure what tenants cost. Exit code 1 when a target is missed."""
    print(machine.describe())
    found = measure(numbers)
    if record:
        points = {str(number): point._asdict() for number, point in found.items()}
        replace(read_results(pages.DATA), scale=points).write(pages.DATA)
        pages.main()
    end_with(targets(found))


if __name__ == "__main__":
    main()
