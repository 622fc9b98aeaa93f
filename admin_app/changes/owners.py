"""The owner of providers, models and webhooks: the platform, or a tenant. Both are read and changed alike."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Response

from admin_app.changes.platform import change_platform, platform
from admin_app.changes.snapshot import change_tenant, find_tenant
from admin_app.context import services
from admin_app.http.errors import ApiError, not_found
from shared.core.errors import NamesInUse, Problem, did_you_mean
from shared.model.budgets import Budget
from shared.model.config import Rule, Snapshot, Tenant
from shared.model.providers import AiRule, Model, PlatformDocument, Provider
from shared.model.uses import uses_of, uses_shared
from shared.model.webhooks import Webhook
from shared.secrets.context import PLATFORM


@dataclass(frozen=True, slots=True)
class Holding:
    """The providers, models and webhooks of an owner.

    Attributes:
        snapshot: the tenant that owns them; None for the platform.
    """

    providers: tuple[Provider, ...]
    models: tuple[Model, ...]
    snapshot: Snapshot | None = None
    webhooks: tuple[Webhook, ...] = ()

    @property
    def members(self) -> dict[str, Any]:
        """The providers, models and webhooks, by the names of the fields of their owner."""
        return {"providers": self.providers, "models": self.models, "webhooks": self.webhooks}

    def provider(self, provider_id: str) -> Provider:
        """A provider of the owner. Raises 404."""
        for provider in self.providers:
            if provider.id == provider_id:
                return provider
        raise not_found("provider")

    def model(self, name: str) -> Model:
        """A model of the owner. Raises 404."""
        for model in self.models:
            if model.name == name:
                return model
        raise not_found("model")

    def webhook(self, webhook_id: str) -> Webhook:
        """A webhook of the owner. Raises 404."""
        for webhook in self.webhooks:
            if webhook.id == webhook_id:
                return webhook
        raise not_found("webhook")

    def with_provider(self, provider: Provider) -> "Holding":
        """`provider` in place of the one with its id, or at the end."""
        if all(one.id != provider.id for one in self.providers):
            return replace(self, providers=(*self.providers, provider))
        replaced = tuple(provider if one.id == provider.id else one for one in self.providers)
        return replace(self, providers=replaced)

    def with_model(self, model: Model, old_name: str | None = None) -> "Holding":
        """`model` in place of the one with its old name, or at the end."""
        if old_name is None:
            return replace(self, models=(*self.models, model))
        return replace(self, models=tuple(model if one.name == old_name else one for one in self.models))

    def with_webhook(self, webhook: Webhook) -> "Holding":
        """`webhook` in place of the one with its id, or at the end."""
        if all(one.id != webhook.id for one in self.webhooks):
            return replace(self, webhooks=(*self.webhooks, webhook))
        replaced = tuple(webhook if one.id == webhook.id else one for one in self.webhooks)
        return replace(self, webhooks=replaced)

    @property
    def usable(self) -> Mapping[str, Provider]:
        """The providers that models and rules of the owner may name: its own before the shared ones."""
        shared = shared_providers(self.snapshot.tenant) if self.snapshot else ()
        return {provider.name: provider for provider in (*shared, *self.providers)}

    def unknown_providers(self, names: Mapping[str, str]) -> list[Problem]:
        """A problem for each name, by its pointer, that is none of `usable`."""
        known = self.usable
        return [Problem(at, _no_provider(name, known)) for at, name in names.items() if name not in known]


@dataclass(frozen=True, slots=True)
class Owner:
    """The platform, or the tenant with an id."""

    tenant_id: str | None = None

    @property
    def name(self) -> str:
        """The owner in the contexts of secrets."""
        return self.tenant_id or PLATFORM

    @property
    def is_platform(self) -> bool:
        return self.tenant_id is None

    @property
    def path(self) -> str:
        """The beginning of the paths of what it owns."""
        return "/api/v1" if self.tenant_id is None else f"/api/v1/tenants/{self.tenant_id}"

    def read(self) -> Holding:
        """Read its providers, models and webhooks. Raises 404 if the caller may not see the tenant."""
        return holding_of(platform() if self.tenant_id is None else find_tenant(self.tenant_id))

    def change(
        self, change: Callable[[Holding], Holding], respond: Callable[[Holding], Response] | None = None
    ) -> Holding:
        """Write the result of `change`; see `change_tenant` and `change_platform`."""
        now = services().clock.now()

        def finish(stored: Snapshot | PlatformDocument) -> Response:
            return respond(holding_of(stored)) if respond else Response()

        def of_platform(before: PlatformDocument) -> PlatformDocument:
            after = change(holding_of(before))
            return replace(before, **after.members, updated_at=now)

        def of_tenant(before: Snapshot) -> Snapshot:
            after = change(holding_of(before))
            return replace(before, tenant=replace(before.tenant, **after.members, updated_at=now))

        if self.tenant_id is None:
            return holding_of(change_platform(of_platform, finish if respond else None))
        return holding_of(change_tenant(self.tenant_id, of_tenant, finish if respond else None))


def shared_providers(tenant: Tenant) -> Sequence[Provider]:
    """The providers that the platform shares with a tenant."""
    return [one for one in platform().providers if one.shared.includes(tenant.id, tenant.tier)]


def shared_models(tenant: Tenant) -> Sequence[Model]:
    """The models that the platform shares with a tenant."""
    return [one for one in platform().models if one.shared.includes(tenant.id, tenant.tier)]


def providers_of_rule(ai: AiRule, holding: Holding) -> Sequence[Provider]:
    """The providers of a rule for AI, as far as they exist; without names, all that it could use."""
    usable = holding.usable
    return [usable[name] for name in ai.providers or usable if name in usable]


def check_unused(holding: Holding, *, provider: str | None = None, model: str | None = None) -> None:
    """Raise 409 when rules, models or budgets of the owner name the provider or the model.

    Tenants that use what the platform shares are found by the store.
    """
    users = [f"the model {one.name}" for one in holding.models if provider in _providers_of_model(one)]
    for rule in holding.snapshot.rules if holding.snapshot else ():
        if rule.ai is None:
            continue
        named = {rule.ai.default_model, *(rule.ai.models or ())}
        prefixes = {name.partition("/")[0] for name in named if name and "/" in name}
        if provider in {*rule.ai.providers, *prefixes} or (model is not None and model in named):
            users.append(f"the rule {rule.id} ({rule.path})")
    for budget in holding.snapshot.tenant.budgets if holding.snapshot else ():
        named = {budget.downgrade_to} - {None}
        prefixes = {name.partition("/")[0] for name in named if name and "/" in name}
        if provider in {budget.scope.provider or "", *prefixes} or model in named:
            users.append(f"the budget {budget.name}")
    if users:
        name = f"The provider {provider}" if provider is not None else f"The model {model}"
        raise ApiError("in_use", f"{name} is used by {', '.join(users)}. Change these first.")


def name_taken[Item: (Provider, Model, Rule, Budget, Webhook)](
    before: Item, after: Item, all_items: Iterable[Item]
) -> ApiError | None:
    """409 if another one of `all_items` than the one `before` the change has the name `after` it."""
    # No function is called per item: a file has thousands of rules, each with a name of its own.
    if after.name not in [one.name for one in all_items if one is not before]:
        return None
    kind = type(after).__name__.lower()
    detail = f"Another {kind} has the name {after.name}. Choose another one."
    return ApiError("name_taken", detail, [Problem("/name", detail)])


def check_keeps_shared(before: Snapshot, after: Snapshot) -> None:
    """Raise `NamesInUse` when another tier takes from a tenant what it names of the platform's."""
    tenant, tier, used = after.tenant, before.tenant.tier, uses_of(after)
    if tier == tenant.tier or not used:
        return
    lost = [
        use
        for use, shared in uses_shared(platform()).items()
        if use in used and shared.includes(tenant.id, tier) and not shared.includes(tenant.id, tenant.tier)
    ]
    if lost:
        raise NamesInUse({use: [tenant.id] for use in sorted(lost)})


def _providers_of_model(model: Model) -> set[str | None]:
    return {target.provider for target in model.targets}


def _no_provider(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    allowed = ", ".join(names) or "none"
    return f"There is no provider {name}. Allowed: {allowed}.{did_you_mean(name, names)}"


def holding_of(owned: Snapshot | PlatformDocument) -> Holding:
    """The providers, models and webhooks of the owner."""
    if isinstance(owned, PlatformDocument):
        return Holding(owned.providers, owned.models, None, owned.webhooks)
    return Holding(owned.tenant.providers, owned.tenant.models, owned, owned.tenant.webhooks)
