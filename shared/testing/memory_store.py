"""The configuration store in the memory of one process: for tests, and as the reference for the port."""

import asyncio
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace

from shared.config_store.cursor import format_cursor, parse_cursor
from shared.config_store.history.edit import Edit
from shared.config_store.idempotency import CLAIM_LOST, CLAIMED_SECONDS, KEPT_SECONDS, MAX_KEPT, Claim
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.port import OnChange, OnReconnect, OnTold, Page, ignore, newest_within
from shared.config_store.records.platform import PLATFORM_CHANGED, PlatformChange, discovering
from shared.config_store.records.tenants import CHANGED, Change, taken
from shared.config_store.records.together import PlatformWrite, Together, Written
from shared.config_store.tokens import TOKENS_CHANGED
from shared.core.clock import Clock
from shared.core.errors import CallInProgress, Conflict, NamesInUse, SubdomainTaken
from shared.model.config import PlatformToken, PlatformTokens, Snapshot
from shared.model.providers import Discovered, PlatformDocument
from shared.model.uses import uses_of
from shared.secrets.api_keys import all_hashes, match_hash
from shared.testing.memory_history import MemoryHistory


class MemoryStore:
    """A `ConfigStore`. For `quarantine` seconds no other tenant gets a freed subdomain."""

    def __init__(self, clock: Clock, quarantine: float) -> None:
        self._clock = clock
        self._quarantine = quarantine
        self._lock = threading.Lock()
        self._snapshots: dict[str, Snapshot] = {}
        self._order: dict[str, int] = {}
        self._subdomains: dict[str, str] = {}
        self._hashes: dict[str, tuple[str, str]] = {}
        self._freed: dict[str, tuple[str, float]] = {}
        self._claims: dict[str, tuple[str, float]] = {}
        self._calls: dict[str, list[str]] = {}
        self._plans: dict[str, tuple[str, str, float]] = {}
        self._platform = PlatformDocument()
        self._discovered: dict[str, Discovered] = {}
        self.history = MemoryHistory()
        self.tokens = MemoryTokens(self)
        self._used: dict[tuple[str, str], float] = {}
        #: The number of the newest change, and that of the last one of each tenant and of the platform.
        self.revision = 0
        self.changed_at: dict[str, int] = {}
        #: The faults that proxies have reported of the newest documents of tenants.
        self.noted_faults: dict[str, str] = {}
        #: Called with the id of the tenant, or ``platform``, after each write, in the thread of the writer.
        self.listeners: list[Callable[[str], None]] = []

    def read(self, tenant_id: str) -> Snapshot | None:
        snapshot = self._snapshots.get(tenant_id)
        if snapshot is None:
            return None
        keys = (replace(key, last_used_at=self._used.get((tenant_id, key.id))) for key in snapshot.keys)
        return replace(snapshot, keys=tuple(keys))

    def read_named(self, subdomains: Sequence[str] | None = None) -> Mapping[str, Snapshot]:
        names = list(self._subdomains) if subdomains is None else subdomains
        found = {name: self.read(self._subdomains.get(name, "")) for name in names}
        return {name: snapshot for name, snapshot in found.items() if snapshot}

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
        with self._lock:
            self._check_claim(claim)
            self._check(change, platform)
            self._finish(claim, change.after)
            self._put_tenant(change, edit)
        self._announce(change.tenant_id)
        return change.after and replace(change.after, revision=self.revision)

    def write_together(self, writes: Together, *, claim: Claim[Written] | None = None) -> Written:
        changes = [Change.between(one.before, one.after) for one in writes.tenants]
        written = writes.written()
        with self._lock:
            self._check_claim(claim)
            if writes.platform:
                change = PlatformChange.between(writes.platform.before, writes.platform.after)
                if losers := writes.losers(change.removed_uses):
                    raise NamesInUse(losers)
                self._check_platform(writes.platform, {one.tenant_id for one in changes})
            for one in changes:
                self._check(one, writes.checked_by)
            self._finish(claim, written)
            for of_tenant, write in zip(changes, writes.tenants, strict=True):
                self._put_tenant(of_tenant, write.edit)
            if writes.platform:
                self._put_platform(writes.platform)
        for owner in writes.owners:
            self._announce(owner)
        return written

    def put_plan(self, plan_id: str, text: str, *, owner: str, seconds: int, most_bytes: int) -> None:
        self._plans[plan_id] = owner, text, self._clock.now() + seconds
        own = [(name, len(one)) for name, (of, one, _) in reversed(self._plans.items()) if of == owner]
        for name, _ in own[newest_within([size for _, size in own], most_bytes) :]:
            del self._plans[name]

    def plan(self, plan_id: str) -> str | None:
        _, text, until = self._plans.get(plan_id, ("", None, 0.0))
        return text if self._clock.now() < until else None

    def _put_tenant(self, change: Change, edit: Edit) -> None:
        self.revision += 1
        self._remove_old(change)
        self._put_new(change)
        self.changed_at[change.tenant_id] = self.revision
        self.history.add_tenant(change, edit, self.revision)

    def read_platform(self) -> PlatformDocument:
        return self._platform

    def write_platform(
        self,
        before: PlatformDocument,
        after: PlatformDocument,
        *,
        edit: Edit,
        claim: Claim[PlatformDocument] | None = None,
    ) -> PlatformDocument:
        write = PlatformWrite(before, after, edit)
        with self._lock:
            self._check_claim(claim)
            self._check_platform(write)
            self._finish(claim, PlatformChange.between(before, after).after)
            written = self._put_platform(write)
        self._announce(PLATFORM_ID)
        return written

    def _check_platform(self, write: PlatformWrite, others: Container[str] = ()) -> None:
        """Check what all tenants but `others` use."""
        change = PlatformChange.between(write.before, write.after)
        if self._platform.revision != write.before.revision:
            raise Conflict(PLATFORM_CHANGED)
        tenants = {one: found.tenant for one, found in self._snapshots.items()}
        for users in (
            self.users_of(change.removed_uses),
            change.losers(self.users_of(change.narrowed), tenants),
        ):
            left = {use: [one for one in ids if one not in others] for use, ids in users.items()}
            if any(left.values()):
                raise NamesInUse({use: ids for use, ids in left.items() if ids})

    def _put_platform(self, write: PlatformWrite) -> PlatformDocument:
        change = PlatformChange.between(write.before, write.after)
        self.revision += 1
        self._platform = replace(change.after, revision=self.revision)
        self._forget_providers(change.removed_providers)
        self.changed_at[PLATFORM_ID] = self.revision
        self.history.add_platform(write.before, self._platform, write.edit)
        return self._platform

    def users_of(self, uses: Iterable[str]) -> Mapping[str, Sequence[str]]:
        users = {
            use: sorted(one for one, snapshot in list(self._snapshots.items()) if use in uses_of(snapshot))
            for use in sorted(uses)
        }
        return {use: ids for use, ids in users.items() if ids}

    def discovered(self, provider_ids: Sequence[str]) -> Mapping[str, Discovered]:
        return {one: self._discovered[one] for one in provider_ids if one in self._discovered}

    def write_discovered(self, owner: str, provider_id: str, found: Discovered) -> None:
        old = self._discovered.get(provider_id)
        if owner not in (*self._snapshots, PLATFORM_ID):
            return
        self._discovered[provider_id] = found
        if old is None or old.names != found.names:
            self.revision += 1
            self.changed_at[owner] = self.revision
            self._announce(owner)

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        changes = list(self.changed_at.items())
        return self.revision, [one for one, number in changes if number > since]

    def number_change[T](self, claim: Claim[T] | None, after: T) -> int:
        """The number of a change that no proxy needs to know."""
        with self._lock:
            self._check_claim(claim)
            self._finish(claim, after)
            self.revision += 1
            return self.revision

    def _announce(self, record: str) -> None:
        for listener in tuple(self.listeners):
            listener(record)

    def _check_claim[T](self, claim: Claim[T] | None) -> None:
        if claim and self._claimed(claim.name) != claim.value:
            raise CallInProgress(CLAIM_LOST)

    def _finish[T](self, claim: Claim[T] | None, after: T | None) -> None:
        if claim and after is not None:
            self._claims[claim.name] = (claim.finish(after), self._clock.now() + KEPT_SECONDS)
            calls = self._calls.setdefault(claim.caller, [])
            calls.append(claim.name)
            for old in calls[:-MAX_KEPT]:
                self._claims.pop(old, None)
            del calls[:-MAX_KEPT]

    def _forget_providers(self, provider_ids: Iterable[str]) -> None:
        for one in provider_ids:
            self._discovered.pop(one, None)

    def claim(self, name: str, value: str) -> str | None:
        with self._lock:
            if found := self._claimed(name):
                return found
            self._claims[name] = (value, self._clock.now() + CLAIMED_SECONDS)
            return None

    def release(self, name: str, value: str) -> None:
        with self._lock:
            if self._claimed(name) == value:
                del self._claims[name]

    def finish[T](self, claim: Claim[T], after: T) -> None:
        with self._lock:
            if self._claimed(claim.name) == claim.value:
                self._finish(claim, after)

    def _claimed(self, name: str) -> str | None:
        value, until = self._claims.get(name, (None, 0.0))
        return value if self._clock.now() < until else None

    def find_key(self, key_hash: str) -> tuple[str, str] | None:
        stored = match_hash(key_hash, self._hashes)
        return None if stored is None else self._hashes[stored]

    def find_subdomain(self, subdomain: str) -> str | None:
        """The id of the tenant that has the subdomain."""
        return self._subdomains.get(subdomain)

    def check_subdomain(self, tenant_id: str, subdomain: str) -> None:
        if self._subdomains.get(subdomain, tenant_id) != tenant_id:
            raise SubdomainTaken(taken(subdomain, None))
        former, until = self._freed.get(subdomain, (tenant_id, 0.0))
        if former != tenant_id and self._clock.now() < until:
            raise SubdomainTaken(taken(subdomain, until))

    def list(self, limit: int, cursor: str | None) -> Page:
        start = parse_cursor(cursor)
        later = [(number, tenant) for tenant, number in list(self._order.items()) if number > start]
        page = later[:limit]
        found = tuple(one for _, tenant in page if (one := self.read(tenant)))
        return Page(found, format_cursor(page[-1][0]) if len(later) > limit else None)

    def is_empty(self) -> bool:
        return self.revision == 0

    def count(self) -> int:
        return len(self._snapshots)

    def faults(self) -> Mapping[str, str]:
        return dict(self.noted_faults)

    def ping(self) -> None:
        """Memory always responds."""

    def touch(self, used: Mapping[tuple[str, str], float]) -> None:
        """Store the time of the last use of each (tenant id, key id)."""
        with self._lock:
            for (tenant_id, key_id), when in used.items():
                if tenant_id in self._snapshots:
                    self._used[tenant_id, key_id] = max(when, self._used.get((tenant_id, key_id), when))

    def _check(self, change: Change, platform: int | None) -> None:
        stored = self._snapshots.get(change.tenant_id)
        if (stored and stored.revision) != (change.before and change.before.revision):
            raise Conflict(CHANGED)
        if change.used and platform not in (None, self._platform.revision):
            raise Conflict(CHANGED)
        if change.claimed_subdomain:
            self.check_subdomain(change.tenant_id, change.claimed_subdomain)

    def _remove_old(self, change: Change) -> None:
        self._forget_providers(change.removed_providers)
        for key in change.dropped_keys:
            self._hashes.pop(key.hash, None)
            self._used.pop((change.tenant_id, key.id), None)
        if change.freed_subdomain is not None:
            del self._subdomains[change.freed_subdomain]
            until = self._clock.now() + self._quarantine
            self._freed[change.freed_subdomain] = (change.tenant_id, until)
        if change.after is None:
            del self._snapshots[change.tenant_id], self._order[change.tenant_id]

    def _put_new(self, change: Change) -> None:
        if change.after is None:
            return
        tenant = change.after.tenant
        self._snapshots[tenant.id] = replace(change.after, revision=self.revision)
        self._order.setdefault(tenant.id, self.revision)
        self._subdomains[tenant.subdomain] = tenant.id
        self._freed.pop(tenant.subdomain, None)
        self._hashes.update({key.hash: (tenant.id, key.id) for key in change.after.keys})


