"""The configuration store in Redis, as the admin API uses it. Its keys are listed in `layout`."""

import logging
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import redis
from redis import (
    AuthenticationError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    Redis,
    RedisError,
    ResponseError,
)
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from shared.config_store import layout
from shared.config_store.idempotency import CLAIM_LOST, CLAIMED_SECONDS, Claim
from shared.config_store.identity import ADOPTION_KEYS, LOST, KnownStore, StoreState
from shared.config_store.port import Page
from shared.config_store.records import CHANGED, Change, parse_snapshot, read_call, taken, write_call
from shared.core.errors import (
    BadRecord,
    CallInProgress,
    Conflict,
    NotDurable,
    StoreDown,
    StoreLost,
    StoreUnsure,
    SubdomainTaken,
)
from shared.model.config import Snapshot

#: Seconds that a call may take. By default redis-py waits 4 s for a dead server, over 25 s for a hung one.
TIMEOUT = 0.25
# Keys that one SCAN looks at, in about a millisecond.
_SCAN_COUNT = 1_000
# Checks whether a change is on disk, and the seconds between them. Redis holds a change back for two seconds.
_DISK_CHECKS, _DISK_PAUSE = 300, 0.01
# A cursor: the number of the last tenant on the page. Redis holds 15 digits exactly as a score.
_CURSOR = re.compile(rb"after:([1-9][0-9]{0,14})")

# The texts for callers about an error of Redis, with the test for it.
_CAUSES: Sequence[tuple[Callable[[RedisError], bool], str]] = (
    (
        lambda error: isinstance(error, OutOfMemoryError),
        "The configuration store is out of memory. Raise its maxmemory, or free memory in it.",
    ),
    (
        lambda error: "MISCONF" in str(error),
        "The configuration store cannot write to its disk. Free space on its disk.",
    ),
    (
        lambda error: isinstance(error, ReadOnlyError),
        "The configuration store is a read-only replica. Set redis.host or redis.url to the primary.",
    ),
    (
        lambda error: isinstance(error, AuthenticationError | NoPermissionError),
        "The configuration store rejects the gateway's password or user. Check redis.password and its ACL.",
    ),
    (
        lambda error: isinstance(error, BusyLoadingError),
        "The configuration store is loading its data. Retry in a moment.",
    ),
)
_UNSURE = (
    "The configuration store did not respond, and the change was saved or not. Fetch the resource before you "
    "repeat the change."
)
_NOT_DURABLE = (
    "The change is in effect but not on disk, so a restart of Redis would lose it. Free space on its disk; "
    "Redis then writes the change."
)

logger = logging.getLogger(__name__)


