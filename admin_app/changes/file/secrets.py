"""Secrets in a file that are stored already: the stored ones stay, so that nothing changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from admin_app.changes.providers import key_settings
from admin_app.changes.rule_upstreams import known_target
from admin_app.changes.secrets import secret_maps
from admin_app.context import services
from shared.documents.ai.provider_key import Reference
from shared.documents.fields import KEEP
from shared.documents.plugin_config import complete_entry
from shared.model.config import PluginConfig, Rule, Tenant
from shared.model.pools import UrlTarget
from shared.model.providers import Provider, ProviderKey
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook
from shared.providers.shipped.presets import Endpoint
from shared.secrets.context import (
    header_context,
    provider_header_context,
    provider_key_context,
    provider_query_context,
    setting_context,
    webhook_context,
)

# The members of a provider that make its address.
_OF_ORIGIN = ("kind", "base_url", "params", "apis")


def rule_with_stored(sent: Mapping[str, Any], stored: Rule, tenant_id: str) -> dict[str, Any]:
    """The body of a rule, with the stored secrets in place of equal texts."""
    url = sent["target"] or next((one.url for one in sent["targets"] or ()), "")
    contexts = {name: header_context(tenant_id, name, url) for name in sent["headers"] if url}
    targets = sent["targets"] and [
        _target(one, known_target(one, at, stored.targets), tenant_id)
        for at, one in enumerate(sent["targets"])
    ]
    return {
        **sent,
        "headers": _kept(sent["headers"], stored.headers, contexts),
        "targets": targets,
        "plugin_chain": _chain(sent["plugin_chain"], stored.plugin_chain, tenant_id),
    }


def tenant_with_stored(sent: Mapping[str, Any], stored: Tenant) -> dict[str, Any]:
    """The body of a tenant, with the stored secrets in place of equal texts."""
    found = dict(sent)
    if "plugin_chain" in sent:
        found["plugin_chain"] = _chain(sent["plugin_chain"], stored.plugin_chain, stored.id)
    if "required_plugins" in sent:
        present = tuple(stored.required_plugins.values())
        entries = _chain(list(sent["required_plugins"].values()), present, stored.id)
        found["required_plugins"] = dict(zip(sent["required_plugins"], entries, strict=True))
    return found


def provider_with_stored(sent: Mapping[str, Any], stored: Provider, owner: str) -> dict[str, Any]:
    """The body of a provider, with the stored keys and secrets in place of equal ones.

    A key keeps its id by its name; one without a name, by its place among those. Keys that were replaced, and
    are used up to their end, stay.
    """
    try:
        origin = Endpoint.of(replace(stored, **{name: sent[name] for name in _OF_ORIGIN})).base.origin
    except ValueError:  # the check of the provider says so
        return dict(sent)
    ids = (owner, stored.id)
    headers = {name: provider_header_context(*ids, name, origin) for name in sent["headers"]}
    query = {name: provider_query_context(*ids, name, origin) for name in sent["query"]}
    ending = [one for one in stored.keys if one.expires_at is not None]
    return {
        **sent,
        "headers": _kept(sent["headers"], stored.headers, headers),
        "query": _kept(sent["query"], stored.query, query),
        "keys": [
            *_keys(sent["keys"], [one for one in stored.keys if one not in ending], ids, origin),
            *({"id": one.id, "secret": KEEP, **key_settings(one)} for one in ending),
        ],
    }


def webhook_with_stored(sent: Mapping[str, Any], stored: Webhook, owner: str) -> dict[str, Any]:
    """The body of a webhook, with the stored secret in place of an equal one."""
    if not stored.url:
        return dict(sent)
    context = webhook_context(owner, stored.id, stored.url)
    return {**sent, "secret": _kept_secret(sent["secret"], stored, context)}


def _keys(
    sent: Sequence[Mapping[str, Any]], stored: Sequence[ProviderKey], ids: tuple[str, str], origin: str
) -> list[Mapping[str, Any]]:
    left = list(stored)
    found: list[Mapping[str, Any]] = []
    for one in sent:
        key = next((key for key in left if key.name == one["name"]), None)
        if key is None:
            found.append(one)
            continue
        left.remove(key)
        context = provider_key_context(*ids, key.id, origin)
        found.append({**one, "id": key.id, "secret": _kept_secret(one["secret"], key, context)})
    return found


def _kept_secret(sent: Any, stored: ProviderKey | Webhook, context: str) -> Any:
    if isinstance(sent, Reference):
        return KEEP if (sent.env, sent.file) == (stored.env, stored.file) else sent
    return KEEP if isinstance(sent, str) and _is_same(sent, stored.secret, context) else sent


def _target(sent: UrlTarget, stored: UrlTarget | None, tenant_id: str) -> UrlTarget:
    if stored is None:
        return sent
    contexts = {name: header_context(tenant_id, name, sent.url) for name in sent.headers}
    return replace(sent, headers=_kept(sent.headers, stored.headers, contexts))


def _chain(
    sent: Sequence[Mapping[str, Any]], stored: Sequence[PluginConfig], tenant_id: str
) -> list[Mapping[str, Any]]:
    return [_entry(one, at, stored, tenant_id) for at, one in enumerate(sent)]


def _entry(
    sent: Mapping[str, Any], index: int, stored: Sequence[PluginConfig], tenant_id: str
) -> Mapping[str, Any]:
    """An entry of a chain. The stored one at its place comes first."""
    entry = complete_entry(sent, services().catalogue)
    same = [one for one in stored if one.name == entry.name]
    same.sort(key=lambda one: stored[index : index + 1] != (one,))
    settings = dict(entry.settings)
    for setting in secret_maps(entry):
        values = dict(settings[setting])
        for name, value in values.items():
            secrets = [one.settings.get(setting, {}).get(name) for one in same]
            if isinstance(value, str):
                try:
                    context = setting_context(tenant_id, entry.name, setting, name, entry.settings)
                except ValueError:  # the schema of the plugin says so
                    continue
                kept = (one for one in secrets if _is_same(value, one, context))
                values[name] = next(kept, value)
        settings[setting] = values
    return {**sent, "settings": settings}


def _kept(
    sent: Mapping[str, Any], stored: Mapping[str, Sealed], contexts: Mapping[str, str]
) -> dict[str, Any]:
    """The values of a map, with the stored ones in place of equal texts. Names have no case."""
    known = {name.lower(): value for name, value in stored.items()}
    found = {}
    for name, value in sent.items():
        secret = known.get(name.lower())
        is_same = isinstance(value, str) and name in contexts and _is_same(value, secret, contexts[name])
        found[name] = secret if is_same else value
    return found


def _is_same(text: str, stored: object, context: str) -> bool:
    if not isinstance(stored, Sealed):
        return False
    try:
        return services().sealer.open(stored.text, context) == text
    except ValueError:
        return False
