"""A tenant as Redis keeps it, the keys and arguments of the Lua scripts, and their replies.

The document holds rules, chains and settings, and has versions. API keys, status and subdomain are
records beside it, so that an old version of the document never brings back a key. `parts` says how a document
is stored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import batched
from typing import Any, NamedTuple, Self

from shared.config_store import layout
from shared.config_store.history.audit import AuditEntry, AuditKey
from shared.config_store.history.edit import KEPT, Edit, Kept
from shared.config_store.history.versions import note_of
from shared.config_store.idempotency import KEPT_SECONDS, MAX_KEPT, Claim
from shared.config_store.identity import StoreState
from shared.config_store.records.codec import decode, encode
from shared.config_store.records.contents import Content, Document
from shared.config_store.records.parts import Held, Split
from shared.model.config import ApiKey, Snapshot, Tenant
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


def with_document(snapshot: Snapshot, document: Snapshot) -> Snapshot:
    """`snapshot` with the document of another snapshot of the tenant. Keys, status and subdomain stay."""
    own = snapshot.tenant
    tenant = replace(document.tenant, status=own.status, subdomain=own.subdomain)
    return replace(snapshot, tenant=tenant, rules=document.rules)


@dataclass(frozen=True, slots=True)
class Version:
    """A whole document, as layout 2 has it, with its author and its time."""

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
    def action(self) -> str:
        """``create``, ``update`` or ``delete``."""
        if self.before is None:
            return "create"
        return "update" if self.after else "delete"

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
    def has_new_document(self) -> bool:
        """Whether the document changes."""
        old, new = self.before, self.after
        return new is not None and (old is None or old.tenant.version != new.tenant.version)

    @property
    def has_new_keys(self) -> bool:
        """Whether the API keys change."""
        return self.after is not None and (self.before is None or self.before.keys != self.after.keys)

    @property
    def used(self) -> Sequence[str]:
        """The providers and models of the platform that the new document names."""
        return sorted(uses_of(self.after)) if self.after else ()

    @property
    def no_longer_used(self) -> Sequence[str]:
        """The providers and models of the platform that only the old document names."""
        return sorted(uses_of(self.before).difference(self.used)) if self.before else ()


def _with_version(before: Snapshot | None, after: Snapshot) -> Snapshot:
    """`after` with its version: one more than before when the document changed."""
    version = 1
    if before is not None:
        version = before.tenant.version + (Document.of(before) != Document.of(after))
    return replace(after, tenant=replace(after.tenant, version=version))


@dataclass(frozen=True, slots=True)
class ContentChange[C: Content]:
    """The change that a write makes to a content.

    `before` is the version that must be there, None when the owner is new; `split` is the new one, None when
    it does not change.
    """

    before: Held[C] | None = None
    split: Split[C] | None = None

    @property
    def replaces(self) -> str:
        """The name of the root that must be there; empty for none."""
        return self.before.name if self.before else ""


class ScriptCall(NamedTuple):
    """Keys and arguments of a script."""

    keys: Sequence[str]
    arguments: Sequence[str]


def read_call(tenant_id: str, held: str = "") -> ScriptCall:
    """The call of ``read.lua``. `held` is the name of a root that need not be sent again."""
    tenant = (layout.tenant_key(tenant_id), layout.keys_key(tenant_id), layout.used_key(tenant_id))
    arguments = (layout.root_prefix(tenant_id), held)
    return ScriptCall((layout.IDENTITY, layout.REVISION, *tenant), arguments)


def touch_call(tenant_id: str, key_id: str, when: float) -> ScriptCall:
    """The call of ``touch.lua``."""
    return ScriptCall((layout.tenant_key(tenant_id), layout.used_key(tenant_id)), (key_id, repr(when)))


def write_call(
    change: Change,
    content: ContentChange[Document],
    edit: Edit,
    audit_key: AuditKey,
    *,
    quarantine: float,
    kept: Kept = KEPT,
    known: StoreState | None = None,
    claim: Claim[Snapshot] | None = None,
    platform: int | None = None,
) -> ScriptCall:
    """The call of ``write.lua``. `quarantine` is in seconds; `known` is the store that must have the data.

    `kept` bounds the versions. `platform` is the revision of the platform's document by which the change was
    checked.
    """
    after, used, unused = change.after, change.used, change.no_longer_used
    before = str(change.before.revision) if change.before else ""
    entry = AuditEntry.of(
        edit,
        owner=change.tenant_id,
        action=change.action,
        version=after.tenant.version if after else None,
        before=before,
    )
    members = {
        **call_members(known, claim, after),
        **content_members(change.tenant_id, content, edit, kept),
        "audit": audit_key.sign(entry),
        "format": layout.FORMAT if content.split else layout.OLDEST_FORMAT,
        "before": before,
        "freed": change.freed_subdomain,
        "claimed": change.claimed_subdomain,
        "quarantine_ms": int(quarantine * 1000),
        "dropped": [{"id": key.id, "hash": key.hash} for key in change.dropped_keys],
        "platform": platform if used else None,
        "used": len(used),
        "unused": len(unused),
        "record": None if after is None else record_of(after.tenant, content.split),
        "current": _current(content.before) if after is None else None,
        "keys": [key_record(key) for key in after.keys] if after and change.has_new_keys else None,
    }
    keys = [
        *common_keys(change.tenant_id, claim),
        *_write_keys(change),
        *map(layout.uses_key, (*used, *unused)),
        *map(layout.discovered_key, change.removed_providers),
    ]
    return script_call(keys, members, content.split)


def script_call(keys: Sequence[str], members: Mapping[str, Any], split: Split[Any] | None) -> ScriptCall:
    """A call of ``write.lua`` with the texts of a new version. In Lua, null would count as true."""
    present = {name: value for name, value in members.items() if value is not None}
    texts = (split.text, *split.new.values()) if split else ()
    return ScriptCall(keys, (json.dumps(present), *texts))


def call_members[T](known: StoreState | None, claim: Claim[T] | None, after: T | None) -> dict[str, Any]:
    """The arguments that each call of ``write.lua`` has."""
    members: dict[str, Any] = {"channel": layout.CHANNEL}
    if known:
        members["known"] = {"id": known.id, "generation": known.generation, "revision": known.revision}
    if claim and after is not None:
        members["claim"] = claim_member(claim, after)
    return members


def claim_member[T](claim: Claim[T], after: T) -> dict[str, Any]:
    """The response of a call with an Idempotency-Key, and for how long it is kept."""
    return {
        "value": claim.value,
        "result": claim.finish(after),
        "kept_ms": KEPT_SECONDS * 1000,
        "calls": layout.calls_key(claim.caller),
        "most": MAX_KEPT,
    }


def content_members(owner: str, content: ContentChange[Any], edit: Edit, kept: Kept) -> dict[str, Any]:
    """The arguments of ``write.lua`` about the content of an owner. `kept` bounds its versions."""
    members: dict[str, Any] = {
        "id": owner,
        "roots": layout.root_prefix(owner),
        "parts": layout.part_prefix(owner),
        "replaces": content.replaces,
    }
    before, split = content.before, content.split
    if split is None:
        return members
    held = split.held
    new = members["content"] = {
        "version": held.version,
        "note": note_of(held.version, held.name, held.root, edit).stored(),
        "names": list(split.new),
        "dropped": held.root.dropped,
        "most": kept.versions,
        "most_bytes": kept.bytes,
    }
    if before is not None and before.name:
        new["before"] = before.version
        new["before_note"] = note_of(before.version, before.name, before.root).stored()
    elif before is not None:
        new["whole"] = layout.whole_key(owner, before.version)
    return members


def _current(before: Held[Document] | None) -> dict[str, Any]:
    """The version that is deleted, and the names of its parts."""
    names = [name for _, _, name in before.root.places()] if before else []
    return {"version": before.version if before else 0, "names": names}


def common_keys(owner: str, claim: Claim[Any] | None) -> Sequence[str]:
    """The keys that each call of ``write.lua`` has first."""
    return (
        *(layout.IDENTITY, layout.REVISION, layout.LAYOUT, layout.CHANGES, layout.DELETED, layout.PLATFORM),
        layout.idempotency_key(claim.name if claim else ""),
        layout.AUDIT,
        *layout.version_keys(owner),
    )


def parse_state(reply: Any) -> StoreState | None:
    """The state of the store in the reply of ``read.lua``."""
    identity, revision = reply[0]
    return StoreState.parse(dict(batched(identity, 2)), revision)


def root_size(reply: Any) -> int:
    """The bytes of the root in a reply of ``read.lua``; 0 where it has none."""
    return len(reply[1][1]) if len(reply) > 1 else 0


class StoredTenant(NamedTuple):
    """The reply of ``read.lua`` about a tenant that is there: its record by names, and what stands beside."""

    record: Mapping[str, str]
    document: bytes | None
    keys: Sequence[bytes]
    used: Sequence[bytes]

    @classmethod
    def parse(cls, reply: Any) -> Self | None:
        """The tenant in a reply; None when there is none. Raises ValueError."""
        if len(reply) == 1:
            return None
        record, *others = reply[1]
        return cls({name.decode(): value.decode() for name, value in batched(record, 2)}, *others)

    def snapshot(self, tenant_id: str, document: Document) -> Snapshot:
        """The tenant with its document. Raises ValueError and KeyError."""
        members = self.record
        uses = {key_id.decode(): float(when) for key_id, when in batched(self.used, 2)}
        tenant = Tenant(
            id=tenant_id,
            name=document.name,
            subdomain=members["subdomain"],
            tier=document.tier,
            status=members["status"],
            enabled_plugins=document.enabled_plugins,
            required_plugins=document.required_plugins,
            plugin_chain=document.plugin_chain,
            created_at=float(members["created_at"]),
            updated_at=float(members["updated_at"]),
            version=int(members["version"]),
            cors=document.cors,
            providers=document.providers,
            models=document.models,
            tags=document.tags,
            budgets=document.budgets,
            webhooks=document.webhooks,
        )
        stored = (decode(ApiKey, key) for key in self.keys)
        with_uses = tuple(replace(key, last_used_at=uses.get(key.id)) for key in stored)
        return Snapshot(tenant, document.rules, with_uses, int(members["revision"]))


def record_of(tenant: Tenant, parts: Split[Document] | None) -> dict[str, str]:
    """The record after the write. Without new parts the stored root stays."""
    return {
        "version": str(tenant.version),
        "subdomain": tenant.subdomain,
        "status": tenant.status,
        "created_at": repr(tenant.created_at),
        "updated_at": repr(tenant.updated_at),
        **({"root": parts.held.name} if parts else {}),
    }


def key_record(key: ApiKey) -> dict[str, str]:
    """An API key as the scripts store it."""
    return {"id": key.id, "hash": key.hash, "record": encode(replace(key, last_used_at=None))}


def _write_keys(change: Change) -> list[str]:
    """The keys that each write of a tenant has, after the common ones."""
    tenant_id = change.tenant_id
    return [
        *(layout.SUBDOMAINS, layout.HASHES, layout.ORDER),
        layout.tenant_key(tenant_id),
        layout.keys_key(tenant_id),
        layout.used_key(tenant_id),
        layout.quarantine_key(change.freed_subdomain or ""),
        layout.quarantine_key(change.claimed_subdomain or ""),
    ]
