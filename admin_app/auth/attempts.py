"""Attempts of one caller within a minute, counted in Redis for all workers of all machines.

Failed logins are counted so, and changes that are made with the keys of a tenant: each has an entry in the
audit log, which keeps a number of entries of all tenants together.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, cast

from flask import current_app

from admin_app.context import services
from admin_app.http.errors import ApiError
from shared.config_store import layout
from shared.config_store.client import open_client
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import StoreDown

WINDOW_SECONDS: Final = 60.0
#: The key of a `CountAttempt` in `flask.Flask.extensions`.
EXTENSION: Final = "gateway_attempts"

#: Takes the key of a list in Redis, the attempts that are allowed per minute, and whether this one uses one
#: up. Returns the seconds to wait, 0 if the attempt is allowed. Raises `StoreDown`.
CountAttempt = Callable[[str, int, bool], float]


def counting_in(options: Mapping[str, Any]) -> CountAttempt:
    """A counter of attempts in Redis. `options` are arguments of redis.Redis. Connects when it is called."""
    script = open_client(options).register_script(layout.script("attempt"))

    def count(key: str, most: int, uses_one: bool) -> float:
        with redis_errors():
            wait: Any = script([key], [most, int(WINDOW_SECONDS * 1000), int(uses_one)])
        return float(wait) / 1000

    return count


def check_changes(tenant_id: str) -> None:
    """Count a change with a key of this tenant. Raises 429 after ``admin.changes_per_minute``.

    Rejected ones count, too, for they cost as much. While Redis is away, nothing is written anyway.
    """
    most = services().settings.admin.changes_per_minute
    if most is None:
        return
    with suppress(StoreDown):
        count = cast(CountAttempt, current_app.extensions[EXTENSION])
        if wait := count(layout.changes_key(tenant_id), most, True):
            raise _too_many_changes(most, wait)


def _too_many_changes(most: int, wait: float) -> ApiError:
    seconds = str(max(1, math.ceil(wait)))
    detail = (
        f"The keys of this tenant made {most} changes within a minute, which is the maximum "
        f"(admin.changes_per_minute). Retry in {seconds} seconds."
    )
    return ApiError("too_many_changes", detail, headers={"Retry-After": seconds})
