"""Whether Redis is asked at all, and the probes that find it again when it is not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.core.single_flight import SingleFlight
from shared.limits.fallback.breaker import Breaker
from shared.redis_client.protocol import CommandRefused

#: Seconds between two probes of a Redis that does not answer.
PROBE_EVERY = 0.5

_PROBE = "probe of Redis"

logger = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Outage:
    """Begins when calls in a row have no answer, ends when probes in a row have one and `recover` is done.

    `probe` and `recover` raise `StoreDown` when Redis does not answer. The probes run in `flights`.
    """

    def __init__(
        self, probe: Work, recover: Work, clock: Clock, flights: SingleFlight, every: float = PROBE_EVERY
    ) -> None:
        self._probe = probe
        self._recover = recover
        self._clock = clock
        self._flights = flights
        self._every = every
        self._breaker = Breaker()
        self._reported = ""

    @property
    def is_on(self) -> bool:
        """True while only probes ask Redis."""
        return self._breaker.is_open

    def record_success(self) -> None:
        """Redis answered a call."""
        self._breaker.record_success()

    def failed(self, error: StoreDown, began: float) -> None:
        """A call failed that began at `began` (monotonic seconds).

        An answer with an error about one command says nothing about the next one.
        """
        if isinstance(error, CommandRefused):
            if self._reported != str(error):
                logger.warning("%s Its limits were counted in this process.", error)
            self._reported = str(error)
        elif self._breaker.record_failure(began, self._clock.monotonic()):
            logger.warning("%s Limits are counted in this process until it answers.", error)
            self._flights.join(_PROBE, self._until_reply)

    async def attempt(self, work: Work) -> None:
        """Do something that can wait for better times; nothing in an outage. Raises no `StoreDown`."""
        if self.is_on:
            return
        began = self._clock.monotonic()
        try:
            await work()
        except StoreDown as error:
            self.failed(error, began)

    async def _until_reply(self) -> None:
        while self.is_on:
            await asyncio.sleep(self._every)
            began = self._clock.monotonic()
            try:
                await self._probe()
                self._breaker.record_success()
                if self._breaker.may_close:
                    await self._recover()
                    self._breaker.close()
                    logger.info("Redis answers again; limits are counted there.")
            except StoreDown:
                self._breaker.record_failure(began, self._clock.monotonic())
