"""A seat as its supervisor sees it: who sits there, since when, and whether that worker still lives."""

import signal
from dataclasses import dataclass

from mitm_engine.processes.scoreboard import WorkerRow
from mitm_engine.processes.worker import Worker


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a supervisor waits, in seconds.

    A worker is killed after `silence` without a heartbeat, or when it does not serve after `start`. One
    that served for less than `young` is replaced after a pause that doubles from `pause` to
    `longest_pause`; an older one at once.
    """

    silence: float = 5.0
    start: float = 120.0
    young: float = 5.0
    pause: float = 0.1
    longest_pause: float = 5.0


class WorkerSlot:
    """One seat. The times given are seconds of a clock that never goes back."""

    def __init__(self, number: int, row: WorkerRow, patience: Patience) -> None:
        self.number = number
        self.worker: Worker | None = None
        #: When the next worker may begin.
        self.due = 0.0
        self._row = row
        self._patience = patience
        self._ready: float | None = None
        self._beat = 0.0
        self._silent = 0.0
        self._pause = 0.0
        self._reload = False

    @property
    def is_ready(self) -> bool:
        """True from the worker's first heartbeat on."""
        return self._ready is not None

    def seat(self, worker: Worker) -> None:
        """Let the worker begin here."""
        self.worker = worker
        worker.begin(self.number)

    def look(self, now: float, elapsed: float) -> str | None:
        """See whether the worker lives. `elapsed` is the time since the last look.

        Returns why the worker has to be killed, None when it does not.
        """
        beat = self._row.heartbeat
        if beat != self._beat:
            self._beat, self._silent = beat, 0.0
            if self._ready is None:
                self._ready = now
            self._pass_on_reload()
            return None
        self._silent += elapsed
        if self.is_ready and self._silent > self._patience.silence:
            return f"gave no sign of life for {self._patience.silence:g} s"
        if self._silent > self._patience.start:
            return f"did not serve after {self._patience.start:g} s"
        return None

    def vacate(self, now: float) -> float:
        """Bury the worker. Returns the pause in seconds until the next one may begin."""
        if self.worker is not None:
            self.worker.bury()
        young = self._ready is None or now - self._ready < self._patience.young
        self._pause = self._next_pause() if young else 0.0
        self.due = now + self._pause
        self._row.vacate()
        self._row.restarts += 1
        self.worker, self._ready, self._beat, self._silent, self._reload = None, None, 0.0, 0.0, False
        return self._pause

    def send(self, number: signal.Signals) -> None:
        """Send the worker a signal, if there is one."""
        if self.worker is not None:
            self.worker.send(number)

    def reload(self) -> None:
        """Send SIGHUP, as soon as the worker listens to it."""
        self._reload = True
        if self.is_ready:
            self._pass_on_reload()

    def _pass_on_reload(self) -> None:
        if self._reload:
            self.send(signal.SIGHUP)
            self._reload = False

    def _next_pause(self) -> float:
        return min(max(2 * self._pause, self._patience.pause), self._patience.longest_pause)
