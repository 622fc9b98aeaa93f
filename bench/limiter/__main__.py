"""`python -m bench.limiter`: our limiter beside the package `limits` and redis-py, in one run."""

import tempfile
from pathlib import Path
from statistics import median

import click
import uvloop
from rich.console import Console
from rich.table import Table

from bench.limiter.attack import LIMIT, SECONDS, worst_windows
from bench.limiter.rivals import ENTRANTS, LEVELS, LIMITS, OURS
from bench.limiter.speed import IDENTITIES, IN_FLIGHT, Speed, measure
from shared.stores.embedded import Embedded


@click.command()
@click.option("--rounds", default=5, help="How often each takes its turn.")
@click.option("--seconds", default=1.0, help="Length of a turn.")
def main(rounds: int, seconds: float) -> None:
    """Measure decisions a second, commands a request, and what an attack on the boundary gets."""
    with tempfile.TemporaryDirectory() as folder:
        server = Embedded(Path(folder))
        server.open()
        try:
            speeds = uvloop.run(measure(ENTRANTS, str(server.socket), rounds, seconds))
            attacks = uvloop.run(worst_windows((OURS, *LIMITS), str(server.socket)))
        finally:
            server.close()
    Console(width=120).print(table(speeds, attacks))


def table(speeds: list[Speed], attacks: dict[str, int]) -> Table:
    """One row an entrant; the ratio is our rate over its rate, from rounds that ran side by side."""
    found = Table(
        title=f"{len(LEVELS)} limits a request, {IN_FLIGHT} in flight, {IDENTITIES} identities",
        caption=f"attack: the most admitted in {SECONDS} s at a limit of {LIMIT} per {SECONDS} s",
    )
    for name in ("", "decisions/s", "ours is faster by", "commands/request", "client µs", "attack"):
        found.add_column(name, justify="right" if name else "left")
    us = speeds[0]
    for speed in speeds:
        ratio = median(ours / theirs for ours, theirs in zip(us.rates, speed.rates, strict=True))
        found.add_row(
            speed.name,
            f"{speed.rate:,.0f}",
            f"{ratio:.1f} x",
            f"{median(speed.commands):.2f}",
            f"{median(speed.client_us):.1f}",
            str(attacks.get(speed.name, "")),
        )
    return found


if __name__ == "__main__":
    main()
