"""Compiled tenants by subdomain and by key, and the names that no tenant has. In memory only."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shared.config_store.port import ConfigSource
from shared.core.clock import Clock
from shared.model.config import ApiKey, Snapshot
from shared.secrets.api_keys import match_hash

# Clients choose the names that are looked up. About 200 bytes each.
_MAX_ABSENT = 10_000
#: Seconds that a new name can stay unknown to a worker that missed the message about it.
ABSENT_SECONDS = 2.0


class Compiled(Protocol):
    """`shared.routing.compile.Gateway`, which this folder lies below. `keys` are its API keys by hash."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def keys(self) -> Mapping[str, ApiKey]: ...

    @property
    def faults(self) -> Sequence[str]:
        """Why parts of the tenant cannot be used."""
        ...


class Current(NamedTuple):
    """A check after which the tenants in memory lacked no change up to `revision`. `at` is monotonic."""

    revision: int
    at: float


@dataclass(slots=True)
class _Entry[G]:
    gateway: G
    last_access: float


class GatewayLru[G: Compiled]:
    """At most `max_entries` tenants, the least recently used first. Times are in seconds."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[str, _Entry[G]] = OrderedDict()
        self._by_subdomain: dict[str, str] = {}
        self._by_key: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, tenant_id: str) -> bool:
        return tenant_id in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def find(self, subdomain: str | None, key_hash: str | None, now: float) -> G | None:
        """The tenant with the subdomain; without a subdomain, with the key. Counts as an access at `now`."""
        if subdomain is not None:
            tenant_id = self._by_subdomain.get(subdomain)
        else:
            tenant_id = self._by_key.get(key_hash or "")
            if tenant_id is None and key_hash and (stored := match_hash(key_hash, self._by_key)):
                tenant_id = self._by_key[stored]
        if tenant_id is None:
            return None
        entry = self._entries[tenant_id]
        entry.last_access = now
        self._entries.move_to_end(tenant_id)
        return entry.gateway

    def get(self, tenant_id: str) -> G | None:
        """The tenant, if it is here. Does not count as an access."""
        entry = self._entries.get(tenant_id)
        return None if entry is None else entry.gateway

    def put(self, gateway: G, now: float) -> None:
        """Add a tenant, or replace it. A replacement does not count as an access."""
        tenant = gateway.snapshot.tenant
        old = self._entries.get(tenant.id)
        if old is None:
            self._entries[tenant.id] = _Entry(gateway, now)
        else:
            self._remove_names(tenant.id, old.gateway)
            old.gateway = gateway
        self._by_subdomain[tenant.subdomain] = tenant.id
        self._by_key.update(dict.fromkeys(gateway.keys, tenant.id))
        if len(self._entries) > self._max_entries:
            self.drop(next(iter(self._entries)))

    def drop(self, tenant_id: str) -> None:
        """Remove a tenant, if it is here."""
        entry = self._entries.pop(tenant_id, None)
        if entry is not None:
            self._remove_names(tenant_id, entry.gateway)

    def drop_idle(self, before: float, most: int) -> int:
        """Drop at most `most` tenants that were not accessed after `before`. Returns how many."""
        for dropped in range(most):
            oldest = next(iter(self._entries), None)
            if oldest is None or self._entries[oldest].last_access > before:
                return dropped
            self.drop(oldest)
        return most

    def _remove_names(self, tenant_id: str, gateway: G) -> None:
        """Names that another tenant took over meanwhile stay with it."""
        subdomain = gateway.snapshot.tenant.subdomain
        if self._by_subdomain.get(subdomain) == tenant_id:
            del self._by_subdomain[subdomain]
        for key_hash in gateway.keys:
            if self._by_key.get(key_hash) == tenant_id:
                del self._by_key[key_hash]


class NegativeCache:
    """Names that no tenant has, each for `ABSENT_SECONDS`. When full, the oldest is dropped."""

    def __init__(self, max_entries: int = _MAX_ABSENT) -> None:
        self._until: dict[tuple[str, str], float] = {}
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._until)

    def add(self, name: tuple[str, str], now: float) -> None:
        self._until.pop(name, None)
        if len(self._until) >= self._max_entries:
            del self._until[next(iter(self._until))]
        self._until[name] = now + ABSENT_SECONDS

    def holds(self, name: tuple[str, str], now: float) -> bool:
        return self._until.get(name, now) > now


class Owners:
    """The tenants of subdomains and keys, as the store says, and the names that no tenant has."""

    def __init__(self, source: ConfigSource, clock: Clock) -> None:
        self._look_ups = {"key": source.tenant_of_key, "subdomain": source.tenant_of_subdomain}
        self._clock = clock
        self._missing = NegativeCache()

    def forget(self) -> None:
        """Forget which names no tenant has: one may have it now."""
        self._missing = NegativeCache()

    def has_none(self, name: tuple[str, str]) -> bool:
        """Whether no tenant has a name, which is a kind and a text."""
        return self._missing.holds(name, self._clock.monotonic())

    async def look_up(self, name: tuple[str, str]) -> str | None:
        """The id of the tenant that has a name. Raises `StoreDown`."""
        # A change meanwhile starts a new cache: then the reply may be outdated and is not kept.
        missing = self._missing
        kind, text = name
        tenant_id = await self._look_ups[kind](text)
        if tenant_id is None:
            missing.add(name, self._clock.monotonic())
        return tenant_id
