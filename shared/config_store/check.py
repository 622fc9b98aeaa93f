"""Checks the invariants of the store that every change keeps (``python -m shared.redis_server check``).

It reads all tenants, a page at a time, and changes nothing. A change that comes between two reads looks like
a violation, so a check that meets one begins again.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.history.archive import archived
from shared.config_store.history.audit import AuditKey, SignedEntry, verify
from shared.config_store.history.check import VersionsCheck
from shared.config_store.records.parts import PartNames
from shared.config_store.store import RedisStore
from shared.core.errors import BadRecord, StoreDown
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument
from shared.model.uses import uses_of

_PAGE = 500  # keys per command, so that Redis serves others meanwhile
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Indexes:
    """All indexes of the store.

    Attributes:
        revision: the number of the newest change.
        order: tenants by the change that created them.
        changes: tenants by their last change.
        deleted: deleted tenants.
        subdomains: tenants by subdomain.
        hashes: tenant and key by the hash of the key.
    """

    revision: int
    order: Mapping[str, int]
    changes: Mapping[str, int]
    deleted: frozenset[str]
    subdomains: Mapping[str, str]
    hashes: Mapping[str, str]


def violations(
    client: Redis,
    names: PartNames | None = None,
    audit_key: AuditKey | None = None,
    archive: Path | None = None,
) -> list[str]:
    """A sentence about each broken invariant. Raises `StoreDown` when the store changes all the time.

    `names` are those of the parts of documents. The audit log is checked if its key is known, with the files
    in the folder `archive`.
    """
    for _ in range(_TRIES):
        indexes = _read_indexes(client)
        found = [*_check(client, indexes, names or PartNames())]
        if audit_key is not None:
            found += _check_audit(client, audit_key, archive)
        if not found or _revision(client) == indexes.revision:
            return found
    raise StoreDown("The store changed during each check. Repeat the check at a quieter time.")


def _check(client: Redis, indexes: _Indexes, names: PartNames) -> Iterator[str]:
    store = RedisStore(client, 0, names=names)
    snapshots: dict[str, Snapshot] = {}
    needed: set[str] = set()
    for tenant_id in indexes.order:
        try:
            snapshot = store.read(tenant_id)
        except BadRecord as error:
            yield str(error)
            continue
        if snapshot is None:
            yield f"Tenant {tenant_id} is listed and has no record."
        else:
            snapshots[tenant_id] = snapshot
            needed.add(layout.root_key(tenant_id, snapshot.tenant.version))
            yield from _check_tenant(snapshot, indexes)
            yield from _check_versions(client, store, names, tenant_id, needed)
    unreadable = indexes.order.keys() - snapshots.keys()
    try:
        platform = store.read_platform()
    except BadRecord as error:
        yield str(error)
        unreadable |= {layout.PLATFORM_ID}
    else:
        yield from _check_platform(platform, indexes)
        needed |= {
            key_of(layout.PLATFORM_ID, platform.version) for key_of in (layout.root_key, layout.whole_key)
        }
        yield from _check_versions(client, store, names, layout.PLATFORM_ID, needed)
    yield from _check_uses(client, snapshots, indexes)
    yield from _check_indexes(snapshots, indexes)
    yield from _check_keys(client, snapshots, needed, unreadable)


def _check_audit(client: Redis, key: AuditKey, archive: Path | None) -> Iterator[str]:
    """The audit log, which begins with the oldest entry that is kept, in a file or in Redis."""
    ids: Any = client.zrange(layout.ORDER, 0, -1)
    records = {one.decode(): layout.tenant_key(one.decode()) for one in ids} | {
        layout.PLATFORM_ID: layout.PLATFORM,
        layout.TOKENS_ID: layout.TOKENS,
        layout.EVENTS_ID: layout.EVENTS,
    }
    newest: dict[str, Any] = {owner: client.hget(record, "revision") for owner, record in records.items()}
    kept = {one.id: one for one in _audit_log(client)}
    differ: list[str] = []

    def entries() -> Iterator[SignedEntry]:
        for one in archived(archive) if archive else ():
            if kept.pop(one.id, one) != one:
                differ.append(one.id)
            yield one
        yield from kept.values()

    try:
        yield from verify(entries(), key, {one: int(number) for one, number in newest.items() if number})
    except (ValueError, OSError) as error:
        yield str(error)
    for entry_id in differ:
        yield f"The entry {entry_id} of the audit log in Redis is another one than in its file."


def _audit_log(client: Redis) -> Iterator[SignedEntry]:
    """The entries in Redis, the oldest first."""
    after = "-"
    while entries := client.xrange(layout.AUDIT, after, "+", _PAGE):
        found: Any = entries
        yield from (SignedEntry.parse(entry_id, fields) for entry_id, fields in found)
        after = f"({found[-1][0].decode()}"


def _check_versions(
    client: Redis, store: RedisStore, names: PartNames, owner: str, needed: set[str]
) -> Iterator[str]:
    """The versions of an owner that was read. `needed` gets the keys that they need."""
    check = VersionsCheck(client, names, owner, store.part_keys(owner))
    yield from check.violations()
    needed.update(check.needed)


def _check_tenant(snapshot: Snapshot, indexes: _Indexes) -> Iterator[str]:
    tenant = snapshot.tenant
    if indexes.subdomains.get(tenant.subdomain) != tenant.id:
        yield f"Tenant {tenant.id} is not found by its subdomain {tenant.subdomain}."
    for key in snapshot.keys:
        if indexes.hashes.get(key.hash) != f"{tenant.id} {key.id}":
            yield f"Tenant {tenant.id} is not found by its API key {key.id}."
    # A newer number is that of a list of models.
    if indexes.changes.get(tenant.id, -1) < snapshot.revision:
        yield f"Tenant {tenant.id} has revision {snapshot.revision}, and the list of changes an older one."
    if snapshot.revision > indexes.revision:
        yield f"Tenant {tenant.id} has a newer revision than the store, {snapshot.revision}."
    if tenant.id in indexes.deleted:
        yield f"Tenant {tenant.id} exists, and is listed as deleted."


def _check_platform(document: PlatformDocument, indexes: _Indexes) -> Iterator[str]:
    """The platform, with its place in the list of changes."""
    listed = indexes.changes.get(layout.PLATFORM_ID, 0)
    if listed < document.revision:
        yield f"The platform has the revision {document.revision}, and the list of changes {listed}."
    if document.revision > indexes.revision:
        yield f"The platform has a newer revision than the store, {document.revision}."


def _check_uses(client: Redis, snapshots: Mapping[str, Snapshot], indexes: _Indexes) -> Iterator[str]:
    """The lists of the tenants that use something of the platform's."""
    users: dict[str, set[str]] = {}
    for tenant_id, snapshot in snapshots.items():
        for use in uses_of(snapshot):
            users.setdefault(use, set()).add(tenant_id)
    unreadable = indexes.order.keys() - snapshots.keys()
    prefix = layout.uses_key("")
    for key in client.scan_iter(match=layout.uses_key("*"), count=_PAGE):
        use, members = key.decode().removeprefix(prefix), client.sscan_iter(key, count=_PAGE)
        listed = {member.decode() for member in members} - unreadable
        expected = users.pop(use, set())
        for tenant_id in sorted(listed ^ expected):
            state = "does not use" if tenant_id in listed else "uses, without being listed,"
            yield f"Tenant {tenant_id} {state} the {use.replace(':', ' ', 1)} of the platform."
    for use, ids in users.items():
        named = use.replace(":", " ", 1)
        yield f"No list has the users of the {named} of the platform: {', '.join(sorted(ids))}."


