"""One process that serves, as its supervisor sees it. It never outlives its supervisor."""

import contextlib
import ctypes
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait

from mitm_engine.processes.scoreboard import Scoreboard, WorkerContext

#: The function of a worker: ``work(context, *arguments)``. Importable by its name.
Work = Callable[..., None]

# A forked process would inherit loops, locks and connections.
_SPAWN = multiprocessing.get_context("spawn")
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Later:
    """A function by its name. Only the processes that run it import it, so a supervisor stays small."""

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name

    def __reduce__(self) -> tuple[Callable[[str, str], Work], tuple[str, str]]:
        return _imported, self._place

    def __call__(self, *arguments: object) -> None:
        _imported(*self._place)(*arguments)


def _imported(module: str, name: str) -> Work:
    # Objects of modules stay. To look for garbage among them again and again takes a fifth of the time.
    gc.disable()
    try:
        work: Work = getattr(importlib.import_module(module), name)
    finally:
        gc.enable()
    return work


class Worker:
    """A process that has imported its work, and begins it when it gets the number of its slot."""

    def __init__(
        self,
        work: Work,
        arguments: Sequence[object],
        sockets: Sequence[socket.socket],
        scoreboard: Scoreboard,
    ) -> None:
        number, self._number = _SPAWN.Pipe(duplex=False)
        with number, _ignoring_ctrl_c():
            self._process = _SPAWN.Process(target=_run, args=(number, work, arguments, sockets, scoreboard))
            self._process.start()
        self.pid = self._process.ident

    def begin(self, number: int) -> None:
        """Begin to work in the slot with that number."""
        with contextlib.suppress(BrokenPipeError):  # it died; its supervisor will notice
            self._number.send(number)
        self._number.close()

    def exit_code(self) -> int | None:
        """Return the exit code, or minus the number of a signal; None while the process runs."""
        return self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.pid is not None and self.exit_code() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process if it still runs, and free what it held here."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._number.close()


@contextlib.contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C, also in processes that are spawned meanwhile, from their first instruction on.

    It reaches all processes of a terminal, but only the supervisor may act on it.
    """
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _run(
    number: Connection,
    work: Work,
    arguments: Sequence[object],
    sockets: Sequence[socket.socket],
    scoreboard: Scoreboard,
) -> None:
    """Run the process from start to end. Its imports are done: `work` came with them."""
    _die_with_parent()
    # Objects of the imports stay. Collected now, they delay no worker that has to begin at once.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the work handles it
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # for the supervisor, even if sent to all processes
    try:
        context = WorkerContext(number.recv(), sockets, scoreboard)
    except EOFError:
        return  # it was never needed
    number.close()
    work(context, *arguments)


def _die_with_parent() -> None:
    """Have this process killed as soon as its parent has ended.

    The thread works on every system, and if the parent has already ended. The kernel's signal also reaches a
    process that is stopped, or whose threads never run.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_follow, args=(parent.sentinel,), name="parent", daemon=True).start()


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
