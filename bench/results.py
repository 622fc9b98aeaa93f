"""The results of a run, kept as JSON, so that pages and charts can be made again without a run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.profiler import Function
from bench.report import Round, Target

_DIGITS = 4  # of a figure that is kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """The figures of a run.

    Attributes:
        date: the day, as YYYY-MM-DD.
        machine: processor, cores, kernel, Python and load average.
        python: the version of Python, such as 3.13.0.
        comparison: the rounds of the comparison.
        events: the rounds of the streams.
        bodies: the rounds of the large bodies.
        curves: the rounds of the curves.
        calls: function calls of a request, by case.
        profiles: the functions that take the most time, by case.
        others: the targets of the other benchmarks, by title.
        scale: the figures of `bench.scale`, by the number of tenants.
        fleet: commands and CPU seconds of the store (`bench.fleet`), of an idle worker and of requests.
    """

    date: str
    machine: str
    python: str
    comparison: Sequence[Round] = ()
    events: Sequence[Round] = ()
    bodies: Sequence[Round] = ()
    curves: Sequence[Round] = ()
    calls: Mapping[str, float] = field(default_factory=dict)
    profiles: Mapping[str, Sequence[Function]] = field(default_factory=dict)
    others: Mapping[str, Sequence[Target]] = field(default_factory=dict)
    scale: Round = field(default_factory=dict)
    fleet: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the file, with figures of four digits."""
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """The results of a file that `write` wrote. Raises OSError and ValueError."""
    found = json.loads(path.read_text(encoding="utf-8"))
    found["profiles"] = {name: [Function(*one) for one in rows] for name, rows in found["profiles"].items()}
    found["others"] = {name: [Target(*one) for one in rows] for name, rows in found["others"].items()}
    return Results(**found)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
