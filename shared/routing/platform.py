"""The compiled document of the platform: providers, models and prices that tenants share."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.core.empty import EMPTY
from shared.core.errors import GatewayError
from shared.model.config import Tenant
from shared.model.providers import Model, PlatformDocument, Provider
from shared.providers.resolve import SearchOrder
from shared.providers.shipped.model_table import shipped_models
from shared.routing.provider_calls import ProviderCalls, ProviderCompiler
from shared.secrets.context import PLATFORM
from shared.usage.prices import PriceTable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompiledPlatform:
    """The platform's document, compiled, immutable.

    Attributes:
        document: as it is stored.
        providers: by name, those that can be used.
        prices: of all models.
    """

    document: PlatformDocument
    providers: Mapping[str, ProviderCalls] = field(default_factory=dict)
    prices: PriceTable = field(default_factory=lambda: PriceTable(shipped_models()))
    _orders: dict[tuple[str, ...], SearchOrder] = field(default_factory=dict, repr=False, compare=False)

    def providers_for(self, tenant: Tenant) -> dict[str, ProviderCalls]:
        """The providers that are shared with a tenant, by name."""
        return {
            name: one
            for name, one in self.providers.items()
            if one.known.provider.shared.includes(tenant.id, tenant.tier)
        }

    def models_for(self, tenant: Tenant) -> dict[str, Model]:
        """The models that are shared with a tenant, by name."""
        models = self.document.models
        return {one.name: one for one in models if one.shared.includes(tenant.id, tenant.tier)}

    def order(self, providers: Sequence[ProviderCalls]) -> SearchOrder:
        """The order in which names are looked for. Tenants with the same providers share it."""
        enabled = [one for one in providers if one.known.provider.enabled]
        if any(one.known.owner != PLATFORM for one in enabled):
            return SearchOrder([one.known for one in enabled])
        names = tuple(one.known.name for one in enabled)
        if names not in self._orders:
            self._orders[names] = SearchOrder([one.known for one in enabled])
        return self._orders[names]


def compile_platform(
    document: PlatformDocument,
    compiler: ProviderCompiler,
    discovered: Mapping[str, Iterable[str]],
    before: CompiledPlatform | None = None,
) -> CompiledPlatform:
    """Compile the platform's document. A provider that cannot be used is left out and logged.

    Those of `before` are used again if they are the same objects. The same compiler must have made it.
    """
    known = EMPTY if before is None else before.providers
    providers = compile_providers(document.providers, PLATFORM, compiler, discovered, known)
    prices = PriceTable(shipped_models(), document.prices)
    return CompiledPlatform(document, providers, prices)


def compile_providers(
    providers: Iterable[Provider],
    owner: str,
    compiler: ProviderCompiler,
    discovered: Mapping[str, Iterable[str]],
    known: Mapping[str, ProviderCalls] = EMPTY,
) -> dict[str, ProviderCalls]:
    """Compile the providers of one owner, by name. One that cannot be used is left out and logged.

    Those of `known` are used again if they are the same objects.
    """
    compiled = {}
    for provider in providers:
        try:
            names, last = frozenset(discovered.get(provider.id, ())), known.get(provider.name)
            if last is not None and last.known.provider is provider and last.known.discovered == names:
                compiled[provider.name] = last
            else:
                compiled[provider.name] = compiler(provider, owner, names)
        except (GatewayError, ValueError) as error:
            logger.error("Provider %s of %s cannot be used: %s", provider.id, owner, error)
    return compiled
