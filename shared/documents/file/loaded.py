"""The loaded entries of a file as they are stored, with an empty text in place of each secret and each id."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from shared.budgets.settings import budget_values
from shared.documents.ai.pool import POOL_MEMBERS, policy_of
from shared.documents.ai.provider_key import Reference
from shared.documents.file.parse import FileOwner
from shared.documents.plugin_config import complete_entry
from shared.http.paths import rule_path
from shared.model.budgets import PLATFORM, Budget
from shared.model.config import ApiKey, PluginConfig, Rule, Snapshot, Tenant
from shared.model.pools import AI_POLICY, PoolPolicy
from shared.model.providers import Model, PlatformDocument, Provider, ProviderKey
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook
from shared.pipeline.plugin import Plugin

_SEALED: Final = Sealed("")


def rule_of(name: str, sent: Mapping[str, Any], catalogue: Mapping[str, type[Plugin]]) -> Rule:
    """A loaded rule as it is stored, but for its secrets."""
    values = {key: value for key, value in sent.items() if key not in POOL_MEMBERS}
    targets = tuple(replace(one, headers=_hidden(one.headers)) for one in sent["targets"] or ())
    values |= {
        "name": name,
        "target": sent["target"] or "",
        "targets": targets,
        "headers": _hidden(sent["headers"]),
        "methods": tuple(dict.fromkeys(sent["methods"])),
        "plugin_chain": _entries(sent["plugin_chain"], catalogue),
        "policy": policy_of(sent, PoolPolicy()) if targets else PoolPolicy(),
    }
    rule = Rule("", **values)
    try:
        return replace(rule, path=rule_path(rule.path, rule.match))
    except ValueError:  # to apply it is rejected
        return rule


def provider_of(name: str, sent: Mapping[str, Any]) -> Provider:
    """A loaded provider as it is stored, but for its secrets."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in sent.items()
    }
    hidden = {key: _hidden(sent[key]) for key in ("headers", "query")}
    keys = tuple(_key_of(one) for one in sent["keys"])
    return Provider("", name, **{**values, **hidden, "keys": keys})


def model_of(name: str, sent: Mapping[str, Any]) -> Model:
    """A loaded model as it is stored."""
    values = {key: value for key, value in sent.items() if key not in POOL_MEMBERS}
    return Model(name, **{**values, "targets": tuple(sent["targets"])}, policy=policy_of(sent, AI_POLICY))


def budget_of(name: str, sent: Mapping[str, Any]) -> Budget:
    """A loaded budget as it is stored, with the names that its scope has in a file."""
    values = budget_values(sent)
    return Budget(id="", name=name, **{**values, "owner": values["owner"] or PLATFORM})


def webhook_of(name: str, sent: Mapping[str, Any]) -> Webhook:
    """A loaded webhook as it is stored, but for its secret."""
    return Webhook(id="", name=name, **{**sent, **_secret_of(sent)})


def platform_of(owner: FileOwner) -> PlatformDocument:
    """The platform of a file."""
    return PlatformDocument(
        providers=tuple(provider_of(name, sent) for name, sent in _sent(owner.providers)),
        models=tuple(model_of(name, sent) for name, sent in _sent(owner.models)),
        prices=owner.prices or {},
        webhooks=tuple(webhook_of(name, sent) for name, sent in _sent(owner.webhooks)),
    )


def tenant_of(subdomain: str, sent: Mapping[str, Any], catalogue: Mapping[str, type[Plugin]]) -> Tenant:
    """The loaded fields of a tenant as they are stored."""
    enabled = sent["enabled_plugins"]
    values = {
        **sent,
        "enabled_plugins": None if enabled is None else tuple(dict.fromkeys(enabled)),
        "required_plugins": {
            name: _entries([one], catalogue)[0] for name, one in sent["required_plugins"].items()
        },
        "plugin_chain": _entries(sent["plugin_chain"], catalogue),
    }
    return Tenant("", subdomain=subdomain, **values)


def snapshot_of(subdomain: str, owner: FileOwner, catalogue: Mapping[str, type[Plugin]]) -> Snapshot:
    """A tenant of a file, which was read as a whole."""
    tenant = replace(
        tenant_of(subdomain, owner.tenant.sent or {}, catalogue),
        providers=tuple(provider_of(name, one) for name, one in _sent(owner.providers)),
        models=tuple(model_of(name, one) for name, one in _sent(owner.models)),
        budgets=tuple(budget_of(name, one) for name, one in _sent(owner.budgets)),
        webhooks=tuple(webhook_of(name, one) for name, one in _sent(owner.webhooks)),
    )
    rules = tuple(rule_of(name, one, catalogue) for name, one in _sent(owner.rules))
    keys = tuple(ApiKey("", name, "", "", **one) for name, one in _sent(owner.api_keys))
    return Snapshot(tenant, rules, keys)


def has_secrets(rule: Mapping[str, Any], catalogue: Mapping[str, type[Plugin]]) -> bool:
    """Whether a loaded rule has a secret as text, which may be another one than the stored."""
    maps = [rule["headers"], *(one.headers for one in rule["targets"] or ())]
    return any(isinstance(value, str) for one in maps for value in one.values()) or any_secrets(
        rule["plugin_chain"], catalogue
    )


def tenant_entries(tenant: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The entries of the chains of a loaded tenant."""
    return [*tenant["plugin_chain"], *tenant["required_plugins"].values()]


def any_secrets(entries: Iterable[Mapping[str, Any]], catalogue: Mapping[str, type[Plugin]]) -> bool:
    """Whether loaded entries of a chain have a secret as text."""
    return any(
        isinstance(value, str)
        for one in entries
        for setting in (catalogue[one["name"]].secrets if one["name"] in catalogue else ())
        for value in dict(one["settings"].get(setting) or {}).values()
    )


def _sent(section: Mapping[str, Any] | None) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return [(name, entry.sent or {}) for name, entry in (section or {}).items()]


def _secret_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say where a secret is."""
    secret = sent["secret"]
    if isinstance(secret, Reference):
        return {"secret": None, "env": secret.env, "file": secret.file}
    return {"secret": _SEALED}


def _key_of(sent: Mapping[str, Any]) -> ProviderKey:
    own = {name: sent[name] for name in ("name", "weight", "enabled")}
    models = sent["models"]
    return ProviderKey(
        id="", **own, **_secret_of(sent), models=None if models is None else tuple(dict.fromkeys(models))
    )


def _entries(
    sent: Iterable[Mapping[str, Any]], catalogue: Mapping[str, type[Plugin]]
) -> tuple[PluginConfig, ...]:
    """Entries of a chain with the defaults of their plugins, and with their secrets hidden."""
    found = []
    for one in sent:
        entry = complete_entry(one, catalogue)
        secrets = catalogue[entry.name].secrets if entry.name in catalogue else ()
        hidden = {
            setting: _hidden(entry.settings[setting])
            for setting in secrets
            if isinstance(entry.settings.get(setting), Mapping)
        }
        found.append(replace(entry, settings={**entry.settings, **hidden}))
    return tuple(found)


def _hidden(values: Mapping[str, Any]) -> dict[str, Sealed]:
    return dict.fromkeys(values, _SEALED)
