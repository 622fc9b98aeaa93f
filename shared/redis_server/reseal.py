"""Seals the secrets of stored contents with the newest encryption key.

A secret that cannot be opened stays as it is: it was of no use before, and is counted.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from shared.config_store.history.rename import Rewrite
from shared.config_store.records.codec import decode, encode
from shared.config_store.records.contents import KINDS, AnyRoot, Root
from shared.model.config import PluginConfig, Rule
from shared.model.providers import Provider
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
from shared.secrets.sealing import AesSealer

_WITH_SECRETS: Final = frozenset({"rules", "providers", "webhooks"})
# The context of a secret, made when it is needed: it raises ValueError for a damaged address.
_Context = Callable[[], str]


class Resealer(Rewrite):
    """Rewrites the parts and roots of an owner. `opened` secrets were sealed anew, `failed` ones stay."""

    def __init__(self, sealer: AesSealer) -> None:
        self._sealer = sealer
        self.opened = 0
        self.failed = 0

    def part(self, owner: str, kind: str, text: bytes) -> bytes:
        if kind not in _WITH_SECRETS:
            return text
        part = decode(KINDS[kind], text)
        changed = self._changed(owner, part)
        return text if changed == part else encode(changed).encode()

    def root[Kind: AnyRoot](self, owner: str, root: Kind) -> Kind:
        if not isinstance(root, Root):
            return root
        document = root.document
        changed = replace(
            document,
            required_plugins={
                name: self._entry(owner, one) for name, one in document.required_plugins.items()
            },
            plugin_chain=tuple(self._entry(owner, one) for one in document.plugin_chain),
        )
        return replace(root, document=changed)

    def _changed(self, owner: str, part: Rule | Provider | Webhook) -> Rule | Provider | Webhook:
        if isinstance(part, Rule):
            return self._rule(owner, part)
        return self._webhook(owner, part) if isinstance(part, Webhook) else self._provider(owner, part)

    def _webhook(self, owner: str, webhook: Webhook) -> Webhook:
        if webhook.secret is None:
            return webhook
        secret = self._sealed(webhook.secret, lambda: webhook_context(owner, webhook.id, webhook.url))
        return replace(webhook, secret=secret)

    def _rule(self, owner: str, rule: Rule) -> Rule:
        url = rule.targets[0].url if rule.targets else rule.target
        targets = (replace(one, headers=self._headers(owner, one.headers, one.url)) for one in rule.targets)
        return replace(
            rule,
            headers=self._headers(owner, rule.headers, url),
            targets=tuple(targets),
            plugin_chain=tuple(self._entry(owner, one) for one in rule.plugin_chain),
        )

    def _headers(self, owner: str, headers: Mapping[str, Sealed], url: str) -> Mapping[str, Sealed]:
        return {
            name: self._sealed(value, lambda name=name: header_context(owner, name, url))  # type: ignore[misc]
            for name, value in headers.items()
        }

    def _entry(self, owner: str, entry: PluginConfig) -> PluginConfig:
        def changed(setting: str, name: str, value: Any) -> Any:
            if not isinstance(value, Sealed):
                return value
            return self._sealed(
                value, lambda: setting_context(owner, entry.name, setting, name, entry.settings)
            )

        settings = {
            setting: {name: changed(setting, name, inner) for name, inner in value.items()}
            if isinstance(value, Mapping)
            else value
            for setting, value in entry.settings.items()
        }
        return replace(entry, settings=settings)

    def _provider(self, owner: str, provider: Provider) -> Provider:
        def origin() -> str:
            return Endpoint.of(provider).base.origin

        def values(values: Mapping[str, Sealed], context: Callable[..., str]) -> Mapping[str, Sealed]:
            def of(name: str) -> _Context:
                return lambda: context(owner, provider.id, name, origin())

            return {name: self._sealed(value, of(name)) for name, value in values.items()}

        keys = {key.id: key.secret for key in provider.keys if key.secret is not None}
        secrets = values(keys, provider_key_context)
        return replace(
            provider,
            keys=tuple(replace(key, secret=secrets.get(key.id, key.secret)) for key in provider.keys),
            headers=values(provider.headers, provider_header_context),
            query=values(provider.query, provider_query_context),
        )

    def _sealed(self, value: Sealed, context: _Context) -> Sealed:
        if self._sealer.is_newest(value.text):
            return value
        try:
            bound = context()
            text = self._sealer.seal(self._sealer.open(value.text, bound), bound)
        except ValueError:
            self.failed += 1
            return value
        self.opened += 1
        return Sealed(text)
