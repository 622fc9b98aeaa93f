"""Keeps a worker in every slot: starts workers, replaces those that die or hang, and ends them.

One more process has done its imports and is on standby, so that a worker is replaced within the time that
the new one takes to connect.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from socket import socket as Socket

from mitm_engine.processes import descriptors
from mitm_engine.processes.scoreboard import Scoreboard
from mitm_engine.processes.slot import Patience, Standby, WorkerSlot
from mitm_engine.processes.succession import Succession
from mitm_engine.processes.worker import Work, Worker
from shared.core.errors import EX_CONFIG, CannotTakeOver

logger = logging.getLogger(__name__)

_TICK = 0.05  # seconds between two checks of the workers
_LONGEST_TICK = 1.0  # seconds; if this process was stopped for longer, so were the workers
_KILL_AFTER = 5.0  # seconds that a worker gets in addition to its drain
_DEFAULT = Patience()


def supervise(
    work: Work,
    arguments: Sequence[object],
    *,
    sockets: Sequence[Socket],
    workers: int,
    drain_timeout: float,
    patience: Patience = _DEFAULT,
    succession: Succession | None = None,
    reloads: Callable[[], None] = lambda: None,
    ended: Callable[[int], None] = lambda _: None,
) -> int:
    """Run ``work(context, *arguments)`` in `workers` processes until SIGTERM or SIGINT. Return the exit code.

    Call it in the main thread. `work` is importable by its name and blocks while it serves. When it is ready,
    it handles SIGHUP and SIGTERM, ends within `drain_timeout` seconds of the latter, and starts a `Listener`.
    `sockets` come from `listener_sockets` and are closed here. The first worker begins alone: if it exits
    with `EX_CONFIG` before it is ready, everything ends with that code. With a `succession`, another
    supervisor can take over, and SIGUSR2 starts one. SIGHUP reaches every worker, and calls `reloads` here.
    `ended` gets the number of the slot of each worker that has ended.
    """
    descriptors.raise_limit()
    scoreboard = Scoreboard(workers)
    standby = Standby(lambda: Worker(work, arguments, sockets, scoreboard))
    slots = [WorkerSlot(number, row, patience) for number, row in enumerate(scoreboard.rows())]
    supervisor = _Supervisor(
        slots,
        standby,
        scoreboard,
        sockets,
        end_timeout=drain_timeout + _KILL_AFTER,
        succession=succession,
        reloads=reloads,
        ended=ended,
    )
    return asyncio.run(supervisor.run())


class _Supervisor:
    """The loop over all slots. `end_timeout` is how long the workers may take to end, in seconds."""

    def __init__(
        self,
        slots: Sequence[WorkerSlot],
        standby: Standby,
        scoreboard: Scoreboard,
        sockets: Sequence[Socket],
        *,
        end_timeout: float,
        succession: Succession | None,
        reloads: Callable[[], None],
        ended: Callable[[int], None],
    ) -> None:
        self._slots = slots
        self._standby = standby
        self._scoreboard = scoreboard
        self._sockets = sockets
        self._end_timeout = end_timeout
        self._succession = succession
        self._reloads = reloads
        self._ended = ended
        self._succeeding: asyncio.Task[None] | None = None
        self._are_ready = asyncio.Event()  # set once all workers were
        self._has_served = False  # true once a worker was ready
        self._deadline: float | None = None  # of workers that have to end
        self._code = 0

    async def run(self) -> int:
        """Check the workers until a signal asked for the end and all have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self._succession is not None:
            loop.add_signal_handler(signal.SIGUSR2, self._succession.replace)
            self._succeeding = loop.create_task(self._succeed(self._succession))
        last = loop.time()
        try:
            while self._deadline is None or any(slot.worker for slot in self._slots):
                now = loop.time()
                self._check(now, min(now - last, _LONGEST_TICK))
                last = now
                await asyncio.sleep(_TICK)
        finally:
            for slot in self._slots:
                slot.send(signal.SIGKILL)
            self._standby.kill()
            self._close()
        return self._code

    async def _succeed(self, succession: Succession) -> None:
        """End when another supervisor has taken over, or when this one cannot."""
        try:
            self._scoreboard.is_replaced = await succession.is_replaced(self._are_ready)
        except CannotTakeOver as error:
            logger.error("%s", error)
            self._code = 1
            self._stop()
        if self._scoreboard.is_replaced:
            self._stop()

    def _check(self, now: float, elapsed: float) -> None:
        for slot in self._slots:
            if slot.worker is not None:
                self._check_worker(slot, slot.worker, now, elapsed)
        if self._deadline is None:
            self._fill(now)
            if self._succession is not None:
                self._check_succession(self._succession, now)

    def _check_succession(self, succession: Succession, now: float) -> None:
        succession.check(now)
        replaces = self._scoreboard.has_predecessor = succession.predecessor is not None
        # Workers that know no tenant leave the connections to the old supervisor, so it has to go on.
        if all(slot.accepts if replaces else slot.is_ready for slot in self._slots):
            self._are_ready.set()

    def _check_worker(self, slot: WorkerSlot, worker: Worker, now: float, elapsed: float) -> None:
        code = worker.exit_code()
        if code is not None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._replace(slot, worker, how, code, now)
            return
        why = slot.check(now, elapsed)
        self._has_served = self._has_served or slot.is_ready
        if why is None and self._deadline is not None and now > self._deadline:
            why = "did not end in time"
        if why is not None:
            self._replace(slot, worker, f"{why} and is killed", None, now)

    def _replace(self, slot: WorkerSlot, worker: Worker, how: str, code: int | None, now: float) -> None:
        if code == EX_CONFIG and not self._has_served and self._deadline is None:
            self._code = EX_CONFIG
            self._stop()
        pause = slot.end(now)
        self._ended(slot.number)
        if self._deadline is None:
            logger.warning(
                "Worker %d (process %s) %s; the next starts in %g s.", slot.number, worker.pid, how, pause
            )
        elif code != 0:
            logger.warning("Worker %d (process %s) %s.", slot.number, worker.pid, how)

    def _fill(self, now: float) -> None:
        vacant = [slot for slot in self._slots if slot.worker is None]
        # The extra one is spawned when its imports take no time from workers that start.
        extra = 1 if all(slot.is_ready for slot in self._slots) else 0
        self._standby.keep(len(vacant) + extra, now)
        # Before the first worker is ready nothing is lost by a pause.
        others_serve = not self._has_served or any(slot.is_ready for slot in self._slots)
        if not self._has_served:
            vacant = [slot for slot in vacant if slot is self._slots[0]]
        for slot in vacant:
            if slot.may_begin(now, others_serve=others_serve) and (worker := self._standby.take()):
                slot.begin(worker)

    def _stop(self) -> None:
        """Ask all workers to end. New clients are rejected once the workers have closed their sides, too."""
        if self._deadline is not None:
            return
        self._deadline = asyncio.get_running_loop().time() + self._end_timeout
        if self._succession is not None and not self._scoreboard.is_replaced:
            self._succession.notify("STOPPING=1")
        if self._succeeding is not None and self._succeeding is not asyncio.current_task():
            self._succeeding.cancel()
        self._standby.kill()
        self._close()
        for slot in self._slots:
            slot.send(signal.SIGTERM)

    def _close(self) -> None:
        for one in self._sockets:
            one.close()

    def _reload(self) -> None:
        self._reloads()
        for slot in self._slots:
            slot.reload()
