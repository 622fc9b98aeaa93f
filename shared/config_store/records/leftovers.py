"""Texts that are stored and not used: staged for a write of several owners, or left of deleted tenants."""

import json
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import batched
from typing import Any

from redis import Redis
from redis.exceptions import RedisClusterException, RedisError

from shared.config_store import layout
from shared.config_store.history.edit import Kept
from shared.config_store.records.together import OwnerChange, staged
from shared.config_store.redis_errors import redis_errors
from shared.core.durations import DAY_SECONDS, HOUR_SECONDS
from shared.core.errors import StoreDown

#: Seconds after which what was staged is removed, if no script has used it.
STAGED_SECONDS = HOUR_SECONDS
# Commands of a pipeline, and leftovers that one script call removes, so that Redis serves others meanwhile.
_BATCH, _AT_ONCE = 200, 20
# Calls of the script that removes leftovers, after which the rest is left to the next change.
_MAX_SWEEPS = 50
# Keys that one SCAN looks at, in about a millisecond.
_SCAN_COUNT = 1_000
# A budget of a deleted tenant is kept for so long; one without an end would be for good.
_BUDGET_SECONDS = 40 * DAY_SECONDS

#: Opens a client of the server that has a key.
type ServerOf = Callable[[str], AbstractContextManager[Redis]]

logger = logging.getLogger(__name__)


class Leftovers:
    """The leftovers of a store."""

    def __init__(self, client: Redis, server_of: ServerOf | None = None) -> None:
        """`server_of` opens the server that has a key; None: it is that of `client`."""
        self._client = client
        self._server_of = server_of or (lambda _: nullcontext(client))
        self._sweep = client.register_script(layout.script("versions", "sweep"))
        self._trim = client.register_script(layout.script("versions", "trim"))

    def stage(self, changes: Sequence[OwnerChange]) -> str:
        """Store the new roots and parts, and return the name of the call for its script.

        They are leftovers before they exist, so none is forgotten.
        """
        call = secrets.token_hex(8)
        with redis_errors():
            found: Any = self._client.time()
            for batch in batched(staged(changes, call), _BATCH):
                with self._client.pipeline(transaction=False) as pipeline:
                    end = found[0] + STAGED_SECONDS
                    pipeline.zadd(layout.LEFTOVERS, {leftover: end for leftover, _, _ in batch})
                    for _, key, text in batch:
                        pipeline.set(key, text, nx=True)
                    pipeline.execute()
        return call

    def finish(self, changes: Sequence[OwnerChange], call: str, kept: Kept) -> None:
        """Forget what was staged and is used now, and drop the oldest versions above the bounds.

        The change is made already, so trouble with Redis is logged. A later change does what is left.
        """
        try:
            self._finish(changes, call, kept)
            self.sweep()
        except StoreDown as error:
            logger.warning("Leftovers of a change are removed later. %s", error)

    def _finish(self, changes: Sequence[OwnerChange], call: str, kept: Kept) -> None:
        with redis_errors():
            for batch in batched(staged(changes, call), _BATCH):
                self._client.zrem(layout.LEFTOVERS, *(leftover for leftover, _, _ in batch))
            for some in batched((one.owner for one in changes if one.content.split), _BATCH):
                with self._client.pipeline(transaction=False) as pipeline:
                    for owner in some:
                        prefixes = (layout.root_prefix(owner), layout.part_prefix(owner))
                        self._trim(layout.version_keys(owner), (*prefixes, *kept), client=pipeline)
                    pipeline.execute()

    def sweep(self) -> None:
        """Remove the leftovers whose time has come."""
        prefixes = json.dumps(layout.PREFIXES)
        with redis_errors():
            for _ in range(_MAX_SWEEPS):
                if self._sweep([layout.LEFTOVERS, layout.PLATFORM], [_AT_ONCE, prefixes]) < _AT_ONCE:
                    return

    def purge_counters(self, tenant_id: str, max_scans: int) -> None:
        """Drop the rate-limit counters of a deleted tenant. They hold no secrets, and also expire.

        Its budgets expire some time after its last rows, with which the check compares them. SCAN looks at
        the keys of all tenants, so the number of calls is bounded. One server has all keys of a tenant.
        """
        why: object = "there are too many keys to scan"
        try:
            with self._server_of(f"rl:{{{tenant_id}}}:") as server:
                if _purge(server, tenant_id, max_scans):
                    return
        except (RedisError, RedisClusterException) as error:
            why = error
        logger.warning(
            "The rate-limit counters of the deleted tenant %s were left to expire: %s", tenant_id, why
        )


def _purge(server: Redis, tenant_id: str, max_scans: int) -> bool:
    """Whether all counters of a tenant were found by so many calls. Raises redis-py's errors."""
    cursor = 0
    for _ in range(max_scans):
        reply: Any = server.scan(cursor, match=f"*:{{{tenant_id}}}:*", count=_SCAN_COUNT)
        cursor, found = reply
        with server.pipeline(transaction=False) as pipeline:
            for key in found:
                if key.startswith(b"rl:"):
                    pipeline.unlink(key)
                elif key.startswith(b"bud:"):
                    pipeline.expire(key, _BUDGET_SECONDS)
            pipeline.execute()
        if not cursor:
            return True
    return False
