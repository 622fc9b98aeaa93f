"""A tenant's limits as its chains ask for them, for the views that show and judge them."""

from collections.abc import Sequence

from admin_app.context import services
from shared.core.errors import Invalid
from shared.limits.compiled import CompiledLimit
from shared.limits.warnings import limit_warnings
from shared.model.config import Rule, Tenant
from shared.pipeline import effective_chain, resolve_chain
from shared.plugins.rate_limiter import RateLimiter


def limits_of(tenant: Tenant, rule: Rule | None) -> Sequence[CompiledLimit]:
    """What requests of `rule` are counted by, with the tier's ceiling; without a rule, the tenant's part.

    None when the chain cannot be used: then nothing passes, and nothing is counted.
    """
    placed = effective_chain(tenant, rule, services().settings.tiers.get(tenant.tier))
    kinds = (services().catalogue.get(item.config.name) for item in placed)
    limiting = [item for item, kind in zip(placed, kinds, strict=True) if kind is RateLimiter]
    try:
        entries = resolve_chain(limiting, tenant, rule.id if rule else "", services().catalogue)
    except Invalid:
        return ()
    return RateLimiter.merge(entries).compiled_limits


def warnings_of_tenant(tenant: Tenant) -> list[str]:
    """What the writer of the tenant's own limits may not have meant."""
    return limit_warnings(limits_of(tenant, None))


def warnings_of_rule(tenant: Tenant, rule: Rule) -> list[str]:
    """What the writer of the rule's limits may not have meant; the tenant's own are not the rule's affair."""
    known = warnings_of_tenant(tenant)
    return [warning for warning in limit_warnings(limits_of(tenant, rule)) if warning not in known]
