"""The providers that an owner may use in rules for AI, as rules know them, and their models."""

from collections.abc import Mapping

from admin_app.changes.owners import Holding, providers_of_rule, shared_models
from admin_app.context import services
from shared.config_store.records.platform import discovering
from shared.model.providers import AiRule, Discovered, Model
from shared.providers.resolve import KnownProvider, Resolver, SearchOrder
from shared.providers.shipped.presets import Endpoint
from shared.secrets.context import PLATFORM
from shared.translation.pairs import served_apis


class Offered:
    """The providers and models that an owner may use. A provider whose address is wrong is left out.

    Attributes:
        providers: by name, the owner's in place of shared ones of the same name.
        models: likewise.
        discovered: the lists of models that were fetched, by the ids of the providers.
    """

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        usable = holding.usable
        self.discovered: Mapping[str, Discovered] = services().store.discovered(discovering(usable.values()))
        shared = shared_models(holding.snapshot.tenant) if holding.snapshot else ()
        self.models: Mapping[str, Model] = {one.name: one for one in (*shared, *holding.models)}
        self.providers: dict[str, KnownProvider] = {}
        own = {one.id for one in holding.providers}
        tenant = holding.snapshot.tenant.id if holding.snapshot else PLATFORM
        for name, provider in usable.items():
            try:
                endpoint = Endpoint.of(provider)
            except ValueError:
                continue
            listed = self.discovered.get(provider.id)
            names = frozenset(listed.names) if listed else frozenset()
            owner = tenant if provider.id in own else PLATFORM
            self.providers[name] = KnownProvider(provider, owner, endpoint, names)

    def resolver(self, ai: AiRule) -> Resolver:
        """The resolver of a rule, as a worker has it."""
        named = [one.name for one in providers_of_rule(ai, self._holding) if one.enabled]
        order = SearchOrder([self.providers[name] for name in named if name in self.providers])
        return Resolver(ai, order, self.providers, self.models, served_apis)

    def apis(self, ai: AiRule) -> frozenset[str]:
        """The APIs of providers that a rule serves."""
        served = served_apis({api for one in self.providers.values() for api in one.endpoint.apis})
        return served if ai.apis is None else served.intersection(ai.apis)
