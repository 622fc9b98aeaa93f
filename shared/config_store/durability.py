"""Whether Redis has saved a change: the reply came, the change is on disk, and replicas have it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from redis import Redis
from redis.exceptions import NoPermissionError

from shared.core.errors import NotDurable, NotReplicated, StoreUnsure
from shared.redis_client.primary import NotPrimary

# Checks whether a change is on disk, and the seconds between them. Redis holds a change back for two seconds.
_DISK_CHECKS, _DISK_PAUSE = 300, 0.01
_UNSURE = (
    "The configuration store did not respond, and the change was saved or not. Fetch the resource before you "
    "repeat the change."
)
_NOT_DURABLE = (
    "The change is in effect but not on disk, so a restart of Redis would lose it. Free space on its disk; "
    "Redis then writes the change."
)

_NOT_REPLICATED = (
    "The change is in effect, but too few replicas of Redis have it, so a failover may lose it. Fetch the "
    "resource before you repeat the change."
)
# Milliseconds that one call waits for replicas: less than the timeout of a call.
_WAIT_STEP = 100

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas that must have a change.

    Attributes:
        count: how many; 0: none is asked for.
        wait: seconds within which they must have it.
        on_disk: whether they, and the primary, must have it on disk.
    """

    count: int = 0
    wait: float = 0.1
    on_disk: bool = False

    def confirm(self, connection: Redis) -> None:
        """Return when they have all changes that were made on `connection`. Raises `NotReplicated`."""
        have, left = 0, round(self.wait * 1000)
        while have < self.count:
            if left <= 0:
                raise NotReplicated(f"{have} replicas have a change, of {self.count}.", _NOT_REPLICATED)
            step = min(left, _WAIT_STEP)
            left -= step
            try:
                have = self._have(connection, step)
            except redis.ResponseError as error:  # the change was made all the same
                raise NotReplicated(f"Redis rejects WAIT: {error}.", _NOT_REPLICATED) from error

    def _have(self, connection: Redis, milliseconds: int) -> int:
        """The number of replicas that have the changes within this time."""
        if not self.on_disk:
            return int(connection.wait(self.count, milliseconds))
        reply: Any = connection.waitaof(1, self.count, milliseconds)
        local, replicas = reply
        return int(replicas) if local else 0


#: None is asked for.
NO_REPLICAS = Replicas()


def save(connection: Redis, send: Callable[[], int], replicas: Replicas) -> int:
    """Send a change on `connection`, and return its number once it is kept; 0 or less: it was rejected.

    Raises `StoreUnsure` when Redis does not respond, `NotDurable` when it cannot write to its disk, and
    `NotReplicated` when too few replicas have the change.
    """
    try:
        number = send()
        if number > 0:
            _check_disk(connection)
            replicas.confirm(connection)
    except NotPrimary:
        raise  # it was not made
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnsure(f"Redis did not respond to a change ({type(error).__name__}).", _UNSURE) from error
    return number


def _check_disk(connection: Redis) -> None:
    """Return when Redis has passed all its changes to the kernel, so that they survive its end.

    Redis acknowledges the first change that it cannot write, and while its disk is busy it holds changes back
    for up to two seconds. Raises `NotDurable`. Without an append-only file there is nothing to wait for.
    """
    written: int | None = None
    for _ in range(_DISK_CHECKS):
        try:
            state: Any = connection.info("persistence")
        except NoPermissionError:
            logger.warning("Redis does not allow INFO, so a change may not be on disk. Allow it in its ACL.")
            return
        if not state.get("aof_enabled"):
            return
        if state.get("aof_last_write_status") != "ok":
            raise NotDurable("Redis cannot write its append-only file.", _NOT_DURABLE)
        held, size = int(state.get("aof_buffer_length", 0)), int(state.get("aof_current_size", 0))
        # Changes of others come meanwhile. A file that is smaller than before was rewritten with all of them.
        if not held or (written is not None and (size >= written or size + held < written)):
            return
        written = written or size + held
        time.sleep(_DISK_PAUSE)
    raise NotDurable("Redis has not written its append-only file for seconds.", _NOT_DURABLE)
