"""The limits in a tenant's chains, as the views show and check them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from admin_app.changes.entries import parsed_once
from admin_app.context import services
from shared.core.errors import Invalid, Problem
from shared.limits.compiled import CompiledLimit, limit_warnings, metered_warnings
from shared.model.config import Rule, Tenant
from shared.pipeline.chain import ChainEntry, effective_chain, resolve_chain
from shared.pipeline.plugin import ResolvedEntry
from shared.plugins.rate_limiter import RateLimiter

type Limits = Sequence[CompiledLimit]


def limits_by_rule(tenant: Tenant, rules: Iterable[Rule]) -> dict[str | None, Limits]:
    """The limits that apply to requests of each rule, by its id, with the tier's; under None, the tenant's.

    Empty for an invalid chain: such a rule rejects every request. Each entry is parsed once.
    """
    common = _resolve(effective_chain(tenant, None, services().settings.tiers.get(tenant.tier)), tenant)
    found: dict[str | None, Limits] = {None: _compiled(common)}
    for rule in rules:
        own = _resolve((one for one in effective_chain(tenant, rule, None) if one.origin == "rule"), tenant)
        is_valid = common is not None and own is not None
        together = [replace(entry, rule_id=rule.id) for entry in (*(common or ()), *(own or ()))]
        found[rule.id] = _compiled(together if is_valid else None)
    return found


def warnings_about_limits(
    tenant: Tenant, rule: Rule | None, limits: Mapping[str | None, Limits] | None = None
) -> list[Problem]:
    """Warnings about the limits of a rule beside those of its tenant; without a rule, about the tenant's.

    `limits` are those of `limits_by_rule`, if they are known.
    """
    limits = limits or limits_by_rule(tenant, [rule] if rule else ())
    texts = limit_warnings(limits[rule.id], known=limits[None]) if rule else limit_warnings(limits[None])
    if rule is not None and rule.ai is None:
        texts += metered_warnings(one for one in limits[rule.id] if one not in limits[None])
    return [Problem("/plugin_chain", text) for text in texts]


def _resolve(chain: Iterable[ChainEntry], tenant: Tenant) -> Sequence[ResolvedEntry] | None:
    """The rate limiters of the chain; None if one of them is invalid."""
    limiting = [entry for entry in chain if services().catalogue.get(entry.config.name) is RateLimiter]
    try:
        return resolve_chain(limiting, tenant, None, services().catalogue, parsed_once())
    except Invalid:
        return None


def _compiled(entries: Sequence[ResolvedEntry] | None) -> Limits:
    return RateLimiter.limits_of(entries) if entries else ()
