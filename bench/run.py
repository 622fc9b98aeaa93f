"""A whole run: the comparison, streams, bodies, calls and curves, and what else is recorded."""

import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from pstats import Stats
from typing import NamedTuple

import uvloop

from bench import bodies, calls, comparison, curves, models, pipeline, profiler, rules, streams, upload
from bench.contenders import Bench
from bench.machine import describe
from bench.report import Round, Target
from bench.results import Results
from bench.targets import COUNTED, targets

_REQUESTS = 1000  # of a profile
_UPLOAD_BYTES = 500_000_000


class Extent(NamedTuple):
    """How much is measured: rounds, the length of each load in seconds, and whether curves are drawn."""

    rounds: int
    seconds: int
    has_curves: bool

    @property
    def short(self) -> float:
        """The length of a load that one connection makes."""
        return 1.0 if self.has_curves else 0.5


def compare(names: Collection[str], extent: Extent) -> Results:
    """The comparison of some contenders. Raises `BenchFailed`."""
    return _begin(comparison=_comparison(names, extent))


def run(extent: Extent, *, with_profiles: bool) -> Results:
    """All that every run has. The targets that are missed get their profiles. Raises `BenchFailed`."""
    results = _measured(extent)
    cases = dict.fromkeys(one.case for one in targets(results) if one.is_missed and one.case)
    return _profiled(results, cases) if with_profiles else results


def _measured(extent: Extent) -> Results:
    results = _begin(
        # The longest preparation comes first: what fails, fails early.
        curves=_announced("curves", curves.measure, 3, 1.0) if extent.has_curves else [],
        comparison=_comparison(comparison.CONTENDERS, extent),
        events=_announced(
            "streams", streams.measure, streams.CONTENDERS, extent.rounds, min(2, extent.seconds)
        ),
        bodies=_announced("bodies", bodies.measure, bodies.CONTENDERS, extent.rounds, extent.short),
    )
    return _profiled(results, COUNTED)


def others() -> Mapping[str, list[Target]]:
    """The targets of the other benchmarks, by title. Raises `BenchFailed`."""
    return {
        "The plugin pipeline": _announced("pipeline", lambda: uvloop.run(pipeline.measure(5, 2000))),
        "Models and targets": _announced("models", models.measure, 3),
        "Saves of rules": _announced("rules", rules.measure, 1, 1_000),
        "One upload of 500 MB": _announced("upload", upload.measure, 5, _UPLOAD_BYTES),
    }


def _begin(**found: object) -> Results:
    return Results(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=describe(),
        python=python_version(),
        **found,  # type: ignore[arg-type]
    )


def _announced[**P, T](name: str, measure: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """The result of `measure`. Its name and its time are printed."""
    print(f"== {name}", file=sys.stderr, flush=True)
    began = time.monotonic()
    found = measure(*args, **named)
    print(f"== {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def _comparison(names: Collection[str], extent: Extent) -> list[Round]:
    def measure() -> list[Round]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            bench = Bench(folder, stack)
            started = bench.start(names)
            return bench.measure(
                started, extent.rounds, lambda one: comparison.turn(bench, one, extent.seconds)
            )

    return _announced("comparison", measure)


def _profiled(results: Results, names: Iterable[str]) -> Results:
    """The results with the function calls of these cases, and the functions that take the most time."""
    cases: Mapping[str, Callable[[], tuple[Stats, int]]] = {
        "plain": lambda: (calls.profile("express", requests=_REQUESTS), _REQUESTS),
        "chain": lambda: (calls.profile("express", chain=True, requests=_REQUESTS), _REQUESTS),
        "ai": lambda: (calls.profile("express", ai=True, requests=_REQUESTS), _REQUESTS),
        "events": lambda: streams.profile("express"),
        "judged": lambda: streams.profile("express+judged"),
        "content": lambda: bodies.profile("express+content"),
    }
    counts, functions = {**results.calls}, {**results.profiles}
    for name in names:
        if name not in counts:
            stats, units = _announced(f"profile of {name}", cases[name])
            counts[name] = profiler.calls_in(stats) / units
            functions[name] = profiler.top(stats, units)
    return replace(results, calls=counts, profiles=functions)
