"""The slots of the workers as their supervisor sees them, and the processes on standby for them."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

from mitm_engine.processes.scoreboard import WorkerRow
from mitm_engine.processes.worker import Worker

_RESPAWN_PAUSE = 1.0  # seconds after the death of a process on standby until the next is spawned
_SHORTEST_PAUSE = 0.1  # seconds between two workers of a slot while no other worker serves


@dataclass(frozen=True, slots=True)
class Patience:
    """The times after which a supervisor kills or replaces a worker, in seconds.

    Attributes:
        silence: without a heartbeat.
        start: until the first heartbeat.
        young: a worker that served for less is replaced after a pause, an older one at once.
        pause: the first pause. The next is twice as long, less the share of `young` that the worker served.
        longest_pause: the longest pause.
    """

    silence: float = 5.0
    start: float = 120.0
    young: float = 5.0
    pause: float = 0.1
    longest_pause: float = 5.0


class WorkerSlot:
    """One worker after the other. All times are seconds of a monotonic clock."""

    def __init__(self, number: int, row: WorkerRow, patience: Patience) -> None:
        self.number = number
        self.worker: Worker | None = None
        self._due = self._due_alone = 0.0  # when the next worker may begin; and if no other serves
        self._row = row
        self._patience = patience
        self._ready: float | None = None
        self._heartbeat = 0.0
        self._silent = 0.0
        self._pause = 0.0
        self._reload = False

    @property
    def is_ready(self) -> bool:
        """Whether the worker has written a heartbeat."""
        return self._ready is not None

    @property
    def accepts(self) -> bool:
        """Whether the worker accepts connections."""
        return self._row.accepts

    def may_begin(self, now: float, *, others_serve: bool) -> bool:
        """Return whether the slot is free and its pause is over. A pause must not stop the service."""
        return self.worker is None and now >= (self._due if others_serve else self._due_alone)

    def begin(self, worker: Worker) -> None:
        """Let `worker` begin in this slot."""
        self.worker = worker
        worker.begin(self.number)

    def check(self, now: float, elapsed: float) -> str | None:
        """Return why the worker has to be killed, None if it is alive.

        `elapsed` is the time since the last check.
        """
        heartbeat = self._row.heartbeat
        if heartbeat != self._heartbeat:
            self._heartbeat, self._silent = heartbeat, 0.0
            if self._ready is None:
                self._ready = now
            self._send_reload()
            return None
        self._silent += elapsed
        if self.is_ready and self._silent > self._patience.silence:
            return f"sent no heartbeat for {self._patience.silence:g} s"
        if self._silent > self._patience.start:
            return f"did not start within {self._patience.start:g} s"
        return None

    def end(self, now: float) -> float:
        """Kill the worker. Return the pause in seconds until the next one may begin."""
        if self.worker is not None:
            self.worker.kill()
        served = 0.0 if self._ready is None else (now - self._ready) / self._patience.young
        longer = max(2 * self._pause * (1 - served), self._patience.pause)
        self._pause = min(longer, self._patience.longest_pause) if served < 1 else 0.0
        self._due = now + self._pause
        self._due_alone = now + min(self._pause, _SHORTEST_PAUSE)
        self._row.reset()
        self._row.restarts += 1
        self.worker, self._ready, self._heartbeat, self._silent, self._reload = None, None, 0.0, 0.0, False
        return self._pause

    def send(self, number: signal.Signals) -> None:
        """Send the worker a signal, if there is a worker."""
        if self.worker is not None:
            self.worker.send(number)

    def reload(self) -> None:
        """Send SIGHUP as soon as the worker handles it."""
        self._reload = True
        if self.is_ready:
            self._send_reload()

    def _send_reload(self) -> None:
        if self._reload:
            self.send(signal.SIGHUP)
            self._reload = False


class Standby:
    """Processes that have done their imports and wait for a slot. `spawn` makes one."""

    def __init__(self, spawn: Callable[[], Worker]) -> None:
        self._spawn = spawn
        self._waiting: list[Worker] = []
        self._due = 0.0

    def keep(self, count: int, now: float) -> None:
        """Spawn processes until `count` of them wait. `now` is in seconds of a monotonic clock."""
        for dead in [worker for worker in self._waiting if worker.exit_code() is not None]:
            self._waiting.remove(dead)
            dead.kill()
            self._due = now + _RESPAWN_PAUSE
        while len(self._waiting) < count and self._due <= now:
            self._waiting.append(self._spawn())

    def take(self) -> Worker | None:
        """Return the process that has waited longest, None if there is none."""
        return self._waiting.pop(0) if self._waiting else None

    def kill(self) -> None:
        """Kill all of them."""
        while worker := self.take():
            worker.kill()
