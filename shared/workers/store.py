"""The heartbeats of all workers, as the admin process reads them and tells its own. Synchronous."""

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis import Redis

from shared.workers.heartbeat import FORGET, KEYS, LASTS_SECONDS, READ, TELL, Heartbeat

logger = logging.getLogger(__name__)

#: The most workers that are read at a time.
MAX_READ: Final = 1_000


class Fleet(NamedTuple):
    """The workers of all machines that live: their number, and the heartbeats of at most `MAX_READ`."""

    total: int
    heartbeats: Sequence[Heartbeat]


class HeartbeatStore:
    """Reads and tells heartbeats. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._tell, self._read = (client.register_script(script.text) for script in (TELL, READ))

    def tell(self, heartbeat: Heartbeat) -> None:
        """Store what a worker says of itself."""
        self._tell(KEYS, heartbeat.arguments)

    def forget(self, id: str) -> None:
        """Remove the heartbeat of a worker that ends."""
        with self._client.pipeline(transaction=False) as pipeline:
            for command, key in zip(FORGET, KEYS, strict=True):
                pipeline.execute_command(command, key, id)  # type: ignore[no-untyped-call]
            pipeline.execute()

    def read(self) -> Fleet:
        """The workers that live. A damaged heartbeat is left out."""
        reply: Any = self._read(KEYS, [round(LASTS_SECONDS * 1000), MAX_READ])
        count, *told = reply
        found = []
        for one in told:
            try:
                found.append(Heartbeat.parse(one))
            except (ValueError, KeyError, TypeError) as error:
                logger.debug("A heartbeat is ignored: %r", error)
        return Fleet(count, found)
