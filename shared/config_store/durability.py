"""Whether Redis has saved a change: the reply came, and the change is on disk."""

import logging
import time
from collections.abc import Callable
from typing import Any

import redis
from redis import Redis
from redis.exceptions import NoPermissionError

from shared.core.errors import NotDurable, StoreUnsure

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

logger = logging.getLogger(__name__)


def save(connection: Redis, send: Callable[[], int]) -> int:
    """Send a change on `connection`, and return its number once it is on disk; 0 or less: it was rejected.

    Raises `StoreUnsure` when Redis does not respond, and `NotDurable` when it cannot write to its disk.
    """
    try:
        number = send()
        if number > 0:
            _check_disk(connection)
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
