"""What a program and its children use is counted together."""

import os
import subprocess
import sys
import time

from bench import machine

BUSY = """
import subprocess, sys, time
end = time.process_time() + 0.1
while time.process_time() < end:
    data = bytearray(1000)
held = bytearray(30_000_000)
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE) if sys.argv[1:] else None
print("ready", flush=True)
sys.stdin.read()
if child:
    child.communicate()
"""


def test_a_tree_counts_as_one() -> None:
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(
        [*command, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline(), parent.stdout.readline()] == ["ready\n", "ready\n"]
        assert len(machine.tree(parent.pid)) == 2
        assert machine.cpu_seconds(parent.pid) >= 0.2
        assert machine.resident_bytes(parent.pid) >= 60_000_000
        parent.communicate()
    assert machine.cpu_seconds(parent.pid) == machine.resident_bytes(parent.pid) == 0


def test_our_own_time_is_exact() -> None:
    before, started = machine.cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() < started + 0.003:
        pass
    assert machine.cpu_seconds(os.getpid()) - before >= 0.003


def test_a_program_can_be_pinned_with_all_its_threads_and_children() -> None:
    usable = os.sched_getaffinity(0)
    last = frozenset({max(usable)})
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(
        [*command, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline(), parent.stdout.readline()
        machine.pin([parent.pid], last)
        assert all(os.sched_getaffinity(pid) == last for pid in machine.tree(parent.pid))
        parent.communicate()


def test_the_machine_is_described_in_one_line() -> None:
    assert "\n" not in machine.describe()
    assert "load average" in machine.describe()
