"""Which tenants a change of the platform's document concerns."""

from collections.abc import Iterable, Mapping

from shared.model.config import Snapshot, Tenant
from shared.model.providers import Discovered, Model, PlatformDocument, Provider, Shared


class PlatformChanges:
    """The differences between two documents of the platform."""

    def __init__(self, before: PlatformDocument, after: PlatformDocument) -> None:
        old = {one.name: (one, before.discovered.get(one.id)) for one in before.providers}
        new = {one.name: (one, after.discovered.get(one.id)) for one in after.providers}
        self._providers = _sharing_of_changed(old, new)
        models = _sharing_of_changed(
            {one.name: (one, None) for one in before.models}, {one.name: (one, None) for one in after.models}
        )
        # A tenant reaches these providers by models that are shared with it.
        for model in (*before.models, *after.models):
            if any(target.provider in self._providers for target in model.targets):
                models[model.name] = [*models.get(model.name, ()), model.shared]
        self._models = models
        self._prices = before.prices != after.prices

    def __bool__(self) -> bool:
        return self._prices or bool(self._providers or self._models)

    def concerned(self, snapshots: Iterable[Snapshot]) -> list[str]:
        """The ids of the tenants for which what they may call can differ, in the same order."""
        return [snapshot.tenant.id for snapshot in snapshots if self._concern(snapshot)]

    def _concern(self, snapshot: Snapshot) -> bool:
        rules = [rule.ai for rule in snapshot.rules if rule.ai is not None]
        if not rules:
            return False
        tenant = snapshot.tenant
        if self._prices or _are_shared(self._models, {model.name for model in tenant.models}, tenant):
            return True
        providers: Mapping[str, list[Shared]] = self._providers
        if all(rule.providers for rule in rules):
            named = {name for rule in rules for name in rule.providers}
            named |= {target.provider for model in tenant.models for target in model.targets}
            providers = {name: sharing for name, sharing in providers.items() if name in named}
        return _are_shared(providers, {provider.name for provider in tenant.providers}, tenant)


def _sharing_of_changed[Item: (Provider, Model)](
    old: Mapping[str, tuple[Item, Discovered | None]], new: Mapping[str, tuple[Item, Discovered | None]]
) -> dict[str, list[Shared]]:
    """With whom each item that differs was and is shared, by its name."""
    return {
        name: [found[0].shared for found in (old.get(name), new.get(name)) if found]
        for name in old.keys() | new.keys()
        if old.get(name) != new.get(name)
    }


def _are_shared(items: Mapping[str, list[Shared]], own: Iterable[str], tenant: Tenant) -> bool:
    """Whether the tenant may use any of the items; its `own` ones of the same names stand before them."""
    hidden = set(own)
    return any(
        name not in hidden and any(one.includes(tenant.id, tenant.tier) for one in sharing)
        for name, sharing in items.items()
    )
