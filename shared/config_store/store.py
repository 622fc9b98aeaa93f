"""The configuration store in Redis, as the admin API uses it. Its keys are listed in `layout`."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import batched
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.client import ask_state, open_client, open_server_of, read_state
from shared.config_store.cursor import format_cursor, parse_cursor
from shared.config_store.durability import NO_REPLICAS, Replicas, save
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import KEPT_VERSIONS, MAX_VERSION_BYTES, Edit, Kept
from shared.config_store.history.reader import RedisHistory
from shared.config_store.idempotency import CLAIM_LOST, CLAIMED_SECONDS, Claim
from shared.config_store.identity import ADOPTION_KEYS, LOST, KnownStore, StoreState
from shared.config_store.port import Page, newest_within
from shared.config_store.records.leftovers import Leftovers, ServerOf
from shared.config_store.records.parts import PartNames
from shared.config_store.records.platform import (
    PLATFORM_CHANGED,
    PlatformChange,
    discovered_call,
    parse_discovered,
    write_platform_call,
)
from shared.config_store.records.reader import ContentReader
from shared.config_store.records.stored import StoredContents
from shared.config_store.records.tenants import CHANGED, Change, ScriptCall, claim_member, taken, write_call
from shared.config_store.records.together import Together, Written, owner_changes, together_call
from shared.config_store.redis_errors import redis_errors
from shared.config_store.tokens import RedisTokens
from shared.core.errors import CallInProgress, Conflict, NamesInUse, StoreLost, SubdomainTaken
from shared.model.config import Snapshot, Tenant
from shared.model.providers import Discovered, PlatformDocument
from shared.secrets.api_keys import all_hashes

# Keys that one SCAN looks at, in about a millisecond.
_SCAN_COUNT = 1_000

# Tenants that are read at a time.
_READ_COUNT = 500

logger = logging.getLogger(__name__)


class RedisStore:
    """A `ConfigStore`. For `quarantine` seconds no other tenant gets a freed subdomain.

    The client must return bytes (``decode_responses=False``). A read of a tenant whose record is damaged
    raises `errors.BadRecord`; lists leave it out and log a warning. `known` is the store that was served
    last, `names` those of the parts of contents, `audit_key` that of the audit log, `replicas` those that
    must have a change, and `server_of` opens the server of a tenant's counters (None: that of the client).
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
        replicas: Replicas = NO_REPLICAS,
        server_of: ServerOf | None = None,
    ) -> None:
        self._client = client
        self._contents = StoredContents(names or PartNames())
        self._audit_key = audit_key or AuditKey()
        self._replicas = replicas
        self._reader = ContentReader(client, self._contents)
        self._history = RedisHistory(client, self._contents, self._reader.finish, replicas)
        self.tokens = RedisTokens(client, self._audit_key, self._save_known)
        self._quarantine = quarantine
        self._known = known or KnownStore()
        self._adopt = client.register_script(layout.script("adopt"))
        self._write = client.register_script(layout.script("versions", "write"))
        self._together = client.register_script(layout.script("versions", "together"))
        self._leftovers = Leftovers(client, server_of)
        self._claim = client.register_script(layout.script("claim"))
        self._release = client.register_script(layout.script("versions", "release"))

    @property
    def history(self) -> RedisHistory:
        return self._history

    def read(self, tenant_id: str) -> Snapshot | None:
        return self._reader.finish(self._contents.tenant(tenant_id), tenant_id)

    def read_named(self, subdomains: Sequence[str] | None = None) -> Mapping[str, Snapshot]:
        return self._reader.named(subdomains)

    def part_keys(self, tenant_id: str) -> Sequence[str]:
        """The keys of the parts of a tenant that was read before."""
        return self._contents.part_keys(tenant_id)

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
        if before:
            self._hold(change.tenant_id, before.tenant.version)
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
            self._leftovers.purge_counters(change.tenant_id, self.max_scans)
            return None
        self._contents.written(change.tenant_id, content)
        return replace(change.after, revision=number)

    def write_together(self, writes: Together, *, claim: Claim[Written] | None = None) -> Written:
        written = writes.written()
        changes = owner_changes(writes, self._contents, self._hold)
        platform = writes.platform and PlatformChange.between(writes.platform.before, writes.platform.after)
        users = self._keeping_users(platform) if platform else ()
        removed = writes.users_of(platform.removed_uses if platform else ())
        if losers := writes.losers(removed):
            raise NamesInUse(losers)
        call = self._leftovers.stage(changes)

        def script_call() -> ScriptCall:
            return together_call(
                changes,
                call,
                self._audit_key,
                removed=removed,
                users=users,
                checked_by=writes.checked_by,
                quarantine=self._quarantine,
                known=self._known.seen,
                claim=claim,
                written=written,
            )

        number = self._save(script_call, writes.owners[0], self._together)
        if number == -1:
            for tenant in writes.new_tenants():
                self.check_subdomain(tenant.id, tenant.subdomain)
        if number in (0, -1):
            raise Conflict(CHANGED)
        if number == -4:
            raise NamesInUse(self.users_of(removed))
        for one in changes:
            self._contents.written(one.owner, one.content)
        self._leftovers.finish(changes, call, Kept(self.kept_versions, self.kept_bytes))
        for write in writes.tenants:
            if write.after is None:
                self._contents.drop(write.tenant_id)
                self._leftovers.purge_counters(write.tenant_id, self.max_scans)
        return written

    def _hold(self, owner: str, version: int) -> None:
        """Read a content again that is no longer held, so that another can replace it."""
        if not self._contents.knows(owner, version):
            self.read_platform() if owner == layout.PLATFORM_ID else self.read(owner)

    def put_plan(self, plan_id: str, text: str, *, owner: str, seconds: int, most_bytes: int) -> None:
        key, listed = layout.plan_key(plan_id), layout.plans_key(owner)
        with redis_errors(), self._client.pipeline(transaction=False) as call:
            call.set(key, text, ex=seconds)
            call.lpush(listed, f"{len(text)} {key}")
            call.expire(listed, seconds)
            call.lrange(listed, 0, -1)
            known = [one.decode().split(" ") for one in call.execute()[-1]]
            kept = newest_within([int(size) for size, _ in known], most_bytes)
            if kept < len(known):
                call.delete(*(name for _, name in known[kept:]))
                call.ltrim(listed, 0, kept - 1)
                call.execute()

    def plan(self, plan_id: str) -> str | None:
        with redis_errors():
            found: Any = self._client.get(layout.plan_key(plan_id))
        return None if found is None else found.decode()

    def read_platform(self) -> PlatformDocument:
        return self._reader.finish(self._contents.platform(), layout.PLATFORM_ID)

    def write_platform(
        self,
        before: PlatformDocument,
        after: PlatformDocument,
        *,
        edit: Edit,
        claim: Claim[PlatformDocument] | None = None,
    ) -> PlatformDocument:
        change = PlatformChange.between(before, after)
        if before.version:
            self._hold(layout.PLATFORM_ID, before.version)
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
        read = (one.tenant for part in batched(ids, _READ_COUNT) for one in self._reader.all(part))
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

    def finish[T](self, claim: Claim[T], after: T) -> None:
        with redis_errors():
            kept = json.dumps(claim_member(claim, after))
            self._release([layout.idempotency_key(claim.name)], [claim.value, kept])

    def find_key(self, key_hash: str) -> tuple[str, str] | None:
        before = self._known.seen
        with redis_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hmget(layout.HASHES, all_hashes(key_hash))
            values, *state = ask_state(pipeline).execute()
        self._known.check(StoreState.parse(*state), before)
        if (found := next(filter(None, values), None)) is None:
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
        snapshots = self._reader.all([tenant_id.decode() for tenant_id, _ in page])
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

    def _save(self, call: Callable[[], ScriptCall], record: str, script: Any = None) -> int:
        """The number of a change that a script makes (``write.lua``), or why it made none: 0, -1 or -4.

        `call` is asked for once the store is known. `record` is the id of what changes.
        """
        with redis_errors(record), self._client.client() as connection:  # type: ignore[no-untyped-call]
            self._look(connection)
            keys, arguments = call()
            write = script or self._write
            number = save(connection, lambda: write(keys, arguments, client=connection), self._replicas)
        if number == -2:
            raise StoreLost(LOST.format("it was replaced at this moment"))
        if number == -3:
            raise CallInProgress(CLAIM_LOST)
        self._known.note_revision(number)
        return number


def open_store(
    options: Mapping[str, Any],
    quarantine: float,
    known: KnownStore | None = None,
    names: PartNames | None = None,
    audit_key: AuditKey | None = None,
    replicas: Replicas = NO_REPLICAS,
) -> RedisStore:
    """A store with its own client; `options` are keyword arguments of redis.Redis, with the topology."""
    server_of = partial(open_server_of, options)
    return RedisStore(open_client(options), quarantine, known, names, audit_key, replicas, server_of)
