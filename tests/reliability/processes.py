"""The processes of a proxy as /proc shows them: their files, connections and memory."""

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from tests.support.gateway import START_LIMIT, RunningGateway
from tests.support.wait import until

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Process:
    """One process, by its id."""

    pid: int

    @property
    def _folder(self) -> Path:
        return Path("/proc") / str(self.pid)

    def memory(self, which: str = "VmRSS") -> int:
        """Bytes of a line of its status: VmRSS now, VmHWM at its peak since `forget_peak`."""
        return self._status(which + ":") * 1024

    def _status(self, name: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise KeyError(name)

    def forget_peak(self) -> None:
        """The peak of its memory is counted from now on."""
        (self._folder / "clear_refs").write_text("5")

    def files(self) -> list[str]:
        """The files that its descriptors lead to."""
        found = []
        for entry in (self._folder / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(entry))
        return found

    def serves(self) -> bool:
        """Whether its event loop has begun. A spare has none."""
        with contextlib.suppress(OSError):
            return "anon_inode:[eventpoll]" in self.files()
        return False

    def waits_for_a_slot(self) -> bool:
        """Whether it is on standby: it has done its imports, and watches its parent in a thread."""
        with contextlib.suppress(OSError):
            return len(list((self._folder / "task").iterdir())) > 1 and not self.serves()
        return False

    def children(self) -> "list[Process]":
        tasks = (self._folder / "task").iterdir()
        pids = " ".join((task / "children").read_text() for task in tasks)
        return [Process(int(pid)) for pid in pids.split()]

    def connections(self, port: int) -> set[str]:
        """The clients that are connected to `port`, by their addresses."""
        try:
            inodes = {name[8:-1] for name in self.files() if name.startswith("socket:[")}
            table = (self._folder / "net" / "tcp").read_text().splitlines()[1:]
        except OSError:
            return set()
        rows = (line.split() for line in table)
        local = f":{port:04X}"
        # State 0A is the listener's own.
        return {row[2] for row in rows if row[1].endswith(local) and row[3] != "0A" and row[9] in inodes}


def supervisor(gateway: RunningGateway, name: str = "proxy") -> Process:
    return Process(gateway.processes[name].pid)


def workers(gateway: RunningGateway, name: str = "proxy") -> list[Process]:
    """Those that serve."""
    return [child for child in supervisor(gateway, name).children() if child.serves()]


def worker(gateway: RunningGateway) -> Process:
    """The only one."""
    (one,) = workers(gateway)
    return one


def await_workers(gateway: RunningGateway, count: int) -> list[Process]:
    """So many workers, once each of them takes clients; the first one begins alone."""
    for _ in until(START_LIMIT):
        with contextlib.ExitStack() as stack:
            for _ in range(4 * count):
                stack.enter_context(socket.create_connection(("127.0.0.1", gateway.proxy_port)))
            found = [one for one in workers(gateway) if one.connections(gateway.proxy_port)]
        if len(found) == count:
            return found
    raise AssertionError(f"There are no {count} workers.")


def await_standby(gateway: RunningGateway) -> Process:
    """The process that has done its imports and waits for a slot."""
    for _ in until(START_LIMIT):
        if found := [one for one in supervisor(gateway).children() if one.waits_for_a_slot()]:
            return found[0]
    raise AssertionError("No process is on standby.")
