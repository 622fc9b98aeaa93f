"""The heartbeats of a worker of the proxy: written to Redis every few seconds, off the path of requests."""

import asyncio
import logging
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from mitm_engine.metrics import Metrics as EngineMetrics
from shared.core import VERSION
from shared.core.errors import StoreDown
from shared.core.process.failures import Failures
from shared.http.readiness import OK, Probed
from shared.redis_client.open import open_connection
from shared.redis_client.protocol import ErrorReply
from shared.services import DataPlane, Services
from shared.workers.heartbeat import EVERY_SECONDS, FORGET, KEYS, NEWS_SECONDS, TELL, Heartbeat, Plane

logger = logging.getLogger(__name__)

# Seconds that a call may take. The next one follows soon.
_DEADLINE: Final = 1.0
# Seconds between two looks for news of this worker.
_LOOK_SECONDS: Final = 0.5


class ProxyHeartbeats:
    """Tells that this worker lives, and takes it back when it ends."""

    def __init__(
        self,
        services: Services,
        plane: DataPlane,
        *,
        probe: Callable[[], Probed],
        engine: Callable[[], EngineMetrics | None],
        is_draining: Callable[[], bool],
    ) -> None:
        self._plane, self._clock = plane, services.clock
        self._probe, self._engine, self._is_draining = probe, engine, is_draining
        self._connection = open_connection(services.address.options, [TELL], _DEADLINE)
        self._started = services.clock.now()
        self._machine, self._pid = platform.node(), os.getpid()
        self._failures = Failures()

    async def run(self) -> None:
        """Tell until canceled."""
        while True:
            told = self.look()
            await self.tell(told)
            await asyncio.sleep(NEWS_SECONDS)
            for _ in range(round((EVERY_SECONDS - NEWS_SECONDS) / _LOOK_SECONDS)):
                if self.look().news != told.news:
                    break
                await asyncio.sleep(_LOOK_SECONDS)

    async def tell(self, heartbeat: Heartbeat) -> None:
        """Tell once. Nothing is told while Redis is away, which others log."""
        try:
            await self._connection.run(TELL, KEYS, heartbeat.arguments)
        except ErrorReply as error:
            if self._failures.is_new(error):
                logger.warning("This worker is not shown among the workers: %s", error)
        except StoreDown:
            return
        else:
            self._failures.end()

    async def close(self) -> None:
        """Take the heartbeat back, and close the connection."""
        with suppress(StoreDown):
            for command, key in zip(FORGET, KEYS, strict=True):
                await self._connection.call(command, key, self._plane.health.worker)
        await self._connection.close()

    def look(self) -> Heartbeat:
        """Look at this worker."""
        current, engine = self._plane.gateways.current, self._engine()
        since = self._clock.now() - self._clock.monotonic()
        return Heartbeat(
            id=self._plane.health.worker,
            plane=Plane.PROXY,
            machine=self._machine,
            pid=self._pid,
            version=VERSION,
            started=self._started,
            revision=current and current.revision,
            current=None if current is None else since + current.at,
            in_flight=None if engine is None else engine.in_flight,
            connections=None if engine is None else engine.connections,
            loop_lag=None if engine is None else engine.loop_lag,
            draining=self._is_draining(),
            trouble={name: state for name, state in self._probe().parts.items() if state != OK},
        )
