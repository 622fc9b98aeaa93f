"""`python -m bench.rules`: how long it takes to save many rules of one tenant, one by one, by the admin API.

A worker of the proxy has the tenant in memory meanwhile, and reads and compiles it after the changes.
"""

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import click

from bench import machine
from bench.gateway import Gateway
from bench.programs import BenchFailed, Running, free_port
from bench.report import Target, end_with

_EDGE = 10  # saves of which the first and the last mean are made
_SERVED_SECONDS = 10.0
_POLL_SECONDS = 0.005


class Client:
    """One connection that stays open."""

    def __init__(self, port: int, host: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._host = host

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status, and the JSON of the response. Raises `BenchFailed`."""
        headers = {"Host": self._host, "Content-Type": "application/json"}
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = self._connection.getresponse()
            return response.status, json.loads(response.read() or "null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BenchFailed(f"{method} {path}: {error!r}") from None

    def close(self) -> None:
        self._connection.close()


class Saved(NamedTuple):
    """The figures of one tenant, in seconds.

    `times` are those of the saves. `admin` is the CPU time of the admin process and its Redis for the first
    saves, for the last ones, and for all of them; `worker` is that of the proxy. `served` is the time after
    the last save until the worker knows its rule.
    """

    times: Sequence[float]
    admin: tuple[float, float, float]
    worker: float
    served: float


def measure(rounds: int, count: int) -> list[Target]:
    """The figures of `rounds` tenants, each with `count` rules. Raises `BenchFailed`."""
    saved = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        gateway, port = Gateway(folder / "gateway", free_port()), free_port()
        # The first program starts Redis, whose CPU time counts with the admin process.
        admin = Running(gateway.admin(), folder, stack)
        admin.wait()
        proxy = Running(gateway.proxy("proxy", port), folder, stack)
        proxy.wait()
        machine.await_idle(proxy.pid)
        client = stack.enter_context(closing(Client(gateway.admin_port, "localhost")))
        saving = Saving(client, port, admin.pid, proxy.pid)
        saving("warm-up", 2 * _EDGE)
        for number in range(rounds):
            saved.append(saving(f"round-{number}", count))
            print(f"-- {sum(saved[-1].times):.1f} s", file=sys.stderr)
        for one in (admin, proxy):
            one.check()
    first = [one.admin[0] / _EDGE * 1e3 for one in saved]
    last = [one.admin[1] / _EDGE * 1e3 for one in saved]
    return [
        Target(f"{count:,} rules, s", [sum(one.times) for one in saved], count * 0.005),
        Target("CPU of the admin process and its Redis, s", [one.admin[2] for one in saved], count * 0.005),
        Target("CPU of a worker that has the tenant, s", [one.worker for one in saved], count * 0.005),
        Target(f"one of the first {_EDGE}, ms", [mean(one.times[:_EDGE]) * 1e3 for one in saved], 5),
        Target(f"one of the last {_EDGE}, ms", [mean(one.times[-_EDGE:]) * 1e3 for one in saved], 10),
        Target(f"CPU of one of the first {_EDGE}, ms", first, 5),
        Target(f"CPU of one of the last {_EDGE}, ms", last, 10),
        Target("the last ones beside the first, CPU", [b / a for a, b in zip(first, last, strict=True)], 2),
        Target("until a worker serves the last one, ms", [one.served * 1e3 for one in saved], 500),
    ]


class Saving(NamedTuple):
    """Saves rules by `admin`, and asks the proxy at `port` for them."""

    admin: Client
    port: int
    admin_pid: int
    proxy_pid: int

    def __call__(self, name: str, count: int) -> Saved:
        """Create a tenant with `count` rules."""
        body = {"name": name, "subdomain": name, "tier": "enterprise"}
        tenant = _created(self.admin, "/api/v1/tenants", body)
        times, marks, used = [], dict[int, float](), machine.cpu_seconds(self.proxy_pid)
        for number in range(count):
            if number in (0, _EDGE, count - _EDGE):
                marks[number] = machine.cpu_seconds(self.admin_pid)
            # Nothing listens on port 9, so a rule that is known responds with an error of the upstream.
            rule = {"path": f"/rule-{number}", "target": "http://127.0.0.1:9", "public": True}
            began = time.perf_counter()
            _created(self.admin, f"/api/v1/tenants/{tenant['id']}/rules", rule)
            times.append(time.perf_counter() - began)
            if number == 0:
                self._await(name, "/rule-0")
        saved, end = time.perf_counter(), machine.cpu_seconds(self.admin_pid)
        self._await(name, f"/rule-{count - 1}")
        served, worker = time.perf_counter() - saved, machine.cpu_seconds(self.proxy_pid) - used
        admin = (marks[_EDGE] - marks[0], end - marks[count - _EDGE], end - marks[0])
        return Saved(times, admin, worker, served)

    def _await(self, tenant: str, path: str) -> None:
        """Return when the proxy knows the rule of a path. Raises `BenchFailed`."""
        deadline = time.perf_counter() + _SERVED_SECONDS
        with closing(Client(self.port, f"{tenant}.example.com")) as client:
            while client("GET", path)[0] == http.HTTPStatus.NOT_FOUND:
                if time.perf_counter() > deadline:
                    raise BenchFailed(f"The rule {path} is not served.")
                time.sleep(_POLL_SECONDS)


def _created(admin: Client, path: str, body: Any) -> Any:
    status, document = admin("POST", path, body)
    if status != http.HTTPStatus.CREATED:
        raise BenchFailed(f"POST {path}: {status} {document}")
    return document


@click.command()
@click.option("--rounds", default=3, help="How often it is measured, each time with a new tenant.")
@click.option("--count", default=1_000, help="The rules of a tenant.")
def main(rounds: int, count: int) -> None:
    """Measure saves of rules. Exit code 1 when a target is missed."""
    print(machine.describe())
    found = measure(rounds, count)
    end_with(found)


if __name__ == "__main__":
    main()
