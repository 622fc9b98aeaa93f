"""A worker's sign of life: its supervisor kills a worker whose event loop has stopped turning."""

import asyncio
from collections.abc import Callable

from mitm_engine.processes.scoreboard import WorkerRow

#: Seconds between two beats. The others see so late that connections were closed.
EVERY = 0.1


class Heartbeat:
    """Writes the time, and how many connections are open, to the worker's row until the loop ends."""

    def __init__(self, row: WorkerRow, count: Callable[[], int]) -> None:
        self._row = row
        self._count = count

    def start(self) -> None:
        """Beat, now and from now on. Needs a running event loop."""
        self._beat(asyncio.get_running_loop())

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._row.connections = self._count()
        self._row.heartbeat = loop.time()
        loop.call_later(EVERY, self._beat, loop)
