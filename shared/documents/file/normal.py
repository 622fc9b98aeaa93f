"""The normal form of a file: how the store's content is dumped, and what a file is after it was applied.

Things are by their names and sorted. Members that have their defaults are left out, durations are seconds,
and each secret is ``{"set": true}``, or the place outside the store that has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from shared.budgets.settings import DEFAULT_AT
from shared.documents.ai.budget import budget_document
from shared.documents.ai.model import model_document
from shared.documents.ai.provider import provider_document
from shared.documents.alerts.webhook import webhook_document
from shared.documents.api_key import api_key_document
from shared.documents.fields import SET
from shared.documents.file.entries import TenantEntry
from shared.documents.file.loaded import (
    any_secrets,
    has_secrets,
    platform_of,
    rule_of,
    snapshot_of,
    tenant_entries,
    tenant_of,
)
from shared.documents.file.parse import FORMAT, VERSION, Entry, FileDocument, FileOwner
from shared.documents.plugin_config import PluginConfigOutput, complete_entry
from shared.documents.rule import rule_document
from shared.documents.tenant import tenant_document
from shared.model.budgets import PLATFORM, USD, Budget
from shared.model.config import ApiKey, Rule, Snapshot, Tenant
from shared.model.pools import UrlTarget
from shared.model.providers import (
    AiRule,
    Model,
    ModelTarget,
    PlatformDocument,
    Provider,
    ProviderKey,
    ProviderModel,
)
from shared.model.webhooks import Webhook
from shared.pipeline.plugin import Plugin

# The fields that a file never has.
_OUTSIDE: Final = frozenset({"id", "name", "created_at", "updated_at", "version"})
_KEY_OUTSIDE: Final = frozenset(
    {"id", "created_at", "expires_at", "status", "cooling_until", "last_error", "secret"}
)
_API_KEY_OUTSIDE: Final = _OUTSIDE | {"prefix", "status", "last_used_at"}
_WEBHOOK_FIRST: Final = ("url", "events", "secret")
_BUDGET_OUTSIDE: Final = _OUTSIDE | {"limit", "period", "increases"}
# As one that says nothing but what it must.
_BLANK_BUDGET: Final = Budget(
    id="", name="", owner=PLATFORM, unit=USD, limit=0, period="month", at=DEFAULT_AT
)
_ENTRY: Final = PluginConfigOutput()
_TENANT_FIELDS: Final = tuple(TenantEntry().fields)

type Json = dict[str, Any]


class NormalForm:
    """Makes normal forms. `catalogue` has the plugins; `subdomains` are those of tenants by their ids."""

    def __init__(
        self, catalogue: Mapping[str, type[Plugin]], subdomains: Mapping[str, str] | None = None
    ) -> None:
        self._catalogue = catalogue
        self._subdomains = subdomains or {}
        self._defaults: dict[str, Json] = {}
        url = _blank_rule(targets=(UrlTarget(url="http://any.invalid"),))
        self._rules = {is_pool: rule_document(one) for is_pool, one in ((False, _blank_rule()), (True, url))}
        model = Model("any", (ModelTarget(provider="any", model="any"),))
        provider = Provider(
            "", "any", "", keys=(ProviderKey(id="", name=""),), models=(ProviderModel(id=""),)
        )
        self._model = model_document(model, is_platforms=True)
        self._provider = provider_document(provider, is_platforms=True)
        self._ai = rule_document(_blank_rule(ai=AiRule()))["ai"]
        self._budget = budget_document(_BLANK_BUDGET)
        self._webhook = webhook_document(Webhook(id="", name="", url=""))
        self._api_key = api_key_document(ApiKey("", "", "", ""), 0.0)
        self._tenant = tenant_document(Tenant("", "", ""))

    def dump(self, platform: PlatformDocument | None, snapshots: Iterable[Snapshot], now: float) -> Json:
        """The stored configuration, as a file."""
        tenants = {one.tenant.subdomain: self.tenant(one, now) for one in snapshots}
        return _file(None if platform is None else self.platform(platform), tenants)

    def platform(self, document: PlatformDocument) -> Json:
        """The platform as a member of a file."""
        return _sections(
            providers={one.name: self.provider(one, is_platforms=True) for one in document.providers},
            models={one.name: self.model(one, is_platforms=True) for one in document.models},
            prices={name: dict(units) for name, units in document.prices.items()},
            webhooks={one.name: self.webhook(one) for one in document.webhooks},
        )

    def tenant(self, snapshot: Snapshot, now: float) -> Json:
        """A tenant as a member of a file."""
        keys = {one.name: self.api_key(one) for one in file_keys(snapshot.keys)}
        return {
            **self.tenant_fields(snapshot.tenant),
            **_sections(
                rules={one.name: self.rule(one) for one in snapshot.rules},
                providers={one.name: self.provider(one) for one in snapshot.tenant.providers},
                models={one.name: self.model(one) for one in snapshot.tenant.models},
                budgets={one.name: self.budget(one, snapshot) for one in snapshot.tenant.budgets},
                webhooks={one.name: self.webhook(one) for one in snapshot.tenant.webhooks},
                api_keys=keys,
            ),
        }

    def tenant_fields(self, tenant: Tenant) -> Json:
        """The fields of a tenant."""
        document = tenant_document(tenant)
        shown = {name: document[name] for name in _TENANT_FIELDS}
        shown["plugin_chain"] = self._chain(document["plugin_chain"])
        shown["required_plugins"] = {
            name: {member: value for member, value in one.items() if member != "name"}
            for name, one in zip(
                document["required_plugins"],
                self._chain(document["required_plugins"].values()),
                strict=True,
            )
        }
        return {"name": tenant.name, **_changed(shown, self._tenant, frozenset({"name"}))}

    def rule(self, rule: Rule) -> Json:
        """A rule."""
        document, blank = rule_document(rule), self._rules[bool(rule.targets)]
        document["plugin_chain"] = self._chain(document["plugin_chain"])
        if rule.ai:
            document["ai"] = _changed(document["ai"], self._ai, frozenset())
        if rule.targets:
            document["targets"] = _items(document["targets"], blank["targets"][0], "url")
        return {"path": rule.path, **_changed(document, {**blank, "targets": None}, _OUTSIDE | {"path"})}

    def provider(self, provider: Provider, *, is_platforms: bool = False) -> Json:
        """A provider. Keys that were replaced, and are used up to their end, are left out."""
        document = provider_document(provider, is_platforms=is_platforms)
        blank = self._provider
        document["keys"] = [
            self._key(one, shown)
            for one, shown in zip(provider.keys, document["keys"], strict=True)
            if one.expires_at is None
        ]
        document["models"] = _items(document["models"], blank["models"][0], "id")
        self._shared(document, provider)
        without = {**blank, "keys": [], "models": []}
        return {"kind": provider.kind, **_changed(document, without, _OUTSIDE | {"kind"})}

    def model(self, model: Model, *, is_platforms: bool = False) -> Json:
        """A model."""
        document = model_document(model, is_platforms=is_platforms)
        self._shared(document, model)
        targets = _items(document["targets"], self._model["targets"][0], "provider", "model")
        return {"targets": targets, **_changed(document, self._model, _OUTSIDE | {"targets"})}

    def webhook(self, webhook: Webhook) -> Json:
        """A webhook."""
        document = webhook_document(webhook)
        first = {name: document[name] for name in _WEBHOOK_FIRST}
        return {**first, **_changed(document, self._webhook, _OUTSIDE | first.keys())}

    def budget(self, budget: Budget, snapshot: Snapshot) -> Json:
        """A budget. Its scope has the names of API keys and rules, as far as they are there."""
        document = budget_document(budget)
        names = {
            "key": {key.line: key.name for key in file_keys(snapshot.keys)},
            "rule": {rule.id: rule.name for rule in snapshot.rules},
        }
        scope = document["scope"]
        document["scope"] = {
            member: names.get(member, {}).get(value, value) if member != "tag" else value
            for member, value in sorted(scope.items())
        }
        first = {name: document[name] for name in ("limit", "period")}
        return {**first, **_changed(document, self._budget, _BUDGET_OUTSIDE)}

    def api_key(self, key: ApiKey) -> Json:
        """An API key, as a file has it."""
        return _changed(api_key_document(key, 0.0), self._api_key, _API_KEY_OUTSIDE)

    def _key(self, key: ProviderKey, shown: Json) -> Json:
        secret = {"env": key.env} if key.env else {"file": key.file} if key.file else SET
        return {**_changed(shown, self._provider["keys"][0], _KEY_OUTSIDE), "secret": secret}

    def _shared(self, document: Json, owned: Provider | Model) -> None:
        if isinstance(document.get("shared"), dict):
            named = sorted(self._subdomains.get(one, one) for one in owned.shared.tenants)
            tiers = sorted(owned.shared.tiers)
            both = {"tenants": named, "tiers": tiers}
            document["shared"] = {name: value for name, value in both.items() if value}

    def _chain(self, entries: Iterable[Json]) -> list[Json]:
        return [
            {"name": one["name"], **_changed(one, self._default(one["name"]), frozenset({"name"}))}
            for one in entries
        ]

    def _default(self, name: str) -> Json:
        """The entry of a plugin of which nothing but the name was sent."""
        if name not in self._defaults:
            self._defaults[name] = _ENTRY.dump(complete_entry({"name": name}, self._catalogue))
        return self._defaults[name]


def normal(document: FileDocument, catalogue: Mapping[str, type[Plugin]]) -> Json:
    """The normal form of a file: what `NormalForm.dump` gives once it was applied to an empty store.

    `document` was read without knowing what is stored.
    """
    form = NormalForm(catalogue)
    platform = None if document.platform is None else form.platform(platform_of(document.platform))
    tenants = {
        subdomain: form.tenant(snapshot_of(subdomain, owner, catalogue), 0.0)
        for subdomain, owner in (document.tenants or {}).items()
    }
    return _file(platform, tenants)


def settled(
    file: FileDocument, stored: Mapping[str, Any], catalogue: Mapping[str, type[Plugin]]
) -> FileDocument:
    """The file with `sent` None for each entry that is stored so, in normal form, and has no new secrets."""
    form = NormalForm(catalogue)
    tenants = stored.get("tenants", {})
    if file.tenants is None:
        return file
    return file._replace(
        tenants={
            name: owner if name not in tenants else _settled(owner, tenants[name], form, catalogue)
            for name, owner in file.tenants.items()
        }
    )


def _settled(
    owner: FileOwner,
    stored: Mapping[str, Any],
    form: NormalForm,
    catalogue: Mapping[str, type[Plugin]],
) -> FileOwner:
    known = stored.get("rules", {})

    def is_stored(name: str, sent: Mapping[str, Any] | None) -> bool:
        if sent is None or name not in known or has_secrets(sent, catalogue):
            return False
        return bool(form.rule(rule_of(name, sent, catalogue)) == known[name])

    rules = owner.rules and {
        name: Entry(entry.written, None) if is_stored(name, entry.sent) else entry
        for name, entry in owner.rules.items()
    }
    tenant, sent = owner.tenant, owner.tenant.sent
    if sent is not None and not any_secrets(tenant_entries(sent), catalogue):
        fields = form.tenant_fields(tenant_of("", sent, catalogue))
        if fields == {name: value for name, value in stored.items() if name in _TENANT_FIELDS}:
            tenant = Entry(tenant.written, None)
    return replace(owner, tenant=tenant, rules=rules)


def file_keys(keys: Iterable[ApiKey]) -> Sequence[ApiKey]:
    """The API keys that a file can name: the newest one of each name that is not revoked."""
    named = {key.name: key for key in keys if key.name and not key.revoked}
    return tuple(named.values())


def _blank_rule(**values: Any) -> Rule:
    return Rule("", "/", "", **values)


def _file(platform: Json | None, tenants: Mapping[str, Json]) -> Json:
    shown: Json = {FORMAT: VERSION}
    if platform is not None:
        shown["platform"] = platform
    return {**shown, "tenants": dict(sorted(tenants.items()))}


def _sections(**sections: Mapping[str, Any]) -> Json:
    return {kind: dict(sorted(items.items())) for kind, items in sections.items() if items}


def _items(shown: Sequence[Json], default: Json, *required: str) -> list[Json]:
    return [
        {**{name: one[name] for name in required}, **_changed(one, default, frozenset(required))}
        for one in shown
    ]


def _changed(shown: Mapping[str, Any], default: Mapping[str, Any], without: frozenset[str]) -> Json:
    """The members of a document that do not have their default, in order of their names."""
    found = {}
    for name in sorted(shown.keys() - without):
        value, usual = shown[name], default.get(name)
        if name in default and value == usual:
            continue
        # A part of a nested document is enough, for the others have their defaults.
        if isinstance(value, dict) and isinstance(usual, dict) and value.keys() == usual.keys():
            value = _changed(value, usual, frozenset())
        found[name] = value
    return found
