"""A program and its children are measured and pinned together."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench import machine

BUSY = """
import subprocess, sys, time
end = time.process_time() + 0.1
while time.process_time() < end:
    pass
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE) if sys.argv[1:] else None
print("ready", flush=True)
sys.stdin.read()
if child:
    child.communicate()
"""


@pytest.fixture
def parent() -> Iterator[int]:
    """A process with a child, each of which has used 0.1 s."""
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(
        [*command, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline(), parent.stdout.readline()] == ["ready\n", "ready\n"]
        yield parent.pid
        parent.communicate()


def test_cpu_time_of_a_process_includes_its_children(parent: int) -> None:
    assert len(machine.tree(parent)) == 2
    assert machine.cpu_seconds(parent) >= 0.2


def test_process_is_pinned_with_its_children(parent: int) -> None:
    last = frozenset({max(os.sched_getaffinity(0))})
    machine.pin([parent], last)
    assert all(os.sched_getaffinity(pid) == last for pid in machine.tree(parent))


def test_machine_is_described_in_one_line() -> None:
    assert "\n" not in machine.describe()
    assert "load average" in machine.describe()
