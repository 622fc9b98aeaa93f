"""What limits cost on the proxy, end to end: the same load with and without them, in turns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import redis

from bench.exchange import Call
from bench.limiter.proxied import Proxied
from bench.limiter.rivals import ROOMY
from bench.rounds import MANY
from bench.wrk import run_wrk

_QUOTA = {"limit": ROOMY, "window": "1m"}


def _chain(**limits: Any) -> list[Any]:
    return [{"name": "rate_limiter", "settings": {"limits": limits}}]


#: By name: the chain of the tenant, the chain of the rule. The three are those that `speed` measures.
_TENANTS: dict[str, tuple[list[Any], list[Any]]] = {
    "no limits": ([], []),
    "1 limit": ([], _chain(**{"global": _QUOTA})),
    "3 limits": (_chain(**{"global": _QUOTA}), _chain(**{"global": _QUOTA, "per_ip": _QUOTA})),
}


@dataclass
class Cost:
    """What one tenant's load saw, a figure a round. CPU time of the proxy and waits are in microseconds."""

    name: str
    call: Call
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    alone_us: list[float] = field(default_factory=list)
    commands: list[float] = field(default_factory=list)


def measure_cost(here: Proxied, rounds: int, seconds: int) -> list[Cost]:
    """All tenants in turn, again and again. Raises `LoadFailed` when any answer is no 200."""
    costs = [
        Cost(name, here.call(f"cost-{place}", *chains))
        for place, (name, chains) in enumerate(_TENANTS.items())
    ]
    with here.apart():
        for _ in range(rounds):
            for cost in costs:
                _one_round(here, cost, seconds)
    return costs


def _one_round(here: Proxied, cost: Cost, seconds: int) -> None:
    with redis.Redis(unix_socket_path=here.socket) as store:
        store.config_resetstat()
        used = here.proxy.cpu_seconds()
        load = run_wrk(here.port, cost.call, MANY, seconds)
        cost.cpu_us.append((here.proxy.cpu_seconds() - used) / load.requests * 1e6)
        cost.rates.append(load.rate)
        calls = store.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        cost.commands.append(calls / load.requests)
    cost.alone_us.append(run_wrk(here.port, cost.call, 1, seconds).p50 * 1e6)
    here.proxy.check()


def rows(costs: Sequence[Cost]) -> list[list[str]]:
    """A line a tenant. What is added compares with the first one, in each round."""
    base = costs[0]
    found = []
    for cost in costs:
        share = median(mine / bare for mine, bare in zip(cost.rates, base.rates, strict=True))
        found.append(
            [
                cost.name,
                f"{median(cost.rates):,.0f}",
                f"{share:.2f} x",
                f"{median(cost.cpu_us):.0f}",
                _added(cost.cpu_us, base.cpu_us),
                f"{median(cost.alone_us):.0f}",
                _added(cost.alone_us, base.alone_us),
                f"{median(cost.commands):.2f}",
            ]
        )
    return found


def _added(mine: Sequence[float], bare: Sequence[float]) -> str:
    return f"{median(one - other for one, other in zip(mine, bare, strict=True)):+.0f}"
