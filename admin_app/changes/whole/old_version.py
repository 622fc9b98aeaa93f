"""An old version as the document that a rollback writes: which secrets and which fields it has.

Where the thing still exists under its id and origin, the present secret stays. Another one comes back from
the old version for rules and plugins, and never for providers. Each such secret has a warning.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from marshmallow import Schema, ValidationError

from admin_app.auth.access import caller
from admin_app.auth.field_access import (
    PROVIDER_FIELDS,
    RULE_FIELDS,
    TENANT_FIELDS,
    may_change,
    writable_limits,
)
from admin_app.changes.rule_upstreams import known_target, origins_of
from admin_app.changes.secrets import secret_maps, stored_secret
from admin_app.changes.whole.document import Part, Wanted
from admin_app.changes.whole.webhook import origin_of
from admin_app.context import services
from shared.config_store.records.contents import Document, PlatformContent
from shared.core.errors import Invalid, Problem
from shared.core.fields import problems_of
from shared.core.json_pointer import escape_step
from shared.documents.ai.budget import BudgetReplacement, budget_document
from shared.documents.ai.model import ModelReplacement, PlatformModelReplacement, model_document
from shared.documents.ai.provider import PlatformProviderReplacement, ProviderReplacement, provider_document
from shared.documents.ai.provider_model import PlatformPrices
from shared.documents.alerts.webhook import PlatformWebhookReplacement, WebhookReplacement, webhook_document
from shared.documents.fields import KEEP, READ_ONLY, is_set
from shared.documents.history.versions import settings_document
from shared.documents.rule import RuleReplacement, rule_document
from shared.documents.tenant import TenantPatch
from shared.model.budgets import Budget, BudgetScope
from shared.model.config import PluginConfig, Rule, Snapshot
from shared.model.providers import Model, PlatformDocument, Provider, ProviderKey
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook
from shared.providers.shipped.presets import Endpoint

_RETURNED = "This secret comes back from the old version, because no newer one is stored."
_LEFT_OUT = "No version gives a provider's secrets back, so this one is left out. Send it again."
_NO_KEY = "No version gives a provider's secrets back, so the key {} is left out. Add it again."
_PLATFORMS = "Only the platform may write this field, so it keeps its present value."
_PLATFORMS_BUDGET = "Only the platform may change this budget, so it stays as it is."
_KEY_STATE = ("expires_at", "created_at", "status", "cooling_until", "last_error")


class OldVersion:
    """The content of an old version, for what is stored now.

    Attributes:
        wanted: the document to write.
        warnings: secrets that come back or are left out, and fields that stay.
    """

    def __init__(self, old: Document | PlatformContent, before: Snapshot | PlatformDocument) -> None:
        self.warnings: list[Problem] = []
        self._problems: list[Problem] = []
        self._is_platforms = isinstance(before, PlatformDocument)
        owner = before if isinstance(before, PlatformDocument) else before.tenant
        providers = {one.id: one for one in owner.providers}
        models = {one.name: one for one in owner.models}
        webhooks = {one.id: one for one in owner.webhooks}
        wanted = Wanted(
            providers={one.id: self._provider(one, providers.get(one.id)) for one in old.providers},
            models={one.name: self._model(one, models.get(one.name)) for one in old.models},
            webhooks={one.id: self._webhook(one, webhooks.get(one.id)) for one in old.webhooks},
        )
        if isinstance(old, PlatformContent):
            prices = self._load(PlatformPrices(), {"prices": old.prices}, "").get("prices", {})
            wanted = replace(wanted, prices={name: dict(one) for name, one in prices.items()})
        elif isinstance(before, Snapshot):
            rules = {one.id: one for one in before.rules}
            wanted = replace(
                wanted,
                tenant=self._tenant(old, Document.of(before)),
                rules={one.id: self._rule(one, rules.get(one.id)) for one in old.rules},
                budgets=self._budgets(old.budgets, before.tenant.budgets),
            )
        self.wanted = wanted
        if self._problems:
            raise Invalid(self._problems)

    def _load(self, schema: Schema, document: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        """The body that a document is. One that this release no longer accepts is a problem."""
        try:
            sent: dict[str, Any] = schema.load(document)
        except ValidationError as error:
            found = problems_of(error.messages)
            self._problems += [replace(one, pointer=pointer + one.pointer) for one in found]
            return {}
        return sent

    def _tenant(self, old: Document, stored: Document) -> Mapping[str, Any]:
        document, known = settings_document(old), settings_document(stored)
        changed = {name: value for name, value in document.items() if value != known[name]}
        if not caller().is_platform:
            for name in changed.keys() & set(TENANT_FIELDS):
                self.warnings.append(Problem(f"/{name}", _PLATFORMS))
                del changed[name]
        sent = self._load(TenantPatch(partial=True), changed, "")
        if "plugin_chain" in sent:
            self._entries(sent["plugin_chain"], old.plugin_chain, stored.plugin_chain, "/plugin_chain")
        if "required_plugins" in sent:
            required, names = old.required_plugins, list(old.required_plugins)
            entries = [sent["required_plugins"][name] for name in names]
            present = tuple(stored.required_plugins.values())
            self._entries(entries, tuple(required.values()), present, "/required_plugins", names)
        return sent

    def _rule(self, old: Rule, stored: Rule | None) -> Part[Rule]:
        at = f"/rules/{old.id}"
        document = _writable(rule_document(old))
        basis = stored or Rule(old.id, old.path, "", created_at=old.created_at)
        if stored and document == _writable(rule_document(stored)):
            return Part({}, stored)
        sent = self._load(RuleReplacement(), document, at)
        if not sent:
            return Part(sent, basis)
        same = stored is not None and origins_of(stored) == origins_of(old)
        self._headers(sent["headers"], old.headers, basis.headers if same else {}, f"{at}/headers")
        for i, target in enumerate(sent["targets"] or ()):
            known = known_target(target, i, basis.targets)
            present = known.headers if known else {}
            headers = dict(target.headers)
            self._headers(headers, old.targets[i].headers, present, f"{at}/targets/{i}/headers")
            sent["targets"][i] = replace(target, headers=headers)
        self._entries(sent["plugin_chain"], old.plugin_chain, basis.plugin_chain, f"{at}/plugin_chain")
        self._keep(sent, old, basis, RULE_FIELDS, at)
        limits = writable_limits(basis.limits, sent["limits"])
        if limits != sent["limits"]:
            self.warnings.append(Problem(f"{at}/limits", _PLATFORMS))
            sent["limits"] = limits
        return Part(sent, basis)

    def _headers(
        self,
        sent: MutableMapping[str, Any],
        old: Mapping[str, Sealed],
        present: Mapping[str, Sealed],
        pointer: str,
    ) -> None:
        """Put the old secret in the place of each one that is not stored now."""
        known = {name.lower() for name in present}
        for name in [name for name in sent if name.lower() not in known]:
            sent[name] = old[name]
            self.warnings.append(Problem(f"{pointer}/{escape_step(name)}", _RETURNED))

    def _entries(
        self,
        sent: Sequence[MutableMapping[str, Any]],
        old: Sequence[PluginConfig],
        stored: Sequence[PluginConfig],
        pointer: str,
        steps: Sequence[str] | None = None,
    ) -> None:
        """Put the present secret, or else the old one, in its place. `steps` are the names of the entries."""
        known = set(_secrets(stored))
        # A secret that an entry still has is not that of another one.
        others = [_without(one, set(_secrets(old))) for one in stored]
        for i, (entry, before) in enumerate(zip(sent, old, strict=True)):
            at = f"{pointer}/{escape_step(steps[i]) if steps else i}"
            settings = dict(entry["settings"])
            for setting in secret_maps(before):
                values = dict(settings[setting])
                for name in [name for name, value in values.items() if is_set(value)]:
                    own = before.settings[setting][name]
                    found = own if own in known else stored_secret(before, others, i, setting, name)
                    values[name] = found
                    if not isinstance(found, Sealed):
                        values[name] = own
                        place = f"{at}/settings/{setting}/{escape_step(name)}"
                        self.warnings.append(Problem(place, _RETURNED))
                settings[setting] = values
            entry["settings"] = settings

    def _provider(self, old: Provider, stored: Provider | None) -> Part[Provider]:
        at = f"/providers/{old.id}"
        document = self._provider_document(old)
        if stored and document == self._provider_document(stored):
            return Part({}, stored)
        blank = Provider(old.id, old.name, old.kind, created_at=old.created_at, version=old.version)
        basis = stored or blank
        present = {one.id: one for one in basis.keys}
        same = stored is not None and _origin(stored) == _origin(old)
        kept = [one for one in old.keys if one.is_outside or _stays(present.get(one.id), same=same)]
        names = [one.name or one.id for one in old.keys if one not in kept]
        self.warnings += [Problem(f"{at}/keys", _NO_KEY.format(name)) for name in names]
        ids = {one.id for one in kept}
        document["keys"] = [one for one in document["keys"] if one["id"] in ids]
        for name in ("headers", "query"):
            fold: Callable[[str], str] = str.lower if name == "headers" else str
            known = {fold(one) for one in getattr(basis, name)} if same else set()
            gone = [one for one in document[name] if fold(one) not in known]
            self.warnings += [Problem(f"{at}/{name}/{escape_step(one)}", _LEFT_OUT) for one in gone]
            document[name] = {one: value for one, value in document[name].items() if one not in gone}
        schema = PlatformProviderReplacement() if self._is_platforms else ProviderReplacement()
        sent = self._load(schema, document, at)
        self._keep(sent, old, basis, PROVIDER_FIELDS, at)
        # A key without a secret of its own keeps its id.
        outside = tuple(one for one in kept if one.id not in present)
        return Part(sent, replace(basis, keys=(*basis.keys, *outside)))

    def _provider_document(self, provider: Provider) -> dict[str, Any]:
        document = _writable(provider_document(provider, is_platforms=self._is_platforms))
        for key in document["keys"]:
            key["secret"].pop("hint", None)
            for name in _KEY_STATE:
                del key[name]
        return document

    def _model(self, old: Model, stored: Model | None) -> Part[Model]:
        document, present = (
            one and _writable(model_document(one, is_platforms=self._is_platforms)) for one in (old, stored)
        )
        if stored and document == present:
            return Part({}, stored)
        schema = PlatformModelReplacement() if self._is_platforms else ModelReplacement()
        sent = self._load(schema, document or {}, f"/models/{escape_step(old.name)}")
        return Part(sent, stored or Model(old.name, (), created_at=old.created_at))

    def _webhook(self, old: Webhook, stored: Webhook | None) -> Part[Webhook]:
        document = _writable(webhook_document(old))
        if stored and document == _writable(webhook_document(stored)):
            return Part({}, stored)
        at = f"/webhooks/{old.id}"
        schema = PlatformWebhookReplacement() if self._is_platforms else WebhookReplacement()
        sent = self._load(schema, document, at)
        same = stored is not None and stored.secret is not None and origin_of(stored) == origin_of(old)
        if sent.get("secret") is KEEP and not same:
            sent["secret"] = old.secret
            self.warnings.append(Problem(f"{at}/secret", _RETURNED))
        return Part(sent, stored or Webhook(id=old.id, name=old.name, url="", created_at=old.created_at))

    def _budgets(self, old: Sequence[Budget], present: Sequence[Budget]) -> dict[str, Part[Budget]]:
        """The budgets of the old version. Those of the platform stay, if the caller is a tenant."""
        stored = {one.id: one for one in present}
        kept = {one.id: one for one in present if not may_change(one)}
        found = {one: Part[Budget]({}, budget) for one, budget in kept.items()}
        was = {one.id: one for one in old}
        for budget_id in {**was, **kept}:
            if budget_id not in kept and may_change(was[budget_id]):
                found[budget_id] = self._budget(was[budget_id], stored.get(budget_id))
            elif was.get(budget_id) != kept.get(budget_id):
                self.warnings.append(Problem(f"/budgets/{budget_id}", _PLATFORMS_BUDGET))
        return found

    def _budget(self, old: Budget, stored: Budget | None) -> Part[Budget]:
        if old == stored:
            return Part({}, stored)
        document = _writable(budget_document(old))
        del document["increases"]
        sent = self._load(BudgetReplacement(), document, f"/budgets/{old.id}")
        # An API key that is gone does not come back, and the rest of the version does not wait for it.
        scope = replace(stored.scope if stored else BudgetScope(), key=old.scope.key)
        downgrade_to = stored.downgrade_to if stored else None
        basis = replace(stored or old, scope=scope, downgrade_to=downgrade_to, increases=old.increases)
        return Part(sent, basis)

    def _keep(self, sent: dict[str, Any], old: Any, stored: Any, names: Iterable[str], at: str) -> None:
        """Keep the fields that only the platform may write, if the caller is a tenant."""
        if caller().is_platform:
            return
        for name in names:
            sent[name] = getattr(stored, name)
            if getattr(old, name) != sent[name]:
                self.warnings.append(Problem(f"{at}/{name}", _PLATFORMS))


def _secrets(entries: Iterable[PluginConfig]) -> Iterator[Sealed]:
    for entry in entries:
        for setting in secret_maps(entry):
            yield from (value for value in entry.settings[setting].values() if isinstance(value, Sealed))


def _without(entry: PluginConfig, secrets: Container[Any]) -> PluginConfig:
    """The entry without some of its secrets."""
    left = {
        setting: {name: value for name, value in entry.settings[setting].items() if value not in secrets}
        for setting in secret_maps(entry)
    }
    return replace(entry, settings={**entry.settings, **left})


def _stays(key: ProviderKey | None, *, same: bool) -> bool:
    """Whether a key has a secret now that stays: it is not at its end, and for the same origin."""
    if key is None or (key.expires_at is not None and key.expires_at <= services().clock.now()):
        return False
    return same or key.is_outside


def _origin(provider: Provider) -> str | None:
    try:
        return Endpoint.of(provider).base.origin
    except ValueError:
        return None


def _writable(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document without the members that only the gateway writes."""
    return {name: value for name, value in document.items() if name not in READ_ONLY}
