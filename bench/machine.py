"""This machine: who runs on which core, and what a process and its children have used."""

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROCESS_CLOCK = 2  # how Linux numbers the clocks of processes: clock_getcpuclockid(3)
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cores:
    """The server under test has one core for itself; load, upstream and store share another."""

    server: frozenset[int]
    load: frozenset[int]
    all: frozenset[int]

    def __str__(self) -> str:
        if self.server == self.load:
            return "nothing pinned: there is one core only"
        return (
            f"server under test on core {_listed(self.server)}; wrk, upstream, admin API and Valkey on core "
            f"{_listed(self.load)}; for `one core` all on core {_listed(self.server)}; for free-1 and free-2 "
            f"nothing, all on cores {_listed(self.all)}"
        )


def find_cores() -> Cores:
    """The first and the last core that we may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(usable[:1]), frozenset(usable[-1:]), frozenset(usable))


def pin(pids: Iterable[int], cores: frozenset[int]) -> None:
    """Run the processes, with their children and all threads, on these cores."""
    for pid in [one for root in pids for one in tree(root)]:
        for thread in _names(Path(f"/proc/{pid}/task")):
            try:
                os.sched_setaffinity(int(thread), cores)
            except ProcessLookupError:
                continue


def pin_ourselves(cores: frozenset[int]) -> None:
    """Run this thread, and what it starts from now on, on these cores."""
    os.sched_setaffinity(0, cores)


def tree(root: int) -> list[int]:
    """The process and everything below it, as far as it still runs."""
    children: dict[int, list[int]] = {}
    for name in _names(Path("/proc")):
        if name.isdigit() and (fields := _stat(int(name))):
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:  # grows while we go
        found.extend(children.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """CPU time that the process and its living children have used."""
    return sum(map(_cpu_seconds, tree(root)))


def resident_bytes(root: int) -> int:
    """Memory that the process and its living children hold."""
    return sum(_resident(pid) for pid in tree(root))


def describe() -> str:
    """Processor, cores, kernel, Python, and how busy the machine is."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average {load}"
    )


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, from the state on; empty when it has ended."""
    text = "".join(_lines(f"/proc/{pid}/stat"))
    return text.rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    """By the process's own clock, which is exact; /proc/PID/stat counts in steps of 10 ms."""
    try:
        return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)
    except OSError:
        return 0.0


def _resident(pid: int) -> int:
    fields = "".join(_lines(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * _PAGE if fields else 0


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _listed(cores: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cores)))
