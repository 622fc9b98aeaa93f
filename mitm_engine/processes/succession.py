"""The supervisor before this one, and the one after it: restarts and upgrades without a rejected client."""

import asyncio
import logging
import os
import subprocess
from collections.abc import Callable, Sequence

from mitm_engine.processes.handover import READY_TIMEOUT, Offer, Predecessor
from shared.core.errors import CannotTakeOver

logger = logging.getLogger(__name__)

_HANGS_AFTER = 2 * READY_TIMEOUT  # seconds after its start that a new supervisor is killed


class Succession:
    """The state of a supervisor that takes over from another one, and that is replaced itself.

    Attributes:
        offer: the sockets, for the next supervisor.
        command: the command that starts the next supervisor; it takes over from this one.
        predecessor: the running supervisor, until this one has replaced it.
        notify: tells the service manager the state of the service (sd_notify(3)).
        watchdog: how often the service manager must be told that the service lives, in seconds; None: never.
        is_over: another supervisor has replaced this one.
        ready_timeout: how long a new supervisor may take until all its workers accept, in seconds.
    """

    def __init__(
        self,
        offer: Offer,
        command: Sequence[str],
        *,
        predecessor: Predecessor | None = None,
        notify: Callable[[str], None] = lambda _: None,
        watchdog: float | None = None,
        ready_timeout: float = READY_TIMEOUT,
    ) -> None:
        self.offer = offer
        self.command = command
        self.predecessor = predecessor
        self.notify = notify
        self.watchdog = watchdog
        self.is_over = False
        self.ready_timeout = ready_timeout
        self._next: subprocess.Popen[bytes] | None = None
        self._next_sign = 0.0  # of life, for the service manager
        self._overdue: float | None = None  # when the next supervisor counts as hung

    @property
    def is_in_charge(self) -> bool:
        """Whether neither the supervisor before this one nor the one after it is the one that serves."""
        return self.predecessor is None and not self.is_over

    async def is_replaced(self, are_ready: asyncio.Event) -> bool:
        """Take over, and wait until another supervisor takes over. Return False if none can.

        `are_ready` is set when all workers accept. Raises `CannotTakeOver`.
        """
        if self.predecessor is not None:
            await self._take_over(self.predecessor, are_ready)
        await are_ready.wait()
        self.notify(f"READY=1\nMAINPID={os.getpid()}")
        try:
            await self.offer.taken(self.ready_timeout)
        except OSError as error:
            logger.warning("No other supervisor can take over from this one: %s.", error)
            return False
        self.is_over = True
        logger.info("Another supervisor has taken over; this one ends when its open requests are complete.")
        return True

    async def _take_over(self, predecessor: Predecessor, are_ready: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self.ready_timeout):
                await are_ready.wait()
        except TimeoutError:
            predecessor.close()
            why = f"The workers were not ready in {self.ready_timeout:g} s; the running proxy goes on."
            raise CannotTakeOver(why) from None
        await predecessor.succeed()
        self.predecessor = None

    def replace(self) -> None:
        """Start the next supervisor."""
        if self.offer.objection is not None:
            logger.error("%s", self.offer.objection)
        elif self._next is not None:
            logger.warning("Another supervisor (process %d) is already starting.", self._next.pid)
        else:
            self._next = subprocess.Popen(self.command)  # noqa: S603 (the command of this process)

    def check(self, now: float) -> None:
        """Show the service manager a sign of life. Notice the next supervisor's end; kill it if it hangs.

        `now` is in seconds.
        """
        if self.watchdog is not None and self.is_in_charge and now >= self._next_sign:
            self._next_sign = now + self.watchdog
            self.notify("WATCHDOG=1")
        if self._next is None:
            return
        if self._overdue is None:
            self._overdue = now + _HANGS_AFTER
        code = self._next.poll()
        if code is not None:
            logger.warning("The new supervisor ended with exit code %d; this one goes on.", code)
            self._next = self._overdue = None
        elif now > self._overdue:
            self._next.kill()
