"""Microseconds that a stage takes which has nothing to do."""

import time
from collections.abc import Mapping
from statistics import median

from bench.pipeline.chains import InPlace, InThread, plan_of, run_of
from shared.model.config import Stage
from shared.pipeline import Plan
from shared.pipeline.pool import PluginPool

_PLANS = {
    "an empty stage": plan_of(),
    "a plugin in place": plan_of([InPlace()]),
    "a plugin in a thread": plan_of([InThread()]),
}


async def costs(rounds: int, times: int) -> Mapping[str, float]:
    """Of each plan the median of `rounds` turns, in microseconds a stage."""
    pool = PluginPool(2, 100)
    found: dict[str, list[float]] = {name: [] for name in _PLANS}
    try:
        for _ in range(rounds):
            for name, plan in _PLANS.items():
                found[name].append(await _turn(plan, pool, times))
    finally:
        pool.shutdown()
    return {name: median(each) for name, each in found.items()}


async def _turn(plan: Plan, pool: PluginPool, times: int) -> float:
    runs = [run_of(plan, pool) for _ in range(times)]
    start = time.perf_counter()
    for run in runs:
        await run.stage(Stage.PRE_REQUEST)
    return (time.perf_counter() - start) / times * 1e6