class RedisStore:
    """A `ConfigStore`. For `quarantine` seconds no other tenant gets a freed subdomain.

    The client must return bytes (``decode_responses=False``). A read of a tenant whose record is damaged
    raises `errors.BadRecord`; lists leave it out and log a warning. `known` is the store that was served
    last.
    """

    #: Calls of SCAN, about a second, after which the counters of a deleted tenant are left to expire.
    max_scans = 1_000

    def __init__(self, client: Redis, quarantine: float, known: KnownStore | None = None) -> None:
        self._client = client
        self._quarantine = quarantine
        self._known = known or KnownStore()
        self._adopt = client.register_script(layout.script("adopt"))
        self._read = client.register_script(layout.script("read"))
        self._write = client.register_script(layout.script("write"))
        self._claim = client.register_script(layout.script("claim"))
        self._release = client.register_script(layout.script("release"))

    def read(self, tenant_id: str) -> Snapshot | None:
        call = read_call(tenant_id)
        with redis_errors(tenant_id):
            reply = self._read(call.keys, call.arguments)
        return parse_snapshot(tenant_id, reply)

    def write(
        self, before: Snapshot | None, after: Snapshot | None, *, actor: str, claim: Claim | None = None
    ) -> Snapshot | None:
        change = Change.between(before, after)
        with redis_errors(change.tenant_id), self._client.client() as connection:  # type: ignore[no-untyped-call]
            self._look(connection)
            number = self._send(connection, change, actor, claim)
        if number == 0:
            raise Conflict(CHANGED)
        if number == -1:
            raise SubdomainTaken(self._taken(change.claimed_subdomain or ""))
        if number == -2:
            raise StoreLost(LOST.format("it was replaced at this moment"))
        if number == -3:
            raise CallInProgress(CLAIM_LOST)
        self._known.note_revision(number)
        if change.after is None:
            self._purge_counters(change.tenant_id)
            return None
        return replace(change.after, revision=number)

    def claim(self, name: str, value: str) -> str | None:
        with redis_errors():
            found: Any = self._claim([layout.idempotency_key(name)], [value, CLAIMED_SECONDS * 1000])
        return None if found is None else found.decode()

    def release(self, name: str, value: str) -> None:
        with redis_errors():
            self._release([layout.idempotency_key(name)], [value])

    def find_key(self, key_hash: str) -> tuple[str, str] | None:
        before = self._known.seen
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hget(layout.HASHES, key_hash)
            found, *state = ask_state(pipeline).execute()
        self._known.check(StoreState.parse(*state), before)
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

    def count(self) -> int:
        with redis_errors():
            count: Any = self._client.zcard(layout.ORDER)
        return int(count)

    def faults(self) -> Mapping[str, str]:
        with redis_errors():
            found: Any = self._client.hgetall(layout.FAULTS)
        return {tenant_id.decode(): why.decode() for tenant_id, why in found.items()}

    def ping(self) -> None:
        with redis_errors():
            self._look(self._client)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _look(self, client: Redis) -> None:
        """Check that the store is the known one; give it an identity if it needs one."""
        before = self._known.seen
        found = read_state(client)
        if arguments := self._known.adoption(found):
            self._adopt(ADOPTION_KEYS, arguments, client=client)
            found = read_state(client)
        self._known.check(found, before)

    def _taken(self, subdomain: str) -> str:
        """Why nobody else gets the subdomain, by the clock of Redis."""
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.pttl(layout.quarantine_key(subdomain))
            (seconds, _), left = pipeline.execute()
        return taken(subdomain, seconds + left / 1000 if left > 0 else None)

    def _send(self, connection: Redis, change: Change, actor: str, claim: Claim | None) -> int:
        """Send a change. Raises `NotDurable` when Redis cannot write it to its disk."""
        call = write_call(
            change, actor=actor, quarantine=self._quarantine, known=self._known.seen, claim=claim
        )
        try:
            number: int = self._write(call.keys, call.arguments, client=connection)
            if number > 0:
                _check_disk(connection)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreUnsure(
                f"Redis did not respond to a change ({type(error).__name__}).", _UNSURE
            ) from error
        return number

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


def open_client(options: Mapping[str, Any]) -> Redis:
    """A client; `options` are keyword arguments of redis.Redis."""
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    return Redis(**{**options, **timeouts}, retry=Retry(NoBackoff(), 0))


def open_store(options: Mapping[str, Any], quarantine: float, known: KnownStore | None = None) -> RedisStore:
    """A store with its own client; `options` are keyword arguments of redis.Redis."""
    return RedisStore(open_client(options), quarantine, known)


def read_state(client: Redis) -> StoreState | None:
    """What the store says about itself; None when it has no identity."""
    with client.pipeline(transaction=False) as pipeline:
        return StoreState.parse(*ask_state(pipeline).execute())


def ask_state(pipeline: Any) -> Any:
    """Add the commands whose replies are the arguments of `StoreState.parse`."""
    pipeline.hgetall(layout.IDENTITY)
    pipeline.get(layout.REVISION)
    return pipeline


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


@contextmanager
def redis_errors(tenant_id: str = "") -> Iterator[None]:
    """Convert the errors of redis-py. The messages contain no addresses.

    A key of the wrong type is a `BadRecord` of the tenant. Every other error is `StoreDown`.
    """
    try:
        yield
    except RedisError as error:
        if tenant_id and isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
            raise BadRecord(f"The stored tenant {tenant_id} cannot be read: {error}") from error
        detail = next((text for has, text in _CAUSES if has(error)), None)
        if detail:
            raise StoreDown(f"Redis rejected a command: {error}", detail) from error
        if isinstance(error, ResponseError):
            detail = "The configuration store rejected a command. The log of the admin API has its text."
            raise StoreDown(f"Redis rejected a command: {error}", detail) from error
        raise StoreDown(f"Redis does not respond ({type(error).__name__}).") from error
