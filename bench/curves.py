"""`python -m bench.curves`: the CPU time of a request by the number of rules, tenants, plugins and limits.

The request matches the last rule, or all tenants send it in turn. All is on one core.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click

from bench.contenders import Bench, Contender
from bench.gateway import MAX_REQUESTS, RESPONSE, Gateway, entry
from bench.load import CONNECTIONS, Call, await_rule, drive
from bench.machine import describe
from bench.report import Round, Table, cell, over_rounds

_PLUGIN = {"blocked_headers": ["X-Debug"]}
_MAX_QUOTAS = 8  # of a dimension of a limit


class Curve(NamedTuple):
    """A number that grows: what it counts, its values, and the calls of a gateway with so many."""

    title: str
    numbers: Sequence[int]
    make: Callable[[Gateway, int], Sequence[Call]]


def _with_rules(gateway: Gateway, count: int) -> Sequence[Call]:
    return [gateway.create_tenant(f"rules-{count}", others=count - 1)]


def _with_tenants(gateway: Gateway, count: int) -> Sequence[Call]:
    return [gateway.create_tenant(f"tenants-{count}-{number}") for number in range(count)]


def _with_plugins(gateway: Gateway, count: int) -> Sequence[Call]:
    chain = [entry("security_validator", number + 1, **_PLUGIN) for number in range(count)]
    return [gateway.create_tenant(f"plugins-{count}", on_rule=chain)]


def _with_limits(gateway: Gateway, count: int) -> Sequence[Call]:
    quotas = [{"limit": MAX_REQUESTS, "window": f"{60 + number}s"} for number in range(count)]
    groups = [quotas[place : place + _MAX_QUOTAS] for place in range(0, count, _MAX_QUOTAS)]
    chain = [entry("rate_limiter", 1, limits={"global": group}) for group in groups]
    return [gateway.create_tenant(f"limits-{count}", on_rule=chain)]


#: The curves by name.
CURVES = {
    "rules": Curve("rules of a tenant", (1, 10, 100, 1000, 10_000), _with_rules),
    "tenants": Curve("tenants that call in turn", (1, 10, 100, 1000), _with_tenants),
    "plugins": Curve("plugins that run", (1, 4, 16, 32), _with_plugins),
    "limits": Curve("limits that count", (1, 4, 16, 64), _with_limits),
}


def measure(rounds: int, seconds: float, only: Collection[str] = (), most: int = 10_000) -> list[Round]:
    """The CPU time of a request at each point of each curve. Raises `BenchFailed`."""
    points = dict[str, Sequence[Call]]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(folder, stack)
        for name, curve in CURVES.items():
            for number in curve.numbers if not only or name in only else ():
                if number <= most:
                    print(f"-- {number} {curve.title}", file=sys.stderr, flush=True)
                    points[f"{name}-{number}"] = curve.make(bench.gateway, number)
        firsts = {name: calls[0] for name, calls in points.items()}
        contenders = bench.start([f"express+{name}" for name in points], firsts)
        found = bench.measure(contenders, rounds, lambda one: _turn(bench, one, points, seconds))
    return [{name.partition("+")[2]: row for name, row in one.items()} for one in found]


def _turn(
    bench: Bench, contender: Contender, points: Mapping[str, Sequence[Call]], seconds: float
) -> dict[str, float]:
    bench.place(contender, apart=False)
    calls = points[contender.name.partition("+")[2]]
    for call in calls:  # each tenant is loaded before it counts
        await_rule(contender.port, call, RESPONSE)
    used = contender.cpu_seconds()
    times = drive(contender.port, calls, RESPONSE, connections=CONNECTIONS, seconds=seconds)
    return {"cpu": (contender.cpu_seconds() - used) / len(times)}


def curve_table(rounds: Sequence[Round]) -> Table:
    """A row per point."""
    rows = [
        [
            name.replace("-", ": "),
            cell(over_rounds(rounds, name, "cpu"), 1e6, 1, with_range=True),
        ]
        for name in rounds[0]
    ]
    return Table("Curves, express", ["", "one core: CPU us"], rows)


@click.command()
@click.option("--rounds", default=3, help="How often each is measured.")
@click.option("--seconds", default=1.0, help="Length of each load.")
@click.option("--only", multiple=True, help="rules, tenants, plugins or limits, repeatable.")
@click.option("--most", default=10_000, help="The highest number of each curve.")
def main(rounds: int, seconds: float, only: tuple[str, ...], most: int) -> None:
    """Measure how the cost of a request grows."""
    print(describe())
    began = time.monotonic()
    found = measure(rounds, seconds, only, most)
    print(f"{curve_table(found).text()}\n\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
