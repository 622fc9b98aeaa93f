"""The names by which tenants use providers and models of the platform.

A use is ``provider:<name>`` or ``model:<name>``. A name that a tenant defines itself is its own one, and no
use of the platform's. A name in a list of allowed models is a use unless it has a ``*``.
"""

from collections.abc import Iterator, Mapping

from shared.model.budgets import Budget
from shared.model.config import Snapshot
from shared.model.providers import AiRule, Model, PlatformDocument, Shared


def provider_use(name: str) -> str:
    """The use of a provider."""
    return f"provider:{name}"


def model_use(name: str) -> str:
    """The use of a model."""
    return f"model:{name}"


def uses_shared(platform: PlatformDocument) -> Mapping[str, Shared]:
    """With which tenants the platform shares each of its providers and models."""
    providers = {provider_use(provider.name): provider.shared for provider in platform.providers}
    return providers | {model_use(model.name): model.shared for model in platform.models}


def uses_offered(platform: PlatformDocument) -> frozenset[str]:
    """The providers and models that the document of the platform offers to tenants."""
    return frozenset(uses_shared(platform))


def uses_of(snapshot: Snapshot) -> frozenset[str]:
    """The names that a tenant's document uses and does not define itself. The platform may lack them, too."""
    tenant = snapshot.tenant
    own = {provider_use(provider.name) for provider in tenant.providers}
    own |= {model_use(model.name) for model in tenant.models}
    calls = [rule.ai for rule in snapshot.rules if rule.ai is not None]
    named = {use for ai in calls for use in _named_by_rule(ai)}
    named |= {use for model in tenant.models for use in _named_by_model(model)}
    named |= {use for budget in tenant.budgets for use in _named_by_budget(budget)}
    return frozenset(named - own)


def _named_by_rule(ai: AiRule) -> Iterator[str]:
    yield from map(provider_use, ai.providers)
    for name in (ai.default_model, *(ai.models or ())):
        yield from _named_by_model_name(name)


def _named_by_model_name(name: str | None) -> Iterator[str]:
    if not name or "*" in name:
        return
    yield model_use(name)
    provider, slash, _ = name.partition("/")
    if slash:
        yield provider_use(provider)


def _named_by_budget(budget: Budget) -> Iterator[str]:
    if budget.scope.provider is not None:
        yield provider_use(budget.scope.provider)
    yield from _named_by_model_name(budget.downgrade_to)


def _named_by_model(model: Model) -> Iterator[str]:
    for target in model.targets:
        yield provider_use(target.provider)
