"""Lets any Python program be profiled from outside: loaded at its start when this folder is on PYTHONPATH.

SIGPROF starts the profiler, and a second one ends it and writes what was seen into the folder
``BENCH_PROFILE``, as ``PID.prof``. ``PID.on`` is there while it runs. It sees all threads of the process.
"""

import cProfile
import os
import signal
from pathlib import Path
from types import FrameType


class _Profiler:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._profile: cProfile.Profile | None = None

    def toggle(self, number: int, frame: FrameType | None) -> None:
        mark = self._folder / f"{os.getpid()}.on"
        if self._profile is None:
            mark.touch()
            self._profile = cProfile.Profile()
            self._profile.enable()
            return
        self._profile.disable()
        half = self._folder / f"{os.getpid()}.half"
        self._profile.dump_stats(half)
        half.rename(half.with_suffix(".prof"))
        self._profile = None
        mark.unlink()


if "BENCH_PROFILE" in os.environ:
    signal.signal(signal.SIGPROF, _Profiler(Path(os.environ["BENCH_PROFILE"])).toggle)
