"""Tenants as the views find and change them: the caller's own only, and no change is ever lost."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import cast

from admin_app.auth.access import caller, own_tenant
from admin_app.http.errors import ApiError, not_found
from admin_app.services import current
from shared.core.errors import Conflict
from shared.model.config import ApiKey, Rule, Snapshot

#: How often a change is tried again when others write to the same tenant in between.
ATTEMPTS = 10


def find_tenant(tenant_id: str) -> Snapshot:
    """All of a tenant. Raises 404 when there is none, or another caller's."""
    own_tenant(tenant_id)
    snapshot = current().store.read(tenant_id)
    if snapshot is None:
        raise not_found("tenant")
    return snapshot


def find_rule(snapshot: Snapshot, rule_id: str) -> Rule:
    """A rule of the tenant. Raises 404."""
    for rule in snapshot.rules:
        if rule.id == rule_id:
            return rule
    raise not_found("rule")


def find_key(snapshot: Snapshot, key_id: str) -> ApiKey:
    """An API key of the tenant. Raises 404."""
    for key in snapshot.keys:
        if key.id == key_id:
            return key
    raise not_found("API key")


def change_tenant(tenant_id: str, change: Callable[[Snapshot], Snapshot]) -> Snapshot:
    """Write what `change` makes of the tenant, and give back what is stored then.

    `change` is called again on the newer state when somebody else wrote first. Raises `Conflict` when
    that happens too often.
    """
    return cast(Snapshot, _write(tenant_id, change))


def delete_tenant(tenant_id: str, check: Callable[[Snapshot], None]) -> None:
    """Delete the tenant in the state that `check` did not object to. Raises as `change_tenant`."""
    _write(tenant_id, check)


def _write(tenant_id: str, change: Callable[[Snapshot], Snapshot | None]) -> Snapshot | None:
    for _ in range(ATTEMPTS):
        before = find_tenant(tenant_id)
        after = change(before)
        # Somebody else wrote in between: look again, and judge the newer state.
        with suppress(Conflict):
            return current().store.write(before, after, actor=caller().actor)
    raise Conflict(f"Others keep changing the tenant {tenant_id}.")


def with_rule(snapshot: Snapshot, rule: Rule) -> Snapshot:
    """The tenant with `rule` in the place of the one with its id, or at the end."""
    kept = tuple(rule if one.id == rule.id else one for one in snapshot.rules)
    return replace(snapshot, rules=kept if rule in kept else (*kept, rule))


def with_key(snapshot: Snapshot, key: ApiKey) -> Snapshot:
    """The tenant with `key` in the place of the one with its id, or at the end."""
    kept = tuple(key if one.id == key.id else one for one in snapshot.keys)
    return replace(snapshot, keys=kept if key in kept else (*kept, key))


def check_room(what: str, count: int, most: int | None) -> None:
    """Raise 422 when `count` things are already as many as the tier allows (None: no cap)."""
    if most is not None and count >= most:
        raise ApiError(
            422, "limit_reached", f"The tenant's tier allows {most} {what}, and there are {count}."
        )
