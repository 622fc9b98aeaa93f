"""A profile of a running proxy's worker. It starts and ends at a signal."""

import os
import pstats
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench import machine
from bench.programs import BenchFailed

_SECONDS = 20.0  # until a profile must have begun, and until it must be written
_WAITING = re.compile(r"\b(acquire|poll|run_forever|run_until_complete|select|sleep|wait)\b")
_INJECTED = Path(__file__).parent / "injected"


class Function(NamedTuple):
    """A function of a profile: its own share of the time, and how often a unit of work calls it."""

    name: str
    share: float
    calls: float


def variables(folder: Path) -> Mapping[str, str]:
    """The environment of a Python program that can be profiled. Its profiles are kept in `folder`."""
    return {"PYTHONPATH": str(_INJECTED), "BENCH_PROFILE": str(folder)}


def profile(root: int, folder: Path, work: Callable[[], object]) -> pstats.Stats:
    """The profile of the busiest Python process below `root` during `work`. Raises `BenchFailed`."""
    machine.await_idle(root)
    pids = [pid for pid in machine.tree(root) if _is_python(pid)]
    for pid in pids:
        (folder / f"{pid}.prof").unlink(missing_ok=True)
    _signal(pids, lambda pid: (folder / f"{pid}.on").exists())
    work()
    _signal(pids, lambda pid: (folder / f"{pid}.prof").exists())
    for pid in pids:
        (folder / f"{pid}.on").unlink()
    # The busiest process is the worker.
    return max((pstats.Stats(str(folder / f"{pid}.prof")) for pid in pids), key=calls_in)


def calls_in(stats: pstats.Stats) -> int:
    """Calls of Python and C functions."""
    total: int = stats.total_calls  # type: ignore[attr-defined]
    return total


def top(stats: pstats.Stats, units: int, count: int = 12) -> list[Function]:
    """The functions that take the most time by themselves, for so many units of work."""
    found: Mapping[tuple[str, int, str], tuple[int, int, float, float, object]] = stats.stats  # type: ignore[attr-defined]
    busy = {key: row for key, row in found.items() if not _WAITING.search(key[2])}
    total = sum(row[2] for row in busy.values()) or 1.0
    first = sorted(busy.items(), key=lambda item: (-item[1][2], item[0]))[:count]
    return [Function(_name(*key), row[2] / total, row[1] / units) for key, row in first]


def _name(file: str, line: int, function: str) -> str:
    """`shared/limits/resolve.py:12 resolve`, and `built-in` for what is written in C."""
    if file == "~":
        return function.strip("<>")
    path = Path(file)
    root = Path(__file__).parents[1]
    short = path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[-2:])
    if ".venv" in short.parts:
        short = Path(*short.parts[-2:])
    return f"{short.as_posix()}:{line} {function}"


def _signal(pids: list[int], is_done: Callable[[int], bool]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGPROF)
    deadline = time.monotonic() + _SECONDS
    while not all(map(is_done, pids)):
        if time.monotonic() > deadline:
            raise BenchFailed("the profiler did not start or end")
        time.sleep(0.01)


def _is_python(pid: int) -> bool:
    """Whether it runs this interpreter. Other programs would end at the signal."""
    try:
        return os.path.samefile(f"/proc/{pid}/exe", sys.executable)
    except OSError:
        return False
