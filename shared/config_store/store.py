"""The configuration store in Redis, as the admin API uses it. `layout` says where what lies."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from redis import Redis, RedisError, ResponseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.config_store import layout
from shared.config_store.cursor import format_cursor, parse_cursor
from shared.config_store.port import Page
from shared.config_store.records import CHANGED, Change, taken
from shared.config_store.redis_records import parse_snapshot, read_call, write_call
from shared.core.errors import BadRecord, Conflict, StoreDown, SubdomainTaken
from shared.model.config import Snapshot

#: Seconds that a call may take. redis-py's defaults wait 4 s for a dead server, over 25 s for a hung one.
TIMEOUT = 0.25
# Keys that one round looks through, in about a millisecond.
_SCANNED_AT_ONCE = 1_000

logger = logging.getLogger(__name__)


class RedisStore:
    """A `ConfigStore`. `quarantine` is how long a freed subdomain is kept from others, in seconds.

    The client must give bytes (``decode_responses=False``). A tenant whose record cannot be read raises
    `errors.BadRecord` when read, and is left out of lists with a warning in the log.
    """

    #: Rounds through the keys after which counters of a deleted tenant are left to expire; about a second.
    most_scans = 1_000

    def __init__(self, client: Redis, quarantine: float) -> None:
        self._client = client
        self._quarantine = quarantine
        self._read = client.register_script(layout.script("read"))
        self._write = client.register_script(layout.script("write"))

    def read(self, tenant_id: str) -> Snapshot | None:
        call = read_call(tenant_id)
        with redis_trouble(tenant_id):
            reply = self._read(call.keys, call.arguments)
        return parse_snapshot(tenant_id, reply)

    def write(self, before: Snapshot | None, after: Snapshot | None, *, actor: str) -> Snapshot | None:
        change = Change.between(before, after)
        call = write_call(change, actor, self._quarantine)
        with redis_trouble(change.tenant_id):
            number = self._write(call.keys, call.arguments)
        if number == 0:
            raise Conflict(CHANGED)
        if number == -1:
            raise SubdomainTaken(taken(change.claimed_subdomain or ""))
        if change.after is None:
            self._purge_counters(change.tenant_id)
            return None
        return replace(change.after, revision=number)

    def find_key(self, key_hash: str) -> tuple[str, str] | None:
        with redis_trouble():
            found: Any = self._client.hget(layout.HASHES, key_hash)
        if found is None:
            return None
        tenant_id, _, key_id = found.decode().partition(" ")
        return tenant_id, key_id

    def list(self, limit: int, cursor: str | None) -> Page:
        start = f"({parse_cursor(cursor)}"
        with redis_trouble():
            found: Any = self._client.zrange(
                layout.ORDER, start, "+inf", byscore=True, offset=0, num=limit + 1, withscores=True
            )
        page = found[:limit]
        snapshots = self._read_all([tenant_id.decode() for tenant_id, _ in page])
        more = len(found) > limit
        return Page(tuple(snapshots), format_cursor(int(page[-1][1])) if more else None)

    def is_empty(self) -> bool:
        with redis_trouble():
            return not self._client.exists(layout.REVISION)

    def ping(self) -> None:
        with redis_trouble():
            self._client.ping()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read_all(self, tenant_ids: Sequence[str]) -> Iterator[Snapshot]:
        with redis_trouble(), self._client.pipeline(transaction=False) as pipeline:
            for call in map(read_call, tenant_ids):
                self._read(call.keys, call.arguments, client=pipeline)
            replies = pipeline.execute(raise_on_error=False)
        for tenant_id, reply in zip(tenant_ids, replies, strict=True):
            try:
                with redis_trouble(tenant_id):
                    if isinstance(reply, RedisError):
                        raise reply
                snapshot = parse_snapshot(tenant_id, reply)
            except BadRecord as error:
                logger.warning("A tenant is left out of the list. %s", error)
                continue
            if snapshot is not None:
                yield snapshot

    def _purge_counters(self, tenant_id: str) -> None:
        """Drop the tenant's rate-limit counters. They hold nothing secret and expire by themselves too.

        Other tenants' keys are looked through on the way, so there is an end to it.
        """
        why: object = "there are too many keys to look through"
        cursor = 0
        try:
            for _ in range(self.most_scans):
                reply: Any = self._client.scan(cursor, match=f"rl:{{{tenant_id}}}:*", count=_SCANNED_AT_ONCE)
                cursor, counters = reply
                if counters:
                    self._client.unlink(*counters)
                if not cursor:
                    return
        except RedisError as error:
            why = error
        logger.warning(
            "The rate-limit counters of the deleted tenant %s are left to expire: %s", tenant_id, why
        )


def open_store(options: Mapping[str, Any], quarantine: float) -> RedisStore:
    """A store with a client of its own; `options` are keyword arguments of redis.Redis."""
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    return RedisStore(Redis(**{**options, **timeouts}, retry=Retry(NoBackoff(), 0)), quarantine)


@contextmanager
def redis_trouble(tenant_id: str = "") -> Iterator[None]:
    """Turn what redis-py raises into the gateway's errors. The message names no address.

    A key of the wrong type among those of one tenant is that tenant's `BadRecord`; all else `StoreDown`.
    """
    try:
        yield
    except ResponseError as error:
        if tenant_id and "WRONGTYPE" in str(error):
            raise BadRecord(f"The stored tenant {tenant_id} cannot be read: {error}") from error
        raise StoreDown(f"Redis refuses: {error}") from error
    except RedisError as error:
        raise StoreDown(
            f"Redis does not answer ({type(error).__name__}). Whether a change was saved is not known; "
            "try again, and read before you write again."
        ) from error
