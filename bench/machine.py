"""This machine: its cores, the CPU time of a process with its children, and a description."""

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_IDLE_SECONDS, _IDLE_CPU_SECONDS = 0.5, 0.02  # programs that use less CPU time are idle
_START_SECONDS = 30.0  # after which a program that is still busy is measured all the same
_PROCESS_CLOCK = 2  # the number of a process's CPU clock on Linux: clock_getcpuclockid(3)


@dataclass(frozen=True, slots=True)
class Cores:
    """The server under test has a core of its own. Load, upstream and store share another."""

    server: frozenset[int]
    load: frozenset[int]
    all: frozenset[int]


def find_cores() -> Cores:
    """The first and the last core that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(usable[:1]), frozenset(usable[-1:]), frozenset(usable))


def pin(pids: Iterable[int], cores: frozenset[int]) -> None:
    """Run the processes, with their children and all threads, on these cores."""
    for pid in [one for root in pids for one in tree(root)]:
        _pin_threads(pid, cores)


def pin_self(cores: frozenset[int]) -> None:
    """Run this process with all its threads, but not its children, on these cores."""
    _pin_threads(os.getpid(), cores)


def _pin_threads(pid: int, cores: frozenset[int]) -> None:
    for thread in _names(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(thread), cores)
        except ProcessLookupError:
            continue


def tree(root: int) -> list[int]:
    """The process and its living descendants."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, _names("/proc")):
        if fields := _read(f"/proc/{name}/stat").rpartition(")")[2].split():
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:  # grows during the loop
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """CPU time that the process and its living descendants have used."""
    return sum(map(cpu_seconds_of, tree(root)))


def await_idle(root: int) -> None:
    """Return when start-up has ended: a standby worker may still be importing its modules."""
    used, deadline = -1.0, time.monotonic() + _START_SECONDS
    while (now := cpu_seconds(root)) - used > _IDLE_CPU_SECONDS and time.monotonic() < deadline:
        used = now
        time.sleep(_IDLE_SECONDS)


def cpu_seconds_of(pid: int) -> float:
    """CPU time that the process alone has used."""
    # The clock of the process is exact. /proc/PID/stat counts in steps of 10 ms.
    try:
        return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)
    except OSError:
        return 0.0


def describe() -> str:
    """One line: processor, cores, kernel, Python and load average."""
    lines = _read("/proc/cpuinfo").splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"{next(models, platform.machine())}, {len(os.sched_getaffinity(0))} cores, "
        f"Linux {kernel}, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}"
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
