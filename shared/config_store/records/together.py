"""Changes of several owners that are written in one step, and the call of the script that writes them.

Their roots and parts are staged first: roots under keys of the call, parts under their final keys, which are
made of their contents. So the script moves names only. Texts that it does not use are in a list of leftovers.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.config_store import layout
from shared.config_store.history.audit import MAX_ENTRIES, AuditEntry, AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.history.versions import note_of
from shared.config_store.idempotency import Claim
from shared.config_store.identity import StoreState
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.records.parts import Split
from shared.config_store.records.platform import PlatformChange
from shared.config_store.records.stored import StoredContents
from shared.config_store.records.tenants import (
    Change,
    ContentChange,
    ScriptCall,
    call_members,
    key_record,
    record_of,
)
from shared.model.config import Snapshot, Tenant
from shared.model.providers import PlatformDocument
from shared.model.uses import uses_of


@dataclass(frozen=True, slots=True)
class TenantWrite:
    """A tenant from `before`, None for a new one, to `after`, None for one that is deleted."""

    before: Snapshot | None
    after: Snapshot | None
    edit: Edit

    @property
    def tenant_id(self) -> str:
        """Raises ValueError when both states are None."""
        snapshot = self.after or self.before
        if snapshot is None:
            raise ValueError("A write needs the snapshots of one tenant.")
        return snapshot.tenant.id


@dataclass(frozen=True, slots=True)
class PlatformWrite:
    """The document of the platform from `before` to `after`."""

    before: PlatformDocument
    after: PlatformDocument
    edit: Edit


class Written(NamedTuple):
    """The states that were written: those of the tenants, None for one that was deleted, and the platform."""

    tenants: tuple[Snapshot | None, ...]
    platform: PlatformDocument | None


@dataclass(frozen=True, slots=True)
class Together:
    """Changes of several owners that are written in one step, or not at all.

    Attributes:
        tenants: one write for each of some tenants.
        platform: that of the platform; None: it stays.
        checked_by: the revision of the platform by which the tenants were checked.
    """

    tenants: Sequence[TenantWrite]
    platform: PlatformWrite | None
    checked_by: int

    @property
    def owners(self) -> Sequence[str]:
        """The ids of the tenants, and ``platform`` if it is written."""
        platform = [PLATFORM_ID] if self.platform else []
        return [*platform, *(one.tenant_id for one in self.tenants)]

    def written(self) -> Written:
        """The new states with their versions."""
        tenants = tuple(Change.between(one.before, one.after).after for one in self.tenants)
        if self.platform is None:
            return Written(tenants, None)
        return Written(tenants, PlatformChange.between(self.platform.before, self.platform.after).after)

    def new_tenants(self) -> Iterator[Tenant]:
        """The tenants that are created."""
        return (one.after.tenant for one in self.tenants if one.before is None and one.after)

    def losers(self, uses: Iterable[str]) -> Mapping[str, Sequence[str]]:
        """The ids of the tenants that use each of `uses` when they are written."""
        lost = frozenset(uses)
        found: dict[str, list[str]] = {}
        for write in self.tenants:
            for use in lost & uses_of(write.after) if write.after and lost else ():
                found.setdefault(use, []).append(write.tenant_id)
        return found

    def users_of(self, uses: Iterable[str]) -> Mapping[str, int]:
        """How many of the tenants that are written use each of `uses` now."""
        found = dict.fromkeys(uses, 0)
        for write in self.tenants:
            for use in uses_of(write.before) if write.before else ():
                if use in found:
                    found[use] += 1
        return found


class OwnerChange(NamedTuple):
    """The change of one owner, what it does to its content, and its author."""

    change: Change | PlatformChange
    content: ContentChange[Any]
    edit: Edit

    @property
    def owner(self) -> str:
        return self.change.tenant_id if isinstance(self.change, Change) else PLATFORM_ID


def owner_changes(
    writes: Together, contents: StoredContents, hold: Callable[[str, int], None]
) -> Sequence[OwnerChange]:
    """The change of each owner. `hold` reads a version of an owner into `contents`, unless it is there."""
    changes = []
    if (write := writes.platform) is not None:
        if write.before.version:
            hold(PLATFORM_ID, write.before.version)
        change = PlatformChange.between(write.before, write.after)
        changes.append(OwnerChange(change, contents.change_platform(change, write.edit.actor), write.edit))
    for one in writes.tenants:
        if one.before is not None:
            hold(one.tenant_id, one.before.tenant.version)
        of_tenant = Change.between(one.before, one.after)
        changes.append(OwnerChange(of_tenant, contents.change(of_tenant, one.edit.actor), one.edit))
    return changes


def staged(changes: Sequence[OwnerChange], call: str) -> Iterator[tuple[str, str, str]]:
    """The texts to store before the script runs: as a leftover, its key, and its text. Parts come first."""
    for one in changes:
        split = one.content.split
        if split is None:
            continue
        for name, text in split.new.items():
            yield f"part {one.owner} {name}", layout.part_key(one.owner, name), text
        key = layout.staged_key(call, one.owner)
        yield f"key {key}", key, split.text


def together_call(
    changes: Sequence[OwnerChange],
    call: str,
    audit_key: AuditKey,
    *,
    removed: Mapping[str, int],
    users: Sequence[Tenant],
    checked_by: int | None,
    quarantine: float,
    known: StoreState | None,
    claim: Claim[Written] | None,
    written: Written,
) -> ScriptCall:
    """The call of ``together.lua``; arguments that are not here are as in `write_call`.

    `removed` has what the platform loses, and how many of the tenants that are written use it now. `users`
    are all others that use what is shared with fewer.
    """
    tenants = [one.change for one in changes if isinstance(one.change, Change)]
    platform = next((one.change for one in changes if isinstance(one.change, PlatformChange)), None)
    uses = any(one.used for one in tenants)
    head = {
        **call_members(known, claim, written),
        "owners": len(changes),
        "keys": layout.PREFIXES,
        "format": layout.FORMAT,
        "most_entries": MAX_ENTRIES,
        "quarantine_ms": int(quarantine * 1000),
        "claimed": [
            text for one in tenants if one.before is None for text in (one.claimed_subdomain, one.tenant_id)
        ],
        "platform": checked_by if uses else None,
        "removed": removed,
        "narrowed": list(platform.narrowed) if platform else [],
        "users": [{"id": tenant.id, "version": str(tenant.version)} for tenant in users],
        "indexes": list(_indexes(tenants, platform)),
    }
    arguments = [json.dumps({name: value for name, value in head.items() if value is not None})]
    for one in changes:
        arguments += _owner(one, call, audit_key)
    name = layout.idempotency_key(claim.name if claim else "")
    keys = (
        *(layout.IDENTITY, layout.REVISION, layout.LAYOUT, layout.CHANGES, layout.DELETED, layout.PLATFORM),
        *(name, layout.AUDIT, layout.SUBDOMAINS, layout.HASHES, layout.ORDER, layout.LEFTOVERS),
    )
    return ScriptCall(keys, arguments)


def _owner(one: OwnerChange, call: str, audit_key: AuditKey) -> list[str]:
    """The four arguments of one owner."""
    change, split = one.change, one.content.split
    members: dict[str, Any] = {"id": one.owner, "replaces": one.content.replaces}
    if isinstance(change, Change):
        members |= _tenant(change, one.content)
        action = change.action
        version = change.after.tenant.version if change.after else None
    else:
        members |= {"before": str(change.before.revision), "none": "0"}
        record = {"version": str(change.after.version), "updated_at": repr(change.after.updated_at)}
        members["record"] = [*_flat(record), *(("root", split.held.name) if split else ())]
        action, version = "update", change.after.version
    note = ""
    if split is not None:
        members |= {"content": _content(one, split), "staged": layout.staged_key(call, one.owner)}
        note = note_of(split.held.version, split.held.name, split.held.root, one.edit).stored()
    entry = AuditEntry.of(one.edit, owner=one.owner, action=action, version=version, before=members["before"])
    signed = audit_key.sign(entry)
    return [json.dumps(members), signed["entry"], signed["mac"], note]


def _tenant(change: Change, content: ContentChange[Any]) -> dict[str, Any]:
    before, after = change.before, change.after
    members: dict[str, Any] = {"before": str(before.revision) if before else "", "none": ""}
    if after is None:
        version = before.tenant.version if before else 0
        return members | {"version": version, "freed": change.freed_subdomain}
    members["record"] = _flat(record_of(after.tenant, content.split))
    if before is None:
        members["created"] = True
    if change.has_new_keys:
        members["keys"] = [key_record(key)["record"] for key in after.keys]
    return members


def _content(one: OwnerChange, split: Split[Any]) -> dict[str, Any]:
    before = one.content.before
    new: dict[str, Any] = {
        "version": split.held.version,
        "names": list(split.new),
        "dropped": split.held.root.dropped,
        "bytes": len(split.text.encode()) + sum(len(text.encode()) for text in split.new.values()),
    }
    if before is not None and before.name:
        new["before"] = before.version
        new["before_note"] = note_of(before.version, before.name, before.root).stored()
    elif before is not None:
        new["whole"] = layout.whole_key(one.owner, before.version)
    return new


def _indexes(tenants: Sequence[Change], platform: PlatformChange | None) -> Iterator[dict[str, Any]]:
    """The members of indexes that are put or dropped, each kind with its command and its key."""
    old_keys = [(one, key) for one in tenants for key in one.dropped_keys]
    new_keys = [
        (key, one.tenant_id) for one in tenants if one.after and one.has_new_keys for key in one.after.keys
    ]
    found: list[tuple[str, str, list[str]]] = [
        ("HDEL", layout.HASHES, [key.hash for _, key in old_keys]),
        ("HSET", layout.HASHES, [text for key, one in new_keys for text in (key.hash, f"{one} {key.id}")]),
        (
            "HSET",
            layout.SUBDOMAINS,
            [
                text
                for one in tenants
                if one.before is None
                for text in (one.claimed_subdomain or "", one.tenant_id)
            ],
        ),
    ]
    found += [("HDEL", layout.used_key(one.tenant_id), [key.id]) for one, key in old_keys if one.after]
    for command, uses in (("SREM", "no_longer_used"), ("SADD", "used")):
        users: dict[str, list[str]] = {}
        for one in tenants:
            for use in getattr(one, uses):
                users.setdefault(use, []).append(one.tenant_id)
        found += [(command, layout.uses_key(use), ids) for use, ids in sorted(users.items())]
    gone = [one for change in tenants for one in change.removed_providers]
    gone += platform.removed_providers if platform else []
    found += [("DEL", layout.discovered_key(one), [layout.discovered_key(one)]) for one in gone]
    for command, key, arguments in found:
        if arguments:
            yield {"command": [command, key], "arguments": arguments}


def _flat(record: Mapping[str, str]) -> list[str]:
    return [text for item in record.items() for text in item]
