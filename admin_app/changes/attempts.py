"""How a change is written: repeated while other processes write the same, and logged once."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from flask import g

from admin_app.auth.access import caller, operation_name
from admin_app.context import services
from shared.core.errors import Conflict
from shared.log_lines import CHANGE
from shared.logs import FIELDS

logger = logging.getLogger(CHANGE)

#: Attempts to write a change while other processes write to the same record.
MAX_ATTEMPTS = 100
# Before an attempt is repeated: a random part of this time, which doubles up to the maximum.
_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.005, 0.1
# Changes of one record in this process wait for each other. Records share the locks.
_LOCKS = tuple(threading.Lock() for _ in range(64))


def repeat[T](record: str, attempt: Callable[[], T]) -> T:
    """The result of the first attempt that meets no other writer. Raises `Conflict` after `MAX_ATTEMPTS`."""
    with _LOCKS[hash(record) % len(_LOCKS)]:
        for number in range(MAX_ATTEMPTS):
            with suppress(Conflict):
                return attempt()
            time.sleep(_pause(number))
    raise Conflict(f"{record} is changed too often.")


def log_change(tenant: str, version: int, objects: Iterable[str]) -> None:
    """Log one change. `tenant` is the id of a tenant, or ``platform``."""
    fields = {
        "actor": caller().actor,
        "operation": operation_name(),
        "tenant": tenant,
        "version": version,
        "objects": sorted(objects),
        "request_id": g.request_id,
    }
    logger.info("The configuration was changed.", extra={FIELDS: fields})


def _pause(attempt: int) -> float:
    """Seconds until the next attempt. They are random, so that rivals do not meet again."""
    longest = min(_PAUSE_SECONDS * 2.0**attempt, _MAX_PAUSE_SECONDS)
    return longest * services().random_bytes(1)[0] / 255
