"""A tenant as Redis keeps it, the keys and arguments of the Lua scripts, and their replies.

The document holds rules, chains and settings, and has versions. API keys, status and subdomain are
records beside it, so that an old version of the document never brings back a key.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import batched
from typing import Any, NamedTuple, Self

from shared.config_store import layout
from shared.config_store.idempotency import KEPT_SECONDS, Claim
from shared.config_store.identity import StoreState
from shared.config_store.records.codec import decode, encode, needs_layout_2
from shared.core.errors import BadRecord
from shared.model.config import ApiKey, Cors, PluginConfig, Rule, Snapshot, Tenant
from shared.model.providers import Model, Provider
from shared.model.uses import uses_of

#: The message of `errors.Conflict`.
CHANGED = "The tenant was modified concurrently. Fetch it again and repeat the change."


def taken(subdomain: str, until: float | None) -> str:
    """The message of `errors.SubdomainTaken`. `until` is the end of its quarantine."""
    if until is None:
        return f"The subdomain {subdomain} is in use. Choose another one."
    end = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"The subdomain {subdomain} was another tenant's and is in quarantine until {end} "
        "(admin.subdomain_quarantine). Choose another one."
    )


@dataclass(frozen=True, slots=True)
class Document:
    """The part of a tenant that has versions. The fields are those of `Tenant` and `Snapshot`."""

    name: str
    tier: str
    enabled_plugins: tuple[str, ...] | None
    required_plugins: Mapping[str, PluginConfig]
    plugin_chain: tuple[PluginConfig, ...]
    rules: tuple[Rule, ...]
    cors: Cors | None = None
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        tenant = snapshot.tenant
        return cls(
            name=tenant.name,
            tier=tenant.tier,
            enabled_plugins=tenant.enabled_plugins,
            required_plugins=tenant.required_plugins,
            plugin_chain=tenant.plugin_chain,
            rules=snapshot.rules,
            cors=tenant.cors,
            providers=tenant.providers,
            models=tenant.models,
        )


def with_document(snapshot: Snapshot, document: Snapshot) -> Snapshot:
    """`snapshot` with the document of another snapshot of the tenant. Keys, status and subdomain stay."""
    own = snapshot.tenant
    tenant = replace(document.tenant, status=own.status, subdomain=own.subdomain)
    return replace(snapshot, tenant=tenant, rules=document.rules)


@dataclass(frozen=True, slots=True)
class Version:
    """A stored document, with its author and its time (the tenant's `updated_at`)."""

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
        """Raises ValueError when both are None, or are of different tenants."""
        ids = {snapshot.tenant.id for snapshot in (before, after) if snapshot is not None}
        if len(ids) != 1:
            raise ValueError("A write needs the snapshots of one tenant.")
        return cls(ids.pop(), before, after and _with_version(before, after))

    @property
    def freed_subdomain(self) -> str | None:
        """The subdomain that the tenant gives up."""
        old = self.before.tenant.subdomain if self.before else None
        return old if old != self.claimed_subdomain else None

    @property
    def claimed_subdomain(self) -> str | None:
        """The subdomain that the tenant has after the write."""
        return self.after.tenant.subdomain if self.after else None

    @property
    def dropped_keys(self) -> tuple[ApiKey, ...]:
        """The keys that the write removes."""
        kept = {key.hash for key in self.after.keys} if self.after else set()
        return tuple(key for key in self.before.keys if key.hash not in kept) if self.before else ()

    @property
    def removed_providers(self) -> Sequence[str]:
        """The ids of the tenant's own providers that the write removes."""
        kept = {provider.id for provider in self.after.tenant.providers} if self.after else set()
        old = self.before.tenant.providers if self.before else ()
        return [provider.id for provider in old if provider.id not in kept]

    @property
    def format(self) -> int:
        """The layout that a reader of the tenant must know."""
        is_new = self.after is not None and needs_layout_2((Document.of(self.after), self.after.keys))
        return layout.FORMAT if is_new else layout.OLDEST_FORMAT

    @property
    def used(self) -> Sequence[str]:
        """What the new document names of the platform's."""
        return sorted(uses_of(self.after)) if self.after else ()

    @property
    def no_longer_used(self) -> Sequence[str]:
        """What only the old document names of the platform's."""
        return sorted(uses_of(self.before).difference(self.used)) if self.before else ()


def _with_version(before: Snapshot | None, after: Snapshot) -> Snapshot:
    """`after` with its version: one more than before when the document changed."""
    version = 1
    if before is not None:
        version = before.tenant.version + (Document.of(before) != Document.of(after))
    return replace(after, tenant=replace(after.tenant, version=version))


class ScriptCall(NamedTuple):
    """Keys and arguments of a script."""

    keys: Sequence[str]
    arguments: Sequence[str]


def read_call(tenant_id: str) -> ScriptCall:
    """The call of ``read.lua``."""
    tenant = (layout.tenant_key(tenant_id), layout.keys_key(tenant_id), layout.used_key(tenant_id))
    return ScriptCall((layout.IDENTITY, layout.REVISION, *tenant), (layout.DOCUMENT.format(tenant_id),))


def touch_call(tenant_id: str, key_id: str, when: float) -> ScriptCall:
    """The call of ``touch.lua``."""
    return ScriptCall((layout.tenant_key(tenant_id), layout.used_key(tenant_id)), (key_id, repr(when)))


def write_call(
    change: Change,
    *,
    actor: str,
    quarantine: float,
    known: StoreState | None = None,
    claim: Claim[Snapshot] | None = None,
    platform: int | None = None,
) -> ScriptCall:
    """The call of ``write.lua``. `quarantine` is in seconds; `known` is the store that must have the data.

    `platform` is the revision of the platform's document by which the change was checked.
    """
    members = {
        **call_members(known, claim, change.after),
        "format": change.format,
        "id": change.tenant_id,
        "before": str(change.before.revision) if change.before else "",
        "freed": change.freed_subdomain,
        "claimed": change.claimed_subdomain,
        "quarantine_ms": int(quarantine * 1000),
        "dropped": [{"id": key.id, "hash": key.hash} for key in change.dropped_keys],
        "platform": platform if change.used else None,
        "used": len(change.used),
        "unused": len(change.no_longer_used),
        **_new_state(change, actor),
    }
    # In Lua a null of JSON is a value that counts as true, so it is left out.
    present = {name: value for name, value in members.items() if value is not None}
    keys = [*common_keys(claim), *_write_keys(change)]
    return ScriptCall(keys, (json.dumps(present),))


def call_members[T](known: StoreState | None, claim: Claim[T] | None, after: T | None) -> dict[str, Any]:
    """What each call of ``write.lua`` has."""
    members: dict[str, Any] = {"channel": layout.CHANNEL}
    if known:
        members["known"] = {"id": known.id, "generation": known.generation, "revision": known.revision}
    if claim and after is not None:
        result = claim.finish(after)
        members["claim"] = {"value": claim.value, "result": result, "kept_ms": KEPT_SECONDS * 1000}
    return members


def common_keys(claim: Claim[Any] | None) -> Sequence[str]:
    """The keys that each call of ``write.lua`` has first."""
    return (
        *(layout.IDENTITY, layout.REVISION, layout.LAYOUT, layout.CHANGES, layout.DELETED, layout.PLATFORM),
        layout.idempotency_key(claim.name if claim else ""),
    )


def parse_state(reply: Any) -> StoreState | None:
    """What the store says about itself in the reply of ``read.lua``."""
    identity, revision = reply[0]
    return StoreState.parse(dict(batched(identity, 2)), revision)


def parse_snapshot(tenant_id: str, reply: Any) -> Snapshot | None:
    """The tenant in the reply of ``read.lua``, None when there is none. Raises `BadRecord`."""
    if len(reply) == 1:
        return None
    try:
        return _parse(tenant_id, *reply[1])
    except (ValueError, KeyError, TypeError) as error:
        raise BadRecord(f"The stored tenant {tenant_id} cannot be read: {error}") from error


def _parse(
    tenant_id: str,
    record: Sequence[bytes],
    document: bytes | None,
    keys: Sequence[bytes],
    used: Sequence[bytes],
) -> Snapshot:
    if document is None:
        raise ValueError("its document is missing.")
    members = {name.decode(): value.decode() for name, value in batched(record, 2)}
    uses = {key_id.decode(): float(when) for key_id, when in batched(used, 2)}
    settings = decode(Version, document).document
    tenant = Tenant(
        id=tenant_id,
        name=settings.name,
        subdomain=members["subdomain"],
        tier=settings.tier,
        status=members["status"],
        enabled_plugins=settings.enabled_plugins,
        required_plugins=settings.required_plugins,
        plugin_chain=settings.plugin_chain,
        created_at=float(members["created_at"]),
        updated_at=float(members["updated_at"]),
        version=int(members["version"]),
        cors=settings.cors,
        providers=settings.providers,
        models=settings.models,
    )
    stored = (decode(ApiKey, key) for key in keys)
    with_uses = tuple(replace(key, last_used_at=uses.get(key.id)) for key in stored)
    return Snapshot(tenant, settings.rules, with_uses, int(members["revision"]))


def _new_state(change: Change, actor: str) -> dict[str, Any]:
    """The tenant after the write. Without a document the stored one stays."""
    if change.after is None:
        return {}
    tenant = change.after.tenant
    is_new = change.before is None or change.before.tenant.version != tenant.version
    version = Version(Document.of(change.after), actor, tenant.updated_at)
    return {
        "record": {
            "version": str(tenant.version),
            "subdomain": tenant.subdomain,
            "status": tenant.status,
            "created_at": repr(tenant.created_at),
            "updated_at": repr(tenant.updated_at),
        },
        "document": encode(version) if is_new else None,
        "keys": [
            {"id": key.id, "hash": key.hash, "record": encode(replace(key, last_used_at=None))}
            for key in change.after.keys
        ],
    }


def _write_keys(change: Change) -> list[str]:
    tenant_id = change.tenant_id
    old = change.before.tenant.version if change.before else 0
    new = change.after.tenant.version if change.after else 0
    return [
        *(layout.SUBDOMAINS, layout.HASHES, layout.ORDER),
        layout.tenant_key(tenant_id),
        layout.keys_key(tenant_id),
        layout.used_key(tenant_id),
        layout.document_key(tenant_id, old),
        layout.document_key(tenant_id, new),
        layout.quarantine_key(change.freed_subdomain or ""),
        layout.quarantine_key(change.claimed_subdomain or ""),
        *map(layout.uses_key, (*change.used, *change.no_longer_used)),
        *map(layout.discovered_key, change.removed_providers),
    ]
