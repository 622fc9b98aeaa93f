"""The series of processes as files of `prometheus_client`, which merges those of all processes.

A file is named by the process's place: the next worker in a slot goes on with the counters of the one before,
so that they never go back and files do not pile up. It is written in place and not mapped into memory: on
a full disk a write to mapped memory ends the process.
"""

import os
import shutil
import struct
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.utils import floatToGoString

from shared.core.process.data_files import lock_file, writing_to
from shared.metrics.names import COUNTER, GAUGE, HISTOGRAM, WORKER_RESTARTS, Family
from shared.metrics.registry import Child, Registry

_START: Final = 8  # bytes: the length that is used, and padding
_LENGTH, _HEAD, _NUMBER = struct.Struct("i"), struct.Struct("ii"), struct.Struct("dd")
_LOCK: Final = "lock"


class SeriesFile:
    """A file of numbers by their keys, in the form that `MmapedDict` reads. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._places: dict[str, int] = {}
        self._numbers: dict[str, float] = {}
        self._end = _START
        if os.fstat(self._file).st_size < _START:
            self._write(_HEAD.pack(_START, 0), 0)
            return
        self._end = _LENGTH.unpack(os.pread(self._file, _LENGTH.size, 0))[0]
        for key, number, _, place in MmapedDict.read_all_values_from_file(path):
            self._places[key], self._numbers[key] = place, number

    def number(self, key: str) -> float:
        """The number that the file has, 0 if it has none."""
        return self._numbers.get(key, 0.0)

    def write(self, key: str, number: float) -> None:
        """Set the number of a key."""
        data = _NUMBER.pack(number, 0.0)
        if (place := self._places.get(key)) is not None:
            self._write(data, place)
            return
        text = key.encode()
        padding = b" " * (8 - (len(text) + _LENGTH.size) % 8)
        entry = _LENGTH.pack(len(text)) + text + padding + data
        self._write(entry, self._end)
        self._write(_LENGTH.pack(self._end + len(entry)), 0)  # now it is read
        self._end += len(entry)
        self._places[key] = self._end - _NUMBER.size

    def close(self) -> None:
        os.close(self._file)

    def _write(self, data: bytes, place: int) -> None:
        if os.pwrite(self._file, data, place) < len(data):
            raise OSError("the disk is full")


class SeriesFiles:
    """Writes the series of this process. `process` is its place, such as the number of its slot."""

    def __init__(self, folder: Path, process: str, registry: Registry) -> None:
        self._folder, self._process, self._registry = folder, process, registry
        self._files: dict[str, SeriesFile] = {}
        self._written: dict[Child, list[float]] = {}
        self._begun: dict[Child, tuple[SeriesFile, list[str], list[float]]] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def flush(self) -> None:
        """Write what has changed. Raises OSError; what was not written is written by the next call."""
        with self._lock:
            if not self._is_closed:
                self._flush()

    def close(self) -> None:
        """Write the last changes, as far as that works."""
        with self._lock:
            with suppress(OSError):
                self._flush()
            self._is_closed = True
            for file in self._files.values():
                file.close()

    def _flush(self) -> None:
        for child, series in self._registry.series():
            numbers, written = series.numbers, self._written.get(child)
            if numbers == written:
                continue
            file, keys, before = self._begin(child)
            for at, number in enumerate(numbers):
                if written is None or number != written[at]:
                    file.write(keys[at], before[at] + number)
            self._written[child] = numbers

    def _begin(self, child: Child) -> tuple[SeriesFile, list[str], list[float]]:
        """The file of a series, its keys there, and the numbers of the process before this one."""
        if child not in self._begun:
            family, labels = child
            name = f"{family.kind}_{family.merge}" if family.kind == GAUGE else family.kind
            if name not in self._files:
                self._files[name] = SeriesFile(self._folder / f"{name}_{self._process}.db")
            file, keys = self._files[name], _keys(family, labels)
            before = [0.0 if family.kind == GAUGE else file.number(key) for key in keys]
            self._begun[child] = file, keys, before
        return self._begun[child]


def _keys(family: Family, labels: tuple[str, ...]) -> list[str]:
    """The keys of the numbers of a series, in their order."""
    metric = family.name.removesuffix("_total") if family.kind == COUNTER else family.name

    def key(name: str, **more: str) -> str:
        return mmap_key(metric, name, [*family.labels, *more], [*labels, *more.values()], family.meaning)

    if family.kind != HISTOGRAM:
        return [key(family.name)]
    buckets = [
        key(f"{family.name}_bucket", le=floatToGoString(one)) for one in (*family.bounds, float("inf"))
    ]
    return [*buckets, key(f"{family.name}_sum")]


def forget_worker(folder: Path, process: str) -> None:
    """Remove the gauges of a worker that has ended. Its counters stay."""
    mark_process_dead(process, str(folder))


class SupervisorMetrics:
    """The metrics of a supervisor, in the `folder` of its program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        registry = Registry()
        self._restarts = registry.value(WORKER_RESTARTS)
        self._files = SeriesFiles(folder, "supervisor", registry)
        self._write()

    def ended(self, number: int) -> None:
        """Note that the worker of a slot has ended: its gauges vanish, its counters stay."""
        forget_worker(self.folder, str(number))
        self._restarts.value += 1
        self._write()

    def _write(self) -> None:
        with suppress(OSError):  # the workers log that the disk is full
            self._files.flush()


class MetricsFolder:
    """The folder of one running program, in `data_dir`. Close it at the end.

    Containers may share `data_dir`, and one cannot see another's processes. So a program holds a lock for as
    long as it runs, and removes the folders of those that have ended. Raises `FolderUnusable`.
    """

    def __init__(self, data_dir: Path, program: str) -> None:
        run = data_dir / "run"
        with writing_to(run):  # it must be private, see mitm_engine.processes.handover
            pass
        parent = run / "metrics"
        with writing_to(parent):
            _remove_ended(parent)
            new = Path(tempfile.mkdtemp(prefix=".", dir=parent))
            self._lock = lock_file(new / _LOCK)
            self.path = parent / f"{program}-{os.getpid()}{new.name}"
            new.rename(self.path)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def _remove_ended(parent: Path) -> None:
    for folder in parent.iterdir():
        if folder.name.startswith("."):
            continue  # it is just being made
        with suppress(FileNotFoundError):  # another program was faster
            if (lock := lock_file(folder / _LOCK)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
