"""One process that serves, from its spawning to its burial, as its supervisor sees it."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection

from mitm_engine.processes.parent_watch import die_with_parent
from mitm_engine.processes.scoreboard import Scoreboard, WorkerSeat

#: What a worker does: ``work(seat, *arguments)``. Importable by its name.
Work = Callable[..., None]


class Later:
    """A function by its name, imported only in the processes that run it: a supervisor stays small."""

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name

    def __reduce__(self) -> tuple[Callable[[str, str], Work], tuple[str, str]]:
        return _imported, self._place

    def __call__(self, *arguments: object) -> None:
        _imported(*self._place)(*arguments)


def _imported(module: str, name: str) -> Work:
    work: Work = getattr(importlib.import_module(module), name)
    return work


# A forked process would inherit the state of whatever runs here: loops, locks, connections.
_SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """A process that has imported its work, and begins it when it is given a seat."""

    def __init__(
        self, work: Work, arguments: Sequence[object], listener: socket.socket, board: Scoreboard
    ) -> None:
        number, self._number = _SPAWN.Pipe(duplex=False)
        with number, _deaf_to_ctrl_c():
            self._process = _SPAWN.Process(target=_run, args=(number, work, arguments, listener, board))
            self._process.start()
        self.pid = self._process.ident

    def begin(self, number: int) -> None:
        """Let it work on the seat with that number."""
        with contextlib.suppress(BrokenPipeError):  # it has died; its supervisor will see
            self._number.send(number)
        self._number.close()

    def ended(self) -> int | None:
        """The exit code, minus the signal's number, or None while it runs."""
        return self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. One that has ended gets none."""
        if self.pid is not None and self.ended() is None:
            os.kill(self.pid, number)

    def bury(self) -> None:
        """Kill it if it still runs, and free what it held here."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._number.close()


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A Ctrl-C reaches all processes of a terminal, and only the supervisor may act on it.

    A process that is spawned meanwhile ignores it from its first instruction on.
    """
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def _run(
    number: Connection, work: Work, arguments: Sequence[object], listener: socket.socket, board: Scoreboard
) -> None:
    """The whole life of the process. Its imports are done: `work` came with them."""
    die_with_parent()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the work listens to it
    try:
        seat = WorkerSeat(number.recv(), listener, board)
    except EOFError:
        return  # it was never needed
    number.close()
    work(seat, *arguments)
