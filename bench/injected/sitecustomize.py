"""Profiles a Python program: SIGPROF starts a profile, a second one writes it, and so on.

Python loads this file when its folder is on PYTHONPATH. The folder `BENCH_PROFILE` gets `PID.on` at the
start and `PID.prof` at the end. All threads of the process are profiled.
"""

import cProfile
import os
import signal
from pathlib import Path

if "BENCH_PROFILE" in os.environ:
    _BASE = Path(os.environ["BENCH_PROFILE"], str(os.getpid()))
    _PROFILE = cProfile.Profile()

    def _stop(*_: object) -> None:
        _PROFILE.disable()
        _PROFILE.dump_stats(_BASE.with_suffix(".half"))
        _PROFILE.clear()
        signal.signal(signal.SIGPROF, _start)
        _BASE.with_suffix(".half").rename(_BASE.with_suffix(".prof"))

    def _start(*_: object) -> None:
        signal.signal(signal.SIGPROF, _stop)
        _BASE.with_suffix(".on").touch()
        _PROFILE.enable()

    signal.signal(signal.SIGPROF, _start)
