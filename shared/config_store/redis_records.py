"""A tenant as it goes into Redis and comes out: what the Lua scripts are given, and what they answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any

from shared.config_store import layout
from shared.config_store.codec import decode, encode
from shared.config_store.records import Change, Document, Version
from shared.core.errors import BadRecord
from shared.model.config import ApiKey, Snapshot, Tenant


@dataclass(frozen=True, slots=True)
class Call:
    """Keys and arguments of a script."""

    keys: Sequence[str]
    arguments: Sequence[str]


def read_call(tenant_id: str) -> Call:
    """For ``read.lua``."""
    keys = (layout.tenant_key(tenant_id), layout.keys_key(tenant_id), layout.used_key(tenant_id))
    return Call(keys, (layout.DOCUMENT.format(tenant_id),))


def touch_call(tenant_id: str, key_id: str, when: float) -> Call:
    """For ``touch.lua``."""
    return Call((layout.tenant_key(tenant_id), layout.used_key(tenant_id)), (key_id, repr(when)))


def write_call(change: Change, actor: str, quarantine: float) -> Call:
    """For ``write.lua``. `quarantine` is in seconds."""
    body = {
        "tenant": change.tenant_id,
        "before": str(change.before.revision) if change.before else "",
        "freed": change.freed_subdomain,
        "claimed": change.claimed_subdomain,
        "quarantine_ms": int(quarantine * 1000),
        "dropped": [{"id": key.id, "hash": key.hash} for key in change.dropped_keys],
        "channel": layout.CHANNEL,
        **_after(change, actor),
    }
    # A null would be a value in Lua, and a true one.
    present = {name: value for name, value in body.items() if value is not None}
    return Call(_write_keys(change), (json.dumps(present),))


def parse_snapshot(tenant_id: str, reply: Any) -> Snapshot | None:
    """What ``read.lua`` answered. Raises `BadRecord` when it is not what was written."""
    if reply is None:
        return None
    try:
        return _parse(tenant_id, *reply)
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
    )
    records = (decode(ApiKey, key) for key in keys)
    merged = tuple(replace(key, last_used_at=uses.get(key.id)) for key in records)
    return Snapshot(tenant, settings.rules, merged, int(members["revision"]))


def _after(change: Change, actor: str) -> dict[str, Any]:
    """The tenant's new state. Without a document the stored one stays."""
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
    ids = change.tenant_id
    old = change.before.tenant.version if change.before else 0
    new = change.after.tenant.version if change.after else 0
    return [
        layout.tenant_key(ids),
        layout.keys_key(ids),
        layout.used_key(ids),
        layout.document_key(ids, old),
        layout.document_key(ids, new),
        layout.quarantine_key(change.freed_subdomain or ""),
        layout.quarantine_key(change.claimed_subdomain or ""),
        *(layout.SUBDOMAINS, layout.HASHES, layout.ORDER),
        *(layout.CHANGES, layout.DELETED, layout.REVISION),
    ]
