"""Find and change a tenant: only the caller's own, and without losing a concurrent change."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from admin_app.auth.access import check_tenant_access
from admin_app.changes.attempts import Restored, edit_of, log_change, repeat
from admin_app.changes.idempotency import Respond, claim_of
from admin_app.changes.platform import ai_things, changed_ids, forget_platform, platform
from admin_app.context import new_id, services
from admin_app.http.errors import ApiError, not_found
from shared.core.errors import Problem
from shared.documents.history.differences import names_of, snapshot_differences
from shared.model.config import ApiKey, Rule, Snapshot, Tenant
from shared.model.uses import uses_of
from shared.secrets.api_keys import mint_key


def find_tenant(tenant_id: str) -> Snapshot:
    """The tenant with all its resources. Raises 404 when it does not exist or is not the caller's."""
    check_tenant_access(tenant_id)
    snapshot = services().store.read(tenant_id)
    if snapshot is None:
        raise not_found("tenant")
    return snapshot


def find_rule(snapshot: Snapshot, rule_id: str) -> Rule:
    """A rule of the tenant. Raises 404."""
    return _find("rule", snapshot.rules, rule_id)


def find_key(snapshot: Snapshot, key_id: str) -> ApiKey:
    """An API key of the tenant. Raises 404."""
    return _find("API key", snapshot.keys, key_id)


def _find[Item: ApiKey | Rule](kind: str, items: Sequence[Item], item_id: str) -> Item:
    for item in items:
        if item.id == item_id:
            return item
    raise not_found(kind)


def change_tenant(
    tenant_id: str, change: Callable[[Snapshot], Snapshot], respond: Respond[Snapshot] | None = None
) -> Snapshot:
    """Write the result of `change`, and return the stored tenant.

    `respond` makes the response of a call with an Idempotency-Key, which is stored with the change. When
    another writer is first, `change` is called again on the newer state. Raises as `repeat`.
    """
    return cast(Snapshot, _write(tenant_id, change, respond))


def delete_tenant(tenant_id: str, check: Callable[[Snapshot], None]) -> None:
    """Delete the tenant in a state that `check` accepts. Raises as `change_tenant`."""
    _write(tenant_id, check)


def _write(
    tenant_id: str, change: Callable[[Snapshot], Snapshot | None], respond: Respond[Snapshot] | None = None
) -> Snapshot | None:
    def attempt() -> Snapshot | None:
        forget_platform()
        before = find_tenant(tenant_id)
        return write(before, change(before), respond)

    return repeat(tenant_id, attempt)


def note_event(tenant_id: str, summarize: Callable[[Snapshot], str]) -> Snapshot:
    """Add an entry to the audit log of a tenant, with a write of its record as it is.

    `summarize` is given the tenant as it is then, and may reject. Returns that tenant.
    """

    def attempt() -> Snapshot:
        before = find_tenant(tenant_id)
        edit = replace(edit_of([], {}), summary=summarize(before))
        services().store.write(before, before, edit=edit)
        return before

    return repeat(tenant_id, attempt)


def write(
    before: Snapshot | None,
    after: Snapshot | None,
    respond: Respond[Snapshot] | None = None,
    restored: Restored | None = None,
) -> Snapshot | None:
    """Write one change, and log it. Raises as the store."""
    revision = platform().revision if after and uses_of(after) else None
    differences = snapshot_differences(before, after, services().clock.now())
    edit = edit_of(differences, names_of(differences, before, after), restored)
    stored = services().store.write(before, after, edit=edit, claim=claim_of(respond), platform=revision)
    tenant = (stored or after or before).tenant  # type: ignore[union-attr]  # one of them is there
    log_change(tenant.id, tenant.version, changed_ids(_things(before), _things(stored)) if stored else [])
    return stored


def _things(snapshot: Snapshot | None) -> Sequence[Any]:
    if snapshot is None:
        return ()
    return (*snapshot.rules, *snapshot.keys, *snapshot.tenant.budgets, *ai_things(snapshot.tenant))


def with_rule(snapshot: Snapshot, rule: Rule) -> Snapshot:
    """The tenant with `rule` in place of the one with its id, or at the end."""
    return replace(snapshot, rules=_put(snapshot.rules, rule))


def with_key(snapshot: Snapshot, key: ApiKey) -> Snapshot:
    """The tenant with `key` in place of the one with its id, or at the end."""
    return replace(snapshot, keys=_put(snapshot.keys, key))


def _put[Item: ApiKey | Rule](items: tuple[Item, ...], item: Item) -> tuple[Item, ...]:
    # No function is called per item: a tenant has thousands of rules.
    if item.id not in [one.id for one in items]:
        return (*items, item)
    return tuple([item if one.id == item.id else one for one in items])


def new_key(like: ApiKey) -> tuple[str, ApiKey]:
    """A new API key with the name, scopes and times of `like`: its secret, and the key to store."""
    minted = mint_key(services().random_bytes)
    key_hash = services().hasher(minted.text)
    return minted.text, replace(like, id=new_id("key"), prefix=minted.prefix, hash=key_hash)


def check_maximum(kind: str, count: int, maximum: int | None) -> None:
    """Raise 422 when the tenant already has `maximum` things (None: no maximum)."""
    if maximum is not None and count >= maximum:
        detail = f"The tenant has {count} {kind}; its tier allows {maximum}. Delete one first."
        raise ApiError("limit_reached", detail)


def tier_maximum(tenant: Tenant, name: str) -> int | None:
    """A maximum of the tenant's tier; None: no limit. A tier that the operator removed allows nothing."""
    tier = services().settings.tiers.get(tenant.tier)
    return getattr(tier, name) if tier else 0


def check_most_targets(tenant: Tenant, count: int) -> None:
    """Raise 422 when a rule or model has more targets than the tier allows."""
    most = tier_maximum(tenant, "max_targets")
    if most is not None and count > most:
        detail = f"It has {count} targets; the tier allows {most}. Remove some."
        raise ApiError("limit_reached", detail, [Problem("/targets", detail)])
