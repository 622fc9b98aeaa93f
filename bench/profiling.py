"""A profile of a running program and of its workers, taken from outside by signals."""

import os
import pstats
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import machine
from bench.programs import ProgramFailed

_PATIENCE = 20.0  # seconds until a profile must be written
_LOOK_EVERY = 0.01  # seconds
_INJECTED = Path(__file__).parent / "injected"


def environment(folder: Path) -> dict[str, str]:
    """What a program must be started with so that it can be profiled into the existing `folder`."""
    return {"PYTHONPATH": str(_INJECTED), "BENCH_PROFILE": str(folder)}


def profiled[R](root: int, folder: Path, work: Callable[[], R]) -> tuple[R, pstats.Stats]:
    """Do `work` while the process `root` and its children are profiled.

    The profile is that of the busiest of them, so of the worker. Raises `ProgramFailed` when none is written.
    """
    pids = [pid for pid in machine.tree(root) if _is_python(pid)]
    _signal(pids, lambda pid: (folder / f"{pid}.on").exists())
    try:
        done = work()
    finally:
        _signal(pids, lambda pid: (folder / f"{pid}.prof").exists())
    files = [str(folder / f"{pid}.prof") for pid in pids]
    return done, max((pstats.Stats(file) for file in files), key=calls_in)


def calls_in(stats: pstats.Stats) -> int:
    """Function calls, those of C functions included."""
    total: int = stats.total_calls  # type: ignore[attr-defined]
    return total


def _signal(pids: list[int], is_done: Callable[[int], bool]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGPROF)
    deadline = time.monotonic() + _PATIENCE
    while not all(map(is_done, pids)):
        if time.monotonic() > deadline:
            raise ProgramFailed("the profiler did not answer")
        time.sleep(_LOOK_EVERY)


def _is_python(pid: int) -> bool:
    """True for what runs on our interpreter; the others would die of the signal."""
    try:
        return os.path.samefile(f"/proc/{pid}/exe", sys.executable)
    except OSError:
        return False
