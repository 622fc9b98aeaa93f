"""A process that ends with us."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

from shared.redis_server.child import ChildProcess

# Starts a child, tells its id, and waits to be killed.
STARTER = """
import sys
from pathlib import Path
from shared.redis_server.child import ChildProcess
folder = Path(sys.argv[1])
child = ChildProcess(["sleep", "60"], folder / "log")
print(child.pid, flush=True)
sys.stdin.readline()
"""
PATIENCE = 10.0  # seconds; a bound, not a wait
TICK = threading.Event()  # never set


def test_child_process_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        descriptor = os.pidfd_open(int(starter.stdout.readline()))
        starter.kill()
    try:
        assert select.select([descriptor], [], [], PATIENCE)[0]
    finally:
        os.close(descriptor)


def test_child_process_output_is_in_its_log(tmp_path: Path) -> None:
    child = ChildProcess(["/bin/sh", "-c", "echo one; echo two >&2"], tmp_path / "log")
    while child.ended() is None:
        TICK.wait(0.01)
    assert child.last_lines(2) == "one\ntwo"


def test_child_process_reports_how_it_ended(tmp_path: Path) -> None:
    child = ChildProcess(["sleep", "60"], tmp_path / "log")
    assert child.ended() is None
    child.stop(PATIENCE)
    assert child.ended() == -signal.SIGTERM


def test_child_process_that_does_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    script = "trap '' TERM; sleep 60 & echo ready >&2; while true; do wait; done"
    with open(reader, "rb") as inherited:
        child = ChildProcess(["/bin/sh", "-c", script], tmp_path / "log", stdin=writer)
        os.close(writer)
        while child.last_lines() != "ready":
            assert child.ended() is None
            TICK.wait(0.01)
        child.stop(0.1)
        assert child.ended() == -signal.SIGKILL
        # The end of the pipe comes when nobody of them holds it any more.
        assert inherited.read() == b""