class MemoryTokens:
    """The `port.Tokens` of a `MemoryStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._stored = PlatformTokens()
        self._used: dict[str, float] = {}

    def all(self) -> PlatformTokens:
        tokens = (replace(one, last_used_at=self._used.get(one.id)) for one in self._stored.tokens)
        return replace(self._stored, tokens=tuple(tokens))

    def find(self, token_hash: str) -> PlatformToken | None:
        return next((one for one in self.all().tokens if one.hash in all_hashes(token_hash)), None)

    def touch(self, token: PlatformToken, at: float) -> None:
        self._used[token.id] = at

    def add_event(self, edit: Edit) -> None:
        self._store.history.add_event(edit, self._store.number_change(None, None))

    def write(
        self,
        before: PlatformTokens,
        after: PlatformTokens,
        *,
        edit: Edit,
        claim: Claim[PlatformTokens] | None = None,
    ) -> PlatformTokens:
        if self._stored.revision != before.revision:
            raise Conflict(TOKENS_CHANGED)
        self._stored = replace(after, revision=self._store.number_change(claim, after))
        self._store.history.add_tokens(before.revision, edit, self._stored.revision)
        return self._stored


class MemorySource:
    """A `ConfigSource` over a `MemoryStore`, which any thread may write."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        return self._store.find_subdomain(subdomain)

    async def tenant_of_key(self, key_hash: str) -> str | None:
        found = self._store.find_key(key_hash)
        return found and found[0]

    async def read(self, tenant_id: str) -> Snapshot | None:
        found = self._store.read(tenant_id)
        return found and replace(
            found, discovered=self._store.discovered(discovering(found.tenant.providers))
        )

    async def read_platform(self) -> PlatformDocument:
        found = self._store.read_platform()
        return replace(found, discovered=self._store.discovered(discovering(found.providers)))

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        return self._store.changes(since)

    async def tell(self, number: int) -> None:
        """Do nothing: there are no other workers."""

    async def watch(self, changed: OnChange, reconnected: OnReconnect, told: OnTold = ignore) -> None:
        loop = asyncio.get_running_loop()

        def announce(tenant_id: str) -> None:
            loop.call_soon_threadsafe(changed, tenant_id)

        self._store.listeners.append(announce)
        reconnected()
        try:
            await asyncio.Event().wait()
        finally:
            self._store.listeners.remove(announce)

    async def note_faults(self, faults: Mapping[str, str], now: float) -> None:
        noted = {**self._store.noted_faults, **faults}
        self._store.noted_faults = {tenant_id: why for tenant_id, why in noted.items() if why}

    async def touch(self, used: Mapping[tuple[str, str], float]) -> None:
        self._store.touch(used)

    async def close(self) -> None:
        """Memory needs no closing."""
