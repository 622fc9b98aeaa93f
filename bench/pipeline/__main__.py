"""`python -m bench.pipeline`: what the plugin pipeline costs, beside its targets."""

import sys
from collections.abc import Sequence

import click
import uvloop
from rich.console import Console
from rich.table import Table

from bench.pipeline.costs import costs
from bench.pipeline.waits import CHAINS, GROUPS, STEPS, many_chains_on_one_thread, two_plugins

#: What is measured, in microseconds or milliseconds, the bound, and whether it may not be above it.
WorkerRow = tuple[str, float, str, float, bool]


@click.command()
@click.option("--rounds", default=5, help="How often each takes its turn.")
@click.option("--times", default=2000, help="Stages in a turn.")
def main(rounds: int, times: int) -> None:
    """Measure what a stage costs, and how long plugins that wait take. Fails when a target is missed."""
    rows = uvloop.run(measured(rounds, times))
    Console(width=100).print(table(rows))
    sys.exit(0 if all(map(met, rows)) else 1)


async def measured(rounds: int, times: int) -> list[WorkerRow]:
    """All figures with their targets (see the specification, "Proof")."""
    cost = await costs(rounds, times)
    rows: list[WorkerRow] = [
        (name, cost[name], "µs", bound, True)
        for name, bound in (("an empty stage", 1), ("a plugin in place", 15), ("a plugin in a thread", 150))
    ]
    for busy in (False, True):
        where = "on a busy loop" if busy else "on an idle loop"
        together = await two_plugins(parallel=True, busy=busy) * 1e3
        apart = await two_plugins(parallel=False, busy=busy) * 1e3
        rows.append((f"two plugins of 200 ms together, {where}", together, "ms", 260, True))
        rows.append((f"one after the other, {where}", apart, "ms", 400, False))
    seconds, rejected = await many_chains_on_one_thread()
    words = f"{CHAINS} chains of {GROUPS} x {STEPS} steps of 1 ms on one thread"
    # A refused one did not get its thread in time.
    rows.append((words, float("inf") if rejected else seconds * 1e3, "ms", 3000, True))
    return rows


def met(row: WorkerRow) -> bool:
    """Whether the figure is on the right side of its target."""
    _, found, _, bound, is_most = row
    return found <= bound if is_most else found >= bound


def table(rows: Sequence[WorkerRow]) -> Table:
    """One row a figure."""
    shown = Table(title="The plugin pipeline")
    for name in ("", "found", "target", ""):
        shown.add_column(name, justify="right" if name else "left")
    for row in rows:
        words, found, unit, bound, is_most = row
        target = f"{'<=' if is_most else '>='} {bound:g} {unit}"
        shown.add_row(words, f"{found:.2f} {unit}", target, "ok" if met(row) else "MISSED")
    return shown


if __name__ == "__main__":
    main()
