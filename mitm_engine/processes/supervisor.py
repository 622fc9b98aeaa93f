"""Keeps the workers' seats filled: begins workers, replaces those that die or hang, and ends them.

One process more than there are seats has done its imports and waits, so that a seat is filled again in the
time that its worker takes to connect.
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from socket import socket as Socket

from mitm_engine.processes import descriptors
from mitm_engine.processes.scoreboard import Scoreboard
from mitm_engine.processes.slot import Patience, WorkerSlot
from mitm_engine.processes.standby import Standby
from mitm_engine.processes.worker import Work, Worker

logger = logging.getLogger(__name__)

#: The exit code of a worker that finds its configuration wrong (sysexits.h).
EX_CONFIG = 78
_TICK = 0.05  # seconds between two looks at the workers
_LONGEST_LOOK = 1.0  # seconds; if we were stopped for longer, so were the workers
_KILL_AFTER = 5.0  # seconds that a worker gets beside the drain's own
_DEFAULT = Patience()


def supervise(
    work: Work,
    arguments: Sequence[object],
    *,
    socket: Socket,
    workers: int,
    drain_timeout: float,
    patience: Patience = _DEFAULT,
) -> int:
    """Run ``work(seat, *arguments)`` in so many processes until SIGTERM or SIGINT. Returns the exit code.

    `work` is importable by its name and blocks while it serves. It starts a `Listener` once it is ready;
    by then it listens to SIGTERM, on which it ends within `drain_timeout` seconds, and to SIGHUP. `socket`
    comes from `listener_socket` and is closed here. The first worker begins alone: when it exits with code
    78 before it is ready, everything ends with that code. Has to be called in the main thread.
    """
    descriptors.raise_limit()
    board = Scoreboard(workers)
    spares = Standby(lambda: Worker(work, arguments, socket, board))
    places = [WorkerSlot(number, row, patience) for number, row in enumerate(board.rows())]
    supervisor = _Supervisor(places, spares, socket, drain_timeout + _KILL_AFTER)
    return asyncio.run(supervisor.run())


class _Supervisor:
    """`patience` is how long the workers may take to end, in seconds."""

    def __init__(
        self, places: Sequence[WorkerSlot], spares: Standby, socket: Socket, patience: float
    ) -> None:
        self._places = places
        self._spares = spares
        self._socket = socket
        self._patience = patience
        self._proven = False  # true once a worker was ready
        self._deadline: float | None = None  # of workers that were asked to end
        self._code = 0

    async def run(self) -> int:
        """Look at the workers again and again until we were asked to end and all have ended."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload)
        last = self._loop.time()
        try:
            while self._deadline is None or any(place.worker for place in self._places):
                now = self._loop.time()
                self._look(now, min(now - last, _LONGEST_LOOK))
                last = now
                await asyncio.sleep(_TICK)
        finally:
            for place in self._places:
                place.send(signal.SIGKILL)
            self._spares.bury()
            self._socket.close()
        return self._code

    def _look(self, now: float, elapsed: float) -> None:
        for place in self._places:
            if place.worker is not None:
                self._look_at(place, place.worker, now, elapsed)
        if self._deadline is None:
            self._fill(now)

    def _look_at(self, place: WorkerSlot, worker: Worker, now: float, elapsed: float) -> None:
        code = worker.ended()
        if code is not None:
            self._replace(place, worker, _how(code), code, now)
            return
        why = place.look(now, elapsed)
        self._proven = self._proven or place.is_ready
        if why is None and self._deadline is not None and now > self._deadline:
            why = "did not end in time"
        if why is not None:
            self._replace(place, worker, f"{why} and is killed", None, now)

    def _replace(self, place: WorkerSlot, worker: Worker, how: str, code: int | None, now: float) -> None:
        if code == EX_CONFIG and not self._proven and self._deadline is None:
            self._code = EX_CONFIG
            self._stop()
        pause = place.vacate(now)
        if self._deadline is None:
            logger.warning(
                "Worker %d (process %s) %s; the next begins in %g s.", place.number, worker.pid, how, pause
            )
        elif code != 0:
            logger.warning("Worker %d (process %s) %s.", place.number, worker.pid, how)

    def _fill(self, now: float) -> None:
        vacant = [place for place in self._places if place.worker is None]
        # The one that waits is spawned when its imports take no time from workers that start.
        spare = 1 if all(place.is_ready for place in self._places) else 0
        self._spares.keep(len(vacant) + spare, now)
        if not self._proven:
            vacant = [place for place in vacant if place is self._places[0]]
        for place in vacant:
            if place.due <= now and (worker := self._spares.take()):
                place.seat(worker)

    def _stop(self) -> None:
        """Ask all workers to end. New clients are refused once the workers have closed their sides, too."""
        if self._deadline is not None:
            return
        self._deadline = self._loop.time() + self._patience
        self._spares.bury()
        self._socket.close()
        for place in self._places:
            place.send(signal.SIGTERM)

    def _reload(self) -> None:
        for place in self._places:
            place.reload()


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
