"""Adds the alerts of a worker of the proxy to the stream. Nothing waits for it."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from shared.alerts.alert import Alert
from shared.alerts.stream import ADD, note_of
from shared.core.process.failures import Failures
from shared.redis_client.open import AnyConnection, open_connection

logger = logging.getLogger(__name__)

#: Seconds that a call may take. Alerts that could not be added by then are lost.
DEADLINE: Final = 1.0
# Calls without a reply; more are not made.
_MAX_UNDER_WAY: Final = 100


class AlertWriter:
    """Adds alerts to the stream. One event loop only; it connects with the first alert.

    Attributes:
        dropped: the alerts that were not written.
    """

    def __init__(self, connection: AnyConnection) -> None:
        self.dropped = 0
        self._connection = connection
        self._under_way = 0
        self._is_closed = False
        self._failures = Failures()

    def tell(self, alert: Alert) -> None:
        """Add an alert in a moment, unless another worker has just added the same."""
        if self._under_way >= _MAX_UNDER_WAY:
            self._drop("too many are under way.")
            return
        note = note_of(alert)
        self._under_way += 1
        self._connection.run(ADD, note.keys, note.arguments).add_done_callback(self._ended)

    async def close(self) -> None:
        """Close the connection. Calls that are under way may be lost."""
        self._is_closed = True
        await self._connection.close()

    def _ended(self, reply: "asyncio.Future[Any]") -> None:
        self._under_way -= 1
        error = None if reply.cancelled() else reply.exception()
        if self._is_closed:
            return
        if error is None:
            self._failures.end()
        else:
            self._drop(str(error))

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if self._failures.is_new(why):
            logger.warning("Webhooks are not told of what happens: %s", why)


def open_writer(options: Mapping[str, Any]) -> AlertWriter:
    """A writer with its own connection; `options` are keyword arguments of redis.Redis."""
    return AlertWriter(open_connection(options, [ADD], DEADLINE))
