"""The configuration store in Redis, as the admin API uses it. Its keys are listed in `layout`."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import batched
from typing import Any

from redis import Redis, RedisError

from shared.config_store import layout
from shared.config_store.client import ask_state, open_client, read_state
from shared.config_store.cursor import format_cursor, parse_cursor
from shared.config_store.durability import save
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import KEPT_VERSIONS, MAX_VERSION_BYTES, Edit, Kept
from shared.config_store.history.reader import RedisHistory
from shared.config_store.idempotency import CLAIM_LOST, CLAIMED_SECONDS, Claim
from shared.config_store.identity import ADOPTION_KEYS, LOST, KnownStore, StoreState
from shared.config_store.port import Page
from shared.config_store.records.parts import PartNames
from shared.config_store.records.platform import (
    PLATFORM_CHANGED,
    PlatformChange,
    discovered_call,
    parse_discovered,
    write_platform_call,
)
from shared.config_store.records.stored import Ask, Done, Reading, StoredContents, advance
from shared.config_store.records.tenants import CHANGED, Change, ScriptCall, taken, write_call
from shared.config_store.redis_errors import redis_errors
from shared.config_store.tokens import RedisTokens
from shared.core.errors import BadRecord, CallInProgress, Conflict, NamesInUse, StoreLost, SubdomainTaken
from shared.model.config import Snapshot, Tenant
from shared.model.providers import Discovered, PlatformDocument

# Keys that one SCAN looks at, in about a millisecond.
_SCAN_COUNT = 1_000

# Tenants that are read at a time.
_READ_COUNT = 500

logger = logging.getLogger(__name__)


class RedisStore:
    """A `ConfigStore`. For `quarantine` seconds no other tenant gets a freed subdomain.

    The client must return bytes (``decode_responses=False``). A read of a tenant whose record is damaged
    raises `errors.BadRecord`; lists leave it out and log a warning. `known` is the store that was served
    last, `names` those of the parts of contents, `audit_key` that of the audit log.
    """

    #: Versions of a content that are kept besides the pinned ones.
    kept_versions = KEPT_VERSIONS
    #: The bytes that all of these have written.
    kept_bytes = MAX_VERSION_BYTES
    #: Calls of SCAN, about a second, after which the counters of a deleted tenant are left to expire.
    max_scans = 1_000

    def __init__(
        self,
        client: Redis,
        quarantine: float,
        known: KnownStore | None = None,
        names: PartNames | None = None,
        audit_key: AuditKey | None = None,
    ) -> None:
        self._client = client
        self._contents = StoredContents(names or PartNames())
        self._audit_key = audit_key or AuditKey()
        self._history = RedisHistory(client, self._contents, self._finish)
        self.tokens = RedisTokens(client, self._audit_key, self._save_known)
        self._quarantine = quarantine
        self._known = known or KnownStore()
        self._adopt = client.register_script(layout.script("adopt"))
        self._read = client.register_script(layout.script("read"))
        self._read_platform = client.register_script(layout.script("read_platform"))
        self._write = client.register_script(layout.script("write"))
        self._claim = client.register_script(layout.script("claim"))
        self._release = client.register_script(layout.script("release"))

    @property
    def history(self) -> RedisHistory:
        return self._history

    def read(self, tenant_id: str) -> Snapshot | None:
        return self._finish(self._contents.tenant(tenant_id), tenant_id)

    def read_named(self, subdomains: Sequence[str] | None = None) -> Mapping[str, Snapshot]:
        found: dict[str, Snapshot] = {}
        for ids in batched(self._ids(subdomains), _READ_COUNT):
            snapshots = {one.tenant.id: one for one in self._read_all(ids)}
            # One that is damaged is read again, alone, to say so.
            read = (snapshots.get(one) or self.read(one) for one in ids)
            found |= {one.tenant.subdomain: one for one in read if one is not None}
        return found

    def _ids(self, subdomains: Sequence[str] | None) -> Sequence[str]:
        """The ids of the tenants with these subdomains; None: of all, in order of creation."""
        with redis_errors():
            if subdomains is None:
                ids: Any = self._client.zrange(layout.ORDER, 0, -1)
            else:
                ids = self._client.hmget(layout.SUBDOMAINS, list(subdomains)) if subdomains else []
        return [one.decode() for one in ids if one is not None]

    def part_keys(self, tenant_id: str) -> Sequence[str]:
        """The keys of the parts of a tenant that was read before."""
        return self._contents.part_keys(tenant_id)

    def _finish[T](self, reading: Reading[T], record: str) -> T:
        """The result of a reading. `record` is the id of what is read."""
        step = advance(reading)
        while not isinstance(step, Done):
            with redis_errors(record):
                reply = self._ask(step)
            step = advance(reading, reply)
        result: T = step.result
        return result

    def _ask(self, ask: Ask, client: Any = None) -> Any:
        if not isinstance(ask, ScriptCall):
            return (client or self._client).mget(ask)
        script = self._read_platform if layout.PLATFORM in ask.keys else self._read
        return script(ask.keys, ask.arguments, client=client)

    def write(
        self,
        before: Snapshot | None,
        after: Snapshot | None,
        *,
        edit: Edit,
        claim: Claim[Snapshot] | None = None,
        platform: int | None = None,
    ) -> Snapshot | None:
        change = Change.between(before, after)
        if before and not self._contents.knows(change.tenant_id, before.tenant.version):
            self.read(change.tenant_id)
        content = self._contents.change(change, edit.actor)

        def call() -> ScriptCall:
            return write_call(
                change,
                content,
                edit,
                self._audit_key,
                quarantine=self._quarantine,
                kept=Kept(self.kept_versions, self.kept_bytes),
                known=self._known.seen,
                claim=claim,
                platform=platform,
            )

        number = self._save(call, change.tenant_id)
        if number == 0:
            raise Conflict(CHANGED)
        if number == -1:
            raise SubdomainTaken(self._taken(change.claimed_subdomain or ""))
        if change.after is None:
            self._contents.drop(change.tenant_id)
            self._purge_counters(change.tenant_id)
            return None
        self._contents.written(change.tenant_id, content)
        return replace(change.after, revision=number)

    def read_platform(self) -> PlatformDocument:
        return self._finish(self._contents.platform(), layout.PLATFORM_ID)

    def write_platform(
        self,
        before: PlatformDocument,
        after: PlatformDocument,
        *,
        edit: Edit,
        claim: Claim[PlatformDocument] | None = None,
    ) -> PlatformDocument:
        change = PlatformChange.between(before, after)
        if before.version and not self._contents.knows(layout.PLATFORM_ID, before.version):
            self.read_platform()
        users = self._keeping_users(change)
        content = self._contents.change_platform(change, edit.actor)

        def call() -> ScriptCall:
            return write_platform_call(
                change,
                content,
                edit,
                self._audit_key,
                users=users,
                kept=Kept(self.kept_versions, self.kept_bytes),
                known=self._known.seen,
                claim=claim,
            )

        number = self._save(call, layout.PLATFORM_ID)
        if number == 0:
            raise Conflict(PLATFORM_CHANGED)
        if number == -4:
            raise NamesInUse(self.users_of(change.removed_uses))
        self._contents.written(layout.PLATFORM_ID, content)
        return replace(change.after, revision=number)

    def _keeping_users(self, change: PlatformChange) -> Sequence[Tenant]:
        """The tenants that use what is shared with fewer. Raises `NamesInUse` when one of them loses it."""
        users = self.users_of(change.narrowed)
        ids = sorted({tenant_id for found in users.values() for tenant_id in found})
        read = (one.tenant for part in batched(ids, _READ_COUNT) for one in self._read_all(part))
        tenants = {tenant.id: tenant for tenant in read}
        if losers := change.losers(users, tenants):
            raise NamesInUse(losers)
        return tuple(tenants.values())

    def users_of(self, uses: Iterable[str]) -> Mapping[str, Sequence[str]]:
        asked = sorted(uses)
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            for use in asked:
                pipeline.smembers(layout.uses_key(use))
            replies = pipeline.execute()
        found = zip(asked, replies, strict=True)
        return {use: sorted(one.decode() for one in ids) for use, ids in found if ids}

    def discovered(self, provider_ids: Sequence[str]) -> Mapping[str, Discovered]:
        if not provider_ids:
            return {}
        with redis_errors():
            replies: Any = self._client.mget([layout.discovered_key(one) for one in provider_ids])
        return parse_discovered(provider_ids, replies)

    def write_discovered(self, owner: str, provider_id: str, found: Discovered) -> None:
        self._save(lambda: discovered_call(owner, provider_id, found, self._known.seen), owner)

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        before = self._known.seen
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            ask_state(pipeline).zrange(layout.CHANGES, f"({since}", "+inf", byscore=True)
            identity, number, changed = pipeline.execute()
        self._known.check(StoreState.parse(identity, number), before)
        return int(number or 0), [one.decode() for one in changed]

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

    def check_subdomain(self, tenant_id: str, subdomain: str) -> None:
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hget(layout.SUBDOMAINS, subdomain)
            pipeline.get(layout.quarantine_key(subdomain))
            owners = pipeline.execute()
        if any(owner not in (None, tenant_id.encode()) for owner in owners):
            raise SubdomainTaken(self._taken(subdomain))

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

    def _save_known(self, call: Callable[[StoreState | None], ScriptCall], record: str) -> int:
        return self._save(lambda: call(self._known.seen), record)

    def _save(self, call: Callable[[], ScriptCall], record: str) -> int:
        """The number of a change that ``write.lua`` makes, or why it made none: 0, -1 or -4.

        `call` is asked for once the store is known. `record` is the id of what changes.
        """
        with redis_errors(record), self._client.client() as connection:  # type: ignore[no-untyped-call]
            self._look(connection)
            keys, arguments = call()
            number = save(connection, lambda: self._write(keys, arguments, client=connection))
        if number == -2:
            raise StoreLost(LOST.format("it was replaced at this moment"))
        if number == -3:
            raise CallInProgress(CLAIM_LOST)
        self._known.note_revision(number)
        return number

    def _read_all(self, tenant_ids: Sequence[str]) -> Iterator[Snapshot]:
        """The tenants that are there and can be read. All are asked for together, then all of their parts."""
        readings = {tenant_id: self._contents.tenant(tenant_id) for tenant_id in tenant_ids}
        steps = {one: advance(reading) for one, reading in readings.items()}
        while asks := {one: step for one, step in steps.items() if not isinstance(step, Done)}:
            with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
                for ask in asks.values():
                    self._ask(ask, pipeline)
                replies = pipeline.execute(raise_on_error=False)
            for tenant_id, reply in zip(asks, replies, strict=True):
                try:
                    steps[tenant_id] = _after(readings[tenant_id], tenant_id, reply)
                except BadRecord as error:
                    logger.warning("A tenant was left out of a list. %s", error)
                    steps[tenant_id] = Done(None)
        for step in steps.values():
            if isinstance(step, Done) and step.result is not None:
                yield step.result

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


def _after[T](reading: Reading[T], tenant_id: str, reply: Any) -> Ask | Done[T]:
    """What follows a reply of a pipeline."""
    with redis_errors(tenant_id):
        if isinstance(reply, RedisError):
            raise reply
    return advance(reading, reply)


def open_store(
    options: Mapping[str, Any],
    quarantine: float,
    known: KnownStore | None = None,
    names: PartNames | None = None,
    audit_key: AuditKey | None = None,
) -> RedisStore:
    """A store with its own client; `options` are keyword arguments of redis.Redis."""
    return RedisStore(open_client(options), quarantine, known, names, audit_key)
