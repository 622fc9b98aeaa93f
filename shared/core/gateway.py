"""One tenant's whole configuration, compiled: what the request path only has to look up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.core.errors import GatewayError
from shared.core.model import ApiKey, Rule, Snapshot, Tenant, Tier
from shared.core.pipeline.plan import Plan
from shared.core.routing import Router
from shared.core.targets import Target, parse_target


@dataclass(frozen=True, slots=True)
class Route:
    """A rule, ready to act. `fault` says why it cannot be used; then every request to it is refused.

    `headers` are the rule's own, opened, to set on the upstream request.
    """

    rule: Rule
    target: Target
    headers: Mapping[str, str]
    plan: Plan
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """An immutable, versioned snapshot of one tenant. `keys` maps a key's hash to its record."""

    snapshot: Snapshot
    tier: Tier
    keys: Mapping[str, ApiKey]
    router: Router[Route]


_NOWHERE = Target("http", "gateway.invalid", 80)
_NO_PLAN = Plan()

Planner = Callable[[Tenant, Rule, Tier], Plan]
Opener = Callable[[Tenant, Rule], Mapping[str, str]]


def compile_gateway(
    snapshot: Snapshot, tiers: Mapping[str, Tier], plan: Planner, open_headers: Opener
) -> Gateway:
    """Compile a tenant. A rule that cannot be compiled fails closed by itself and harms no other.

    An unknown tier (the operator took it out of config.yaml) is the strictest reading: nothing passes.
    """
    tenant = snapshot.tenant
    tier = tiers.get(tenant.tier)
    routes = []
    for rule in snapshot.rules:
        if tier is None:
            routes.append(_broken(rule, f"The tier {tenant.tier} is not in config.yaml."))
        else:
            routes.append(_compile_route(tenant, rule, tier, plan, open_headers))
    keys = {key.hash: key for key in snapshot.keys}
    return Gateway(snapshot, tier or Tier(tenant.tier), keys, Router.build(routes))


def _compile_route(tenant: Tenant, rule: Rule, tier: Tier, plan: Planner, open_headers: Opener) -> Route:
    try:
        return Route(rule, parse_target(rule.target), open_headers(tenant, rule), plan(tenant, rule, tier))
    except (GatewayError, ValueError) as error:
        return _broken(rule, str(error))


def _broken(rule: Rule, why: str) -> Route:
    return Route(rule, _NOWHERE, {}, _NO_PLAN, fault=why)
