"""Processes that have done their imports and wait for a seat."""

from collections.abc import Callable

from mitm_engine.processes.worker import Worker

_AGAIN = 1.0  # seconds after a spare has died until the next is spawned


class Standby:
    """A queue of workers that have not begun. `spawn` makes one."""

    def __init__(self, spawn: Callable[[], Worker]) -> None:
        self._spawn = spawn
        self._waiting: list[Worker] = []
        self._due = 0.0

    def keep(self, count: int, now: float) -> None:
        """Have so many of them, as far as they live. `now` is in seconds of a clock that never goes back."""
        for dead in [worker for worker in self._waiting if worker.ended() is not None]:
            self._waiting.remove(dead)
            dead.bury()
            self._due = now + _AGAIN
        while len(self._waiting) < count and self._due <= now:
            self._waiting.append(self._spawn())

    def take(self) -> Worker | None:
        """The one that has waited longest, None when there is none."""
        return self._waiting.pop(0) if self._waiting else None

    def bury(self) -> None:
        """End them all."""
        while worker := self.take():
            worker.bury()
