"""Compiled tenants in memory, found by subdomain and by key. No waiting, no store."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.model.config import ApiKey, Snapshot


class Compiled(Protocol):
    """What is held of a tenant. `keys` are its API keys by hash."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def keys(self) -> Mapping[str, ApiKey]: ...


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
        """The tenant that has the subdomain; without one, the key. Counts as an access at `now`."""
        if subdomain is not None:
            tenant_id = self._by_subdomain.get(subdomain)
        else:
            tenant_id = self._by_key.get(key_hash or "")
        if tenant_id is None:
            return None
        entry = self._entries[tenant_id]
        entry.last_access = now
        self._entries.move_to_end(tenant_id)
        return entry.gateway

    def put(self, gateway: G, now: float) -> None:
        """Hold a tenant, in place of what was held of it. A replacement is no access."""
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
        """Forget a tenant, if it is held."""
        entry = self._entries.pop(tenant_id, None)
        if entry is not None:
            self._remove_names(tenant_id, entry.gateway)

    def drop_idle(self, before: float, most: int) -> int:
        """Drop tenants whose last access was not after `before`, at most `most`. Returns how many."""
        for dropped in range(most):
            oldest = next(iter(self._entries), None)
            if oldest is None or self._entries[oldest].last_access > before:
                return dropped
            self.drop(oldest)
        return most

    def _remove_names(self, tenant_id: str, gateway: G) -> None:
        """What another tenant has taken over meanwhile stays the other's."""
        subdomain = gateway.snapshot.tenant.subdomain
        if self._by_subdomain.get(subdomain) == tenant_id:
            del self._by_subdomain[subdomain]
        for key_hash in gateway.keys:
            if self._by_key.get(key_hash) == tenant_id:
                del self._by_key[key_hash]
