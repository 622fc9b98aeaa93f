"""The echo server as a process tree of its own, and how tests look at it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.support.wait import until

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds; a bound, not a wait


class RunningEcho:
    """A supervisor with its workers. All its processes are killed at the end."""

    def __init__(self, folder: Path, loop: str = "uvloop", workers: int = 2, **more: object) -> None:
        self.folder = folder
        self.log = folder / "log"
        command = [sys.executable, "-m", "tests.mitm_engine.echo_server", loop, str(workers), str(folder)]
        command += [str(more.get("port", 0)), str(more.get("descriptors", ""))]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self.process.stdout
        with self.process.stdout as output:
            self.port = int(output.readline() or 0)

    def __enter__(self) -> "RunningEcho":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for _ in until(PATIENCE):
            if not self.living():
                return
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)

    def connect(self) -> socket.socket:
        """A connection, which may wait in the backlog for a worker."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def asked(self) -> int:
        """The worker that serves a new connection."""
        with self.connect() as client:
            return ask(client)

    def share(self, clients: int) -> Counter[int]:
        """How many of so many connections at a time each worker gets."""
        with contextlib.ExitStack() as stack:
            connected = [stack.enter_context(self.connect()) for _ in range(clients)]
            return Counter(ask(client) for client in connected)

    def await_workers(self, count: int, but: int | None = None, seconds: float = PATIENCE) -> set[int]:
        """The workers that serve, once there are `count`; `but` is one that must be gone."""
        for _ in until(seconds):
            found = set(self.share(4 * count))
            if len(found) == count and but not in found:
                return found
        raise AssertionError(f"There are not {count} workers after {seconds} s: {self.log.read_text()}")

    def living(self) -> set[int]:
        """All processes of the tree: those of its session."""
        return session(self.process.pid)

    def marks(self, what: str) -> set[int]:
        """The workers that have noted this."""
        return {int(file.name.rpartition("-")[2]) for file in self.folder.glob(f"{what}-*")}


def ask(client: socket.socket) -> int:
    """The worker at the other end of a connection."""
    client.sendall(b"who\n")
    return int(client.recv(100).split()[0])


def session(leader: int) -> set[int]:
    """The living processes of the session that this one leads."""
    found = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {int(entry.name) for entry in found if _session_of(entry) == leader}


def _session_of(process: Path) -> int | None:
    try:
        state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(session)
