"""The document that a file describes for one owner, as it is checked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from admin_app.auth.access import caller
from admin_app.auth.field_access import PROVIDER_FIELDS, RULE_FIELDS, TENANT_FIELDS, may_change, own_kind
from admin_app.changes.file.moved import with_moved_keys
from admin_app.changes.file.secrets import (
    provider_with_stored,
    rule_with_stored,
    tenant_with_stored,
    webhook_with_stored,
)
from admin_app.changes.snapshot import new_key, tier_maximum, with_key
from admin_app.changes.whole.document import Part, Wanted
from admin_app.context import new_id
from shared.budgets.settings import budget_values
from shared.core.durations import DAY_SECONDS
from shared.core.empty import EMPTY
from shared.core.errors import Problem
from shared.core.fields import timestamp_text
from shared.core.json_pointer import escape_step
from shared.documents.file.normal import file_keys
from shared.documents.file.parse import Entry, FileOwner
from shared.model import budgets
from shared.model.budgets import Budget
from shared.model.config import ApiKey, Rule, Snapshot, Tenant
from shared.model.providers import Model, PlatformDocument, Provider, Shared
from shared.model.webhooks import Webhook
from shared.secrets.context import PLATFORM

# A key is in use if it was used in so many seconds.
_USED_SECONDS: Final = DAY_SECONDS
# An entry that is stored so.
_STORED = Entry(EMPTY, None)
#: Makes the tenants of a `Shared`, which a file names by their subdomains, to ids.
type FindShared = Callable[[Shared, str], Shared]


def tenant_wanted(file: FileOwner, before: Snapshot, subdomain: str, *, prune: bool, now: float) -> Wanted:
    """The document of a tenant as the file wants it. `before` is a blank one for a new tenant."""

    def rule(name: str, sent: Mapping[str, Any]) -> Rule:
        return Rule(new_id("rule"), sent["path"], "", name=name, created_at=now)

    tenant = before.tenant
    rules = [
        _part(pair, RULE_FIELDS, lambda sent, one: rule_with_stored(sent, one, tenant.id))
        for pair in _paired("rules", file, before.rules, rule, prune)
    ]
    owned = _owned(file, tenant, tenant.id, prune=prune, now=now)
    fields = _tenant(file.tenant, before, subdomain)
    return replace(
        owned,
        tenant=fields,
        rules={part.basis.id: part for part in rules},
        budgets=_budgets(file, before, rules, prune=prune, now=now),
    )


def _budgets(
    file: FileOwner, before: Snapshot, rules: Iterable[Part[Rule]], *, prune: bool, now: float
) -> Mapping[str, Part[Budget]]:
    """The budgets of a tenant. Those of the platform stay, if the caller is the tenant."""
    ids = {
        "key": {key.name: key.line for key in file_keys(before.keys)},
        "rule": {name_of(part): part.basis.id for part in rules},
    }

    def budget(name: str, sent: Mapping[str, Any]) -> Budget:
        values = budget_values(sent)
        own = {key: values[key] for key in ("unit", "limit", "period")}
        return Budget(id=new_id("bud"), name=name, owner=own_kind(), created_at=now, **own)

    def with_ids(sent: Mapping[str, Any], _: Budget) -> dict[str, Any]:
        named = {one: getattr(sent["scope"], one) for one in ids}
        found = {one: ids[one].get(name, name) for one, name in named.items() if name is not None}
        # A file of the platform keeps the owner of a budget. That of a tenant cannot take one over.
        owner = sent["owner"] or (budgets.PLATFORM if caller().is_platform else None)
        return {**sent, "scope": replace(sent["scope"], **found), "owner": owner}

    stored = before.tenant.budgets
    moved = file.moved.get("budgets", EMPTY)
    kept = {moved.get(one.name, one.name) for one in stored if not may_change(one)}
    if prune:
        file = replace(file, budgets={**dict.fromkeys(kept, _STORED), **(file.budgets or {})})
    parts = [_part(pair, (), with_ids) for pair in _paired("budgets", file, stored, budget, prune)]
    return {part.basis.id: part for part in parts}


def platform_wanted(
    file: FileOwner, before: PlatformDocument, find: FindShared, *, prune: bool, now: float
) -> Wanted:
    """The document of the platform as the file wants it."""
    owned = _owned(file, before, PLATFORM, prune=prune, now=now)
    prices = {**({} if prune else before.prices), **(file.prices or {})}
    providers = {
        provider_id: part._replace(sent=_shared(part.sent, f"/platform/providers/{name_of(part)}", find))
        for provider_id, part in owned.providers.items()
    }
    models = {
        name: part._replace(sent=_shared(part.sent, f"/platform/models/{escape_step(name)}", find))
        for name, part in owned.models.items()
    }
    return replace(owned, providers=providers, models=models, prices=prices)


def _owned(
    file: FileOwner, before: Tenant | PlatformDocument, owner: str, *, prune: bool, now: float
) -> Wanted:
    """The providers, models and webhooks of an owner."""

    def provider(name: str, sent: Mapping[str, Any]) -> Provider:
        return Provider(new_id("prv"), name, sent["kind"], created_at=now)

    def webhook(name: str, _: Mapping[str, Any]) -> Webhook:
        return Webhook(id=new_id("hook"), name=name, url="", created_at=now)

    def model(name: str, _: Mapping[str, Any]) -> Model:
        return Model(name, (), created_at=now)

    parts = [
        _part(pair, PROVIDER_FIELDS, lambda sent, one: provider_with_stored(sent, one, owner))
        for pair in _paired("providers", file, before.providers, provider, prune)
    ]
    made = [
        _part(pair, (), lambda sent, _: dict(sent))
        for pair in _paired("models", file, before.models, model, prune)
    ]
    hooks = [
        _part(pair, (), lambda sent, one: webhook_with_stored(sent, one, owner))
        for pair in _paired("webhooks", file, before.webhooks, webhook, prune)
    ]
    return Wanted(
        providers={part.basis.id: part for part in parts},
        models={part.basis.name: part for part in made},
        webhooks={part.basis.id: part for part in hooks},
    )


class _Pair[Item](NamedTuple):
    """A thing that there will be: its name, its entry, and the stored thing or a new one."""

    name: str
    entry: Entry | None
    basis: Item


def _paired[Item: (Rule, Provider, Model, Budget, Webhook)](
    kind: str,
    file: FileOwner,
    stored: Iterable[Item],
    make: Callable[[str, Mapping[str, Any]], Item],
    prune: bool,
) -> list[_Pair[Item]]:
    """The things of a section that there will be: the stored ones first, then the new ones."""
    entries: Mapping[str, Entry] = getattr(file, kind) or {}
    moved = file.moved.get(kind, EMPTY)
    known = {moved.get(one.name, one.name): one for one in stored}
    found = [
        _Pair(name, entries.get(name), one) for name, one in known.items() if name in entries or not prune
    ]
    for name, entry in entries.items():
        if name not in known:
            found.append(_Pair(name, entry, make(name, entry.sent or {})))
    return found


def name_of[Item: (Rule, Provider, Model, Budget, Webhook)](part: Part[Item]) -> str:
    """The name that a thing will have."""
    return str(part.sent.get("name", part.basis.name))


def _part[Item: (Rule, Provider, Model, Budget, Webhook)](
    pair: _Pair[Item],
    platforms: Iterable[str],
    with_stored: Callable[[Mapping[str, Any], Item], dict[str, Any]],
) -> Part[Item]:
    """The part of an entry. Without one, or if it is stored so, nothing is sent."""
    name, entry, basis = pair
    if entry is None or entry.sent is None:
        return Part({}, basis)
    return Part({**with_stored(_writable(entry, platforms), basis), "name": name}, basis)


def _tenant(entry: Entry, before: Snapshot, subdomain: str) -> Mapping[str, Any]:
    if entry.sent is None:
        return {}
    sent = tenant_with_stored(_writable(entry, TENANT_FIELDS), before.tenant)
    return {**sent, "subdomain": subdomain}


def _writable(entry: Entry, platforms: Iterable[str]) -> dict[str, Any]:
    """The members of an entry to store. A tenant's file keeps those of the platform that it does not name."""
    sent = dict(entry.sent or {})
    if not caller().is_platform:
        for name in set(platforms) - entry.written.keys():
            sent.pop(name, None)
    return sent


