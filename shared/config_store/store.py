"""The configuration store in Redis, as the admin API uses it. Its keys are listed in `layout`."""

import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from redis import Redis, RedisError, ResponseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.config_store import layout
from shared.config_store.port import Page
from shared.config_store.records import CHANGED, Change, parse_snapshot, read_call, taken, write_call
from shared.core.errors import BadRecord, Conflict, StoreDown, SubdomainTaken
from shared.model.config import Snapshot

#: Seconds that a call may take. By default redis-py waits 4 s for a dead server, over 25 s for a hung one.
TIMEOUT = 0.25
# Keys that one SCAN looks at, in about a millisecond.
_SCAN_COUNT = 1_000
# A cursor: the number of the last tenant on the page. Redis holds 15 digits exactly as a score.
_CURSOR = re.compile(rb"after:([1-9][0-9]{0,14})")

logger = logging.getLogger(__name__)


class RedisStore:
    """A `ConfigStore`. For `quarantine` seconds no other tenant gets a freed subdomain.

    The client must return bytes (``decode_responses=False``). A read of a tenant whose record is damaged
    raises `errors.BadRecord`; lists leave it out and log a warning.
    """

    #: Calls of SCAN, about a second, after which the counters of a deleted tenant are left to expire.
    max_scans = 1_000

    def __init__(self, client: Redis, quarantine: float) -> None:
        self._client = client
        self._quarantine = quarantine
        self._read = client.register_script(layout.script("read"))
        self._write = client.register_script(layout.script("write"))

    def read(self, tenant_id: str) -> Snapshot | None:
        call = read_call(tenant_id)
        with redis_errors(tenant_id):
            reply = self._read(call.keys, call.arguments)
        return parse_snapshot(tenant_id, reply)

    def write(self, before: Snapshot | None, after: Snapshot | None, *, actor: str) -> Snapshot | None:
        change = Change.between(before, after)
        call = write_call(change, actor, self._quarantine)
        with redis_errors(change.tenant_id):
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
        with redis_errors():
            found: Any = self._client.hget(layout.HASHES, key_hash)
        if found is None:
            return None
        tenant_id, _, key_id = found.decode().partition(" ")
        return tenant_id, key_id

    def list(self, limit: int, cursor: str | None) -> Page:
        start = f"({parse_cursor(cursor)}"
        with redis_errors():
            found: Any = self._client.zrange(
                layout.ORDER, start, "+inf", byscore=True, offset=0, num=limit + 1, withscores=True
            )
        page = found[:limit]
        snapshots = self._read_all([tenant_id.decode() for tenant_id, _ in page])
        more = len(found) > limit
        return Page(tuple(snapshots), format_cursor(int(page[-1][1])) if more else None)

    def is_empty(self) -> bool:
        with redis_errors():
            return not self._client.exists(layout.REVISION)

    def ping(self) -> None:
        with redis_errors():
            self._client.ping()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read_all(self, tenant_ids: Sequence[str]) -> Iterator[Snapshot]:
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            for call in map(read_call, tenant_ids):
                self._read(call.keys, call.arguments, client=pipeline)
            replies = pipeline.execute(raise_on_error=False)
        for tenant_id, reply in zip(tenant_ids, replies, strict=True):
            try:
                with redis_errors(tenant_id):
                    if isinstance(reply, RedisError):
                        raise reply
                snapshot = parse_snapshot(tenant_id, reply)
            except BadRecord as error:
                logger.warning("A tenant was left out of a list. %s", error)
                continue
            if snapshot is not None:
                yield snapshot

    def _purge_counters(self, tenant_id: str) -> None:
        """Drop the rate-limit counters of a deleted tenant. They hold no secrets, and also expire.

        SCAN looks at the keys of all tenants, so the number of calls is bounded.
        """
        why: object = "there are too many keys to scan"
        cursor = 0
        try:
            for _ in range(self.max_scans):
                reply: Any = self._client.scan(cursor, match=f"rl:{{{tenant_id}}}:*", count=_SCAN_COUNT)
                cursor, counters = reply
                if counters:
                    self._client.unlink(*counters)
                if not cursor:
                    return
        except RedisError as error:
            why = error
        logger.warning(
            "The rate-limit counters of the deleted tenant %s were left to expire: %s", tenant_id, why
        )


def open_store(options: Mapping[str, Any], quarantine: float) -> RedisStore:
    """A store with its own client; `options` are keyword arguments of redis.Redis."""
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    return RedisStore(Redis(**{**options, **timeouts}, retry=Retry(NoBackoff(), 0)), quarantine)


def format_cursor(number: int) -> str:
    """The cursor of the page that begins after the tenant with that number. Clients must not parse it."""
    return urlsafe_b64encode(b"after:%d" % number).decode().rstrip("=")


def parse_cursor(cursor: str | None) -> int:
    """The number in the cursor; 0 for the first page. Raises ValueError on any other text."""
    if cursor is None:
        return 0
    try:
        number = _CURSOR.fullmatch(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        number = None
    if number is None or format_cursor(int(number[1])) != cursor:
        raise ValueError("The cursor must be the next_cursor of an earlier page.")
    return int(number[1])


@contextmanager
def redis_errors(tenant_id: str = "") -> Iterator[None]:
    """Convert the errors of redis-py. The messages contain no addresses.

    A key of the wrong type is a `BadRecord` of the tenant. Every other error is `StoreDown`.
    """
    try:
        yield
    except ResponseError as error:
        if tenant_id and "WRONGTYPE" in str(error):
            raise BadRecord(f"The stored tenant {tenant_id} cannot be read: {error}") from error
        raise StoreDown(f"Redis rejected a command: {error}") from error
    except RedisError as error:
        raise StoreDown(
            f"Redis does not respond ({type(error).__name__}). A change may have been saved or not: "
            "fetch the tenant before you repeat it."
        ) from error
