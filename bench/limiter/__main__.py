"""`python -m bench.limiter`: our limiter beside `limits` and redis-py, and on the proxy, in one run."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
import uvloop

from bench.limiter.attack import LIMIT, SECONDS, Degraded, worst_windows
from bench.limiter.cost import measure_cost, rows
from bench.limiter.proxied import over_http, proxied
from bench.limiter.rivals import ENTRANTS, LEVELS, LIMITS, OURS
from bench.limiter.speed import IDENTITIES, IN_FLIGHT, Speed, measure
from bench.machine import describe
from bench.programs import ProgramFailed
from bench.rounds import FAULTS, MANY
from bench.say import say
from bench.table import table
from scripts.demo import DemoFailed


@click.command()
@click.option("--rounds", default=5, help="How often each takes its turn.")
@click.option("--seconds", default=1, help="Length of a turn.")
def main(rounds: int, seconds: int) -> None:
    """Measure decisions, commands a request, what an attack on the boundary gets, and what a proxy pays."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            _run(Path(folder), rounds, seconds)
        except (*FAULTS, DemoFailed, ProgramFailed) as error:
            sys.exit(f"FAILED  {error}")
        except Degraded:
            sys.exit("FAILED  This machine is too busy: Redis did not answer the proxy within 50 ms.")


def _run(folder: Path, rounds: int, seconds: int) -> None:
    with proxied(folder) as here:
        say("decisions")
        speeds = uvloop.run(measure(ENTRANTS, here.socket, rounds, seconds))
        say("attack on the boundary")
        attacked = (over_http(here), OURS, *LIMITS)
        worst = uvloop.run(worst_windows(attacked, here.socket))
        say("cost on the proxy")
        costs = measure_cost(here, rounds, seconds)
    print(describe())
    print(f"\n{len(LEVELS)} limits a request, {IN_FLIGHT} in flight, {IDENTITIES} identities\n")
    head = ["", "decisions/s", "ours is faster by", "commands/request", "client us"]
    print(table(head, speed_rows(speeds)))
    print(f"\nAttack on the boundary: the most admitted in any {SECONDS} s at {LIMIT} per {SECONDS} s\n")
    print(table(["", "admitted"], [[name, str(count)] for name, count in worst.items()]))
    print(f"\nOn the proxy, one worker, {MANY} connections; alone: one connection\n")
    head = ["", "requests/s", "", "CPU us", "added", "p50 us alone", "added", "commands/request"]
    print(table(head, rows(costs)))


def speed_rows(speeds: Sequence[Speed]) -> list[list[str]]:
    """One row an entrant; the ratio is our rate over its rate, from rounds that ran side by side."""
    us = speeds[0]
    return [
        [
            speed.name,
            f"{speed.rate:,.0f}",
            f"{median(ours / theirs for ours, theirs in zip(us.rates, speed.rates, strict=True)):.1f} x",
            f"{median(speed.commands):.2f}",
            f"{median(speed.client_us):.1f}",
        ]
        for speed in speeds
    ]


if __name__ == "__main__":
    main()
