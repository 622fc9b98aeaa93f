"""What a store keeps of a tenant, and what follows from replacing one snapshot by another.

The document has versions and holds rules, chains and settings. API keys, status and subdomain are
records beside it, so that no return to an old version brings back a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from shared.model.config import ApiKey, PluginConfig, Rule, Snapshot

#: What `errors.Conflict` says.
CHANGED = "The tenant was changed by somebody else meanwhile. Read it again, then repeat the change."


def taken(subdomain: str) -> str:
    """What `errors.SubdomainTaken` says."""
    return f"The subdomain {subdomain} is in use, or was until a short time ago. Choose another one."


@dataclass(frozen=True, slots=True)
class Document:
    """The part of a tenant that has versions."""

    name: str
    tier: str
    enabled_plugins: tuple[str, ...] | None
    required_plugins: Mapping[str, PluginConfig]
    plugin_chain: tuple[PluginConfig, ...]
    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        tenant = snapshot.tenant
        return cls(
            tenant.name,
            tenant.tier,
            tenant.enabled_plugins,
            tenant.required_plugins,
            tenant.plugin_chain,
            snapshot.rules,
        )


@dataclass(frozen=True, slots=True)
class Version:
    """A document as it is stored: with who wrote it, and when (the tenant's `updated_at`)."""

    document: Document
    actor: str
    written_at: float


@dataclass(frozen=True, slots=True)
class Change:
    """One write, from `before` to `after`; one of them may be None. `after` has its new version."""

    tenant_id: str
    before: Snapshot | None
    after: Snapshot | None

    @classmethod
    def between(cls, before: Snapshot | None, after: Snapshot | None) -> Self:
        """Raises ValueError when there is nothing to write, or the two are not of one tenant."""
        ids = {snapshot.tenant.id for snapshot in (before, after) if snapshot is not None}
        if len(ids) != 1:
            raise ValueError("A write needs the snapshots of one tenant.")
        return cls(ids.pop(), before, after and _with_version(before, after))

    @property
    def freed_subdomain(self) -> str | None:
        """The subdomain that the tenant gives up."""
        old, new = self._subdomains()
        return old if old != new else None

    @property
    def claimed_subdomain(self) -> str | None:
        """The subdomain that the tenant has after the write."""
        return self._subdomains()[1]

    @property
    def dropped_keys(self) -> tuple[ApiKey, ...]:
        """The keys that are gone after the write."""
        kept = {key.hash for key in self.after.keys} if self.after else set()
        return tuple(key for key in self.before.keys if key.hash not in kept) if self.before else ()

    def _subdomains(self) -> tuple[str | None, str | None]:
        return (
            self.before.tenant.subdomain if self.before else None,
            self.after.tenant.subdomain if self.after else None,
        )


def _with_version(before: Snapshot | None, after: Snapshot) -> Snapshot:
    """`after` with the version that it gets: one more when the document changed."""
    version = 1
    if before is not None:
        version = before.tenant.version + (Document.of(before) != Document.of(after))
    return replace(after, tenant=replace(after.tenant, version=version))
