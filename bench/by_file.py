"""A profile by file: where the calls of a request are made, and where its time goes."""

from collections.abc import Mapping
from pathlib import PurePath

from bench.table import table

#: As `pstats.Stats.stats` has it: (file, line, name) -> (primitive calls, calls, own time, time, callers).
Rows = Mapping[tuple[str, int, str], tuple[int, int, float, float, object]]

_BUILT_IN = "~"  # what the profiler calls the file of C functions
_US = 1e6


def by_file(rows: Rows, requests: int, lines: int) -> str:
    """The `lines` files with the most calls. Times are own times, slowed down by the profiler."""
    calls: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for (file, _, _), (_, count, own, _, _) in rows.items():
        name = _shown(file)
        calls[name] = calls.get(name, 0) + count
        seconds[name] = seconds.get(name, 0.0) + own
    most = sorted(calls, key=calls.__getitem__, reverse=True)[:lines]
    cells = [
        [name, f"{calls[name] / requests:.1f}", f"{seconds[name] / requests * _US:.1f}"] for name in most
    ]
    return table(["", "calls/request", "own us/request"], cells)


def _shown(file: str) -> str:
    """The file with its folder."""
    return "C functions" if file == _BUILT_IN else "/".join(PurePath(file).parts[-2:])
