"""`python -m bench.pipeline`: the cost of the plugin pipeline, beside its targets."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, nullcontext

import click
import uvloop

from bench.report import Target, end_with
from shared.model.config import Stage
from shared.model.messages import Exchange
from shared.pipeline.plan import Plan, make_plan
from shared.pipeline.plugin import CONTINUE, Plugin, ResolvedEntry, Verdict
from shared.pipeline.pool import PluginPool
from shared.pipeline.run import Run
from shared.pipeline.testing import sample_exchange

_PLUGIN_SECONDS = 0.2
#: Concurrent chains, groups of each, plugins of a group, and seconds of each plugin.
_CHAINS, _GROUPS, _STEPS, _STEP_SECONDS = 50, 3, 4, 0.001
_BUSY_SECONDS = 0.002  # that a busy loop works, and then pauses, in turn


class _InPlace(Plugin):
    """Does nothing, on the loop."""

    reads = frozenset({"headers"})
    blocking = False

    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE


class _InThread(_InPlace):
    """Does nothing, in a thread."""

    blocking = True


class _Sleeping(Plugin):
    """Sleeps in a thread."""

    reads = frozenset({"headers"})

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def pre_request(self, exchange: Exchange) -> Verdict:
        time.sleep(self.seconds)
        return CONTINUE


def _plan(*groups: Sequence[Plugin], parallel: bool = True) -> Plan:
    entries = [
        ResolvedEntry(
            plugin=plugin,
            stage=Stage.PRE_REQUEST,
            priority=number,
            parallel=parallel,
            on_error="closed",
            timeout=30.0,
            origin="rule",
            tenant_id="t1",
            rule_id="r1",
        )
        for number, group in enumerate(groups)
        for plugin in group
    ]
    return make_plan(entries, buffer_streams=False)


async def measure(rounds: int, times: int) -> list[Target]:
    """All figures with their targets."""
    found = [
        Target("an empty stage, us", await _stage_us(_plan(), rounds, times), 1),
        Target("a plugin in place, us", await _stage_us(_plan([_InPlace()]), rounds, times), 15),
        Target("a plugin in a thread, us", await _stage_us(_plan([_InThread()]), rounds, times), 150),
    ]
    for loop, context in (("idle", nullcontext), ("busy", _busy_loop)):
        async with context():
            together, in_turn = await _two_plugins(parallel=True), await _two_plugins(parallel=False)
        found.append(Target(f"two plugins of 200 ms together, loop {loop}, ms", [together * 1e3], 260))
        found.append(Target(f"one after the other, loop {loop}, ms", [in_turn * 1e3], 400, is_minimum=True))
    text = f"{_CHAINS} chains of {_GROUPS} x {_STEPS} parallel steps of 1 ms on one thread, ms"
    found.append(Target(text, [await _many_chains() * 1e3], 3000))
    return found


async def _stage_us(plan: Plan, rounds: int, times: int) -> list[float]:
    """Microseconds per stage, in each round."""
    with PluginPool(2, 100) as pool:
        return [await _round_us(plan, pool, times) for _ in range(rounds)]


async def _round_us(plan: Plan, pool: Executor, times: int) -> float:
    runs = [Run(plan, sample_exchange(), pool) for _ in range(times)]
    start = time.perf_counter()
    for run in runs:
        await run.request_head()
    return (time.perf_counter() - start) / times * 1e6


async def _two_plugins(*, parallel: bool) -> float:
    """Seconds that two plugins of 200 ms take."""
    plan = _plan([_Sleeping(_PLUGIN_SECONDS), _Sleeping(_PLUGIN_SECONDS)], parallel=parallel)
    with PluginPool(4, 100) as pool:
        start = time.perf_counter()
        await Run(plan, sample_exchange(), pool).request_head()
        return time.perf_counter() - start


async def _many_chains() -> float:
    """Seconds until all chains are through; infinite when one did not get its thread in time."""
    plan = _plan(*([_Sleeping(_STEP_SECONDS) for _ in range(_STEPS)] for _ in range(_GROUPS)))
    with PluginPool(1, _CHAINS * _STEPS) as pool:
        runs = [Run(plan, sample_exchange(), pool) for _ in range(_CHAINS)]
        start = time.perf_counter()
        await asyncio.gather(*(run.request_head() for run in runs))
        return float("inf") if any(run.rejection for run in runs) else time.perf_counter() - start


@asynccontextmanager
async def _busy_loop() -> AsyncIterator[None]:
    """The loop is busy with other work half of the time."""

    async def work() -> None:
        while True:
            end = time.perf_counter() + _BUSY_SECONDS
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(_BUSY_SECONDS)

    task = asyncio.ensure_future(work())
    try:
        yield
    finally:
        task.cancel()


@click.command()
@click.option("--rounds", default=5, help="How often each is measured.")
@click.option("--times", default=2000, help="Stages per round.")
def main(rounds: int, times: int) -> None:
    """Measure the plugin pipeline. Exit code 1 when a target is missed."""
    found = uvloop.run(measure(rounds, times))
    end_with(found)


if __name__ == "__main__":
    main()