def _shared(sent: Mapping[str, Any], at: str, find: FindShared) -> Mapping[str, Any]:
    return {**sent, "shared": find(sent["shared"], f"{at}/shared/tenants")} if "shared" in sent else sent


def unknown_tenant(name: str, pointer: str) -> Problem:
    """The problem of a subdomain that no tenant has."""
    return Problem(pointer, f"There is no tenant {name}, and the file has none. Correct the subdomain.")


class Keys(NamedTuple):
    """A tenant with the keys of a file, the new ones with their secrets, what is wrong, and warnings."""

    snapshot: Snapshot
    created: Sequence[tuple[ApiKey, str]] = ()
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


def with_file_keys(
    before: Snapshot, file: FileOwner, *, prune: bool, prune_used: bool = False, now: float
) -> Keys:
    """The tenant with the keys of a file, which come before what names them.

    A key is known by its name: the newest one that is not revoked. With `prune`, those that the section does
    not name are revoked; those in use only with `prune_used`. Keys without a name stay, and so do all keys if
    the file has no section.
    """
    section = file.api_keys
    if section is None:
        return Keys(before)
    after, created, problems, warnings = with_moved_keys(before, file.moved), [], [], []
    known = {key.name: key for key in file_keys(after.keys)}
    for name, entry in section.items():
        if entry.sent is None:
            continue
        if stored := known.get(name):
            after = with_key(after, replace(stored, **entry.sent))
            continue
        expires_at = entry.sent["expires_at"]
        if expires_at is not None and expires_at <= now:
            problems.append(Problem(f"/api_keys/{escape_step(name)}/expires_at", "Must be in the future."))
        like = ApiKey(id="", name=name, prefix="", hash="", created_at=now, **entry.sent)
        secret, key = new_key(like)
        created.append((key, secret))
        after = with_key(after, key)
    if prune:
        for key in [one for one in known.values() if one.name not in section]:
            if used := last_use(key, now):
                warnings.append(_in_use(key.name, used, is_revoked=prune_used))
            if prune_used or not used:
                after = with_key(after, replace(key, revoked=True))
    tier = (file.tenant.sent or {}).get("tier", before.tenant.tier)
    return Keys(after, created, [*problems, *_too_many(before, after, tier, now)], warnings)


def last_use(key: ApiKey, now: float) -> float | None:
    """The last use of an active key in the last 24 hours; None if there was none."""
    used = key.last_used_at
    return used if used is not None and used > now - _USED_SECONDS and key.status(now) == "active" else None


def _in_use(name: str, used: float, *, is_revoked: bool) -> Problem:
    outcome = "is revoked" if is_revoked else "stays: it is in use. prune_keys revokes it"
    detail = f"The API key {name}, last used at {timestamp_text(used)}, is not in the file. It {outcome}."
    return Problem("/api_keys", detail)


def _too_many(before: Snapshot, after: Snapshot, tier: str, now: float) -> list[Problem]:
    """A problem if there are more active keys than the tier allows, and than there were."""
    most = tier_maximum(replace(after.tenant, tier=tier), "max_keys")
    old, new = (sum(key.status(now) == "active" for key in one.keys) for one in (before, after))
    if most is None or new <= max(most, old):
        return []
    return [Problem("/api_keys", f"There would be {new} API keys; the tier allows {most}. Remove some.")]
