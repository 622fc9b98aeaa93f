"""The limits in a tenant's chains, as the views show and check them."""

from collections.abc import Sequence

from admin_app.context import services
from shared.core.errors import Invalid
from shared.limits.compiled import CompiledLimit
from shared.model.config import Rule, Tenant
from shared.pipeline.chain import effective_chain, resolve_chain
from shared.plugins.rate_limiter import RateLimiter


def limits_of(tenant: Tenant, rule: Rule | None) -> Sequence[CompiledLimit]:
    """The limits that apply to requests of `rule`, with the tier's; without a rule, those of the tenant.

    Empty if the chain is invalid: such a rule rejects every request.
    """
    chain = effective_chain(tenant, rule, services().settings.tiers.get(tenant.tier))
    limiting = [entry for entry in chain if services().catalogue.get(entry.config.name) is RateLimiter]
    try:
        entries = resolve_chain(limiting, tenant, rule.id if rule else "", services().catalogue)
    except Invalid:
        return ()
    return RateLimiter.merge(entries).compiled_limits