def _check_indexes(snapshots: Mapping[str, Snapshot], indexes: _Indexes) -> Iterator[str]:
    """The entries of the indexes without a tenant. Tenants that could not be read were reported before."""
    readable = snapshots.keys() | (indexes.changes.keys() - indexes.order.keys())
    subdomains = {snapshot.tenant.subdomain for snapshot in snapshots.values()}
    for subdomain, owner in indexes.subdomains.items():
        if subdomain not in subdomains and (owner in readable or owner not in indexes.order):
            yield f"The subdomain {subdomain} leads to {owner}, which does not have it."
    hashes = {key.hash for snapshot in snapshots.values() for key in snapshot.keys}
    for key_hash, owner in indexes.hashes.items():
        tenant_id = owner.partition(" ")[0]
        if key_hash not in hashes and (tenant_id in readable or tenant_id not in indexes.order):
            yield f"A hash leads to the API key {owner}, which does not exist."
    known = {layout.PLATFORM_ID, *indexes.order, *indexes.deleted}
    for tenant_id in indexes.changes.keys() - known:
        yield f"Tenant {tenant_id} is in the list of changes, and neither exists nor is listed as deleted."


def _check_keys(
    client: Redis,
    snapshots: Mapping[str, Snapshot],
    needed: set[str],
    unreadable: Set[str],
) -> Iterator[str]:
    """Records, roots and parts that no kept version needs. `unreadable` owners were reported before."""
    parts, gone = _leftovers(client)
    known = needed | parts
    for key_of in (layout.tenant_key, layout.keys_key):
        known.update(map(key_of, snapshots))
    for owner in (*snapshots, layout.PLATFORM_ID):
        known.update(layout.version_keys(owner))
    for kind in ("tenant", "doc", "part", "keys", "platformdoc", *layout.VersionKeys._fields):
        for key in client.scan_iter(match=f"{{cfg}}:{kind}:*", count=_PAGE):
            name = key.decode()
            # A part with an end was replaced a moment ago (history/rename.py).
            if name not in known and name.split(":")[2] not in unreadable | gone and client.pttl(key) < 0:
                yield f"The key {name} belongs to no tenant, or to an old version."


def _leftovers(client: Redis) -> tuple[set[str], set[str]]:
    """The keys of parts that wait to be used, and the ids of deleted tenants of which something is left."""
    members = [one.decode().split(" ") for one, _ in client.zscan_iter(layout.LEFTOVERS, count=_PAGE)]
    parts = {layout.part_key(*place) for kind, *place in members if kind == "part"}
    return parts, {place[0] for kind, *place in members if kind == "owner"}


def _read_indexes(client: Redis) -> _Indexes:
    return _Indexes(
        revision=_revision(client),
        order=_numbers(client, layout.ORDER),
        changes=_numbers(client, layout.CHANGES),
        deleted=frozenset(_numbers(client, layout.DELETED)),
        subdomains=_fields(client, layout.SUBDOMAINS),
        hashes=_fields(client, layout.HASHES),
    )


def _revision(client: Redis) -> int:
    number: Any = client.get(layout.REVISION)
    return int(number or 0)


def _numbers(client: Redis, key: str) -> dict[str, int]:
    return {name.decode(): int(score) for name, score in client.zscan_iter(key, count=_PAGE)}


def _fields(client: Redis, key: str) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in client.hscan_iter(key, count=_PAGE)}
