"""Compiles the configuration of a tenant, so that a request only looks things up."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from shared.budgets.compiled import RuleBudgets
from shared.core.addresses import Network
from shared.core.http_tokens import UNROUTED
from shared.health.states import PoolStates
from shared.http.cors import ANY
from shared.http.trace_context import ALWAYS, NEVER, OWN
from shared.model.config import (
    CLIENT,
    ENFORCE,
    PROVIDER,
    SHADOW,
    ApiKey,
    Cors,
    PluginConfig,
    Rule,
    Scope,
    Snapshot,
    Tenant,
    Tier,
)
from shared.model.providers import AiRule, Discovered, PlatformDocument
from shared.model.sealed import Sealed
from shared.model.targets import Target, parse_target
from shared.pipeline.chain import Catalogue, budget_entry, effective_chain, resolve_chain
from shared.pipeline.plan import Plan, make_plan
from shared.pipeline.plugin import Plugin, Tools
from shared.providers.headers import UPSTREAM_HEADERS
from shared.routing.ai.budget_admission import budget_admission_of
from shared.routing.ai_route import AiRoute
from shared.routing.body_limits import BodyLimits
from shared.routing.platform import CompiledPlatform, compile_platform, compile_providers
from shared.routing.provider_calls import ProviderCompiler
from shared.routing.router import Router
from shared.routing.target_pool import TargetPool, merged, policy_of
from shared.routing.timeouts import UpstreamTimeouts, check_seconds, times_of
from shared.routing.upstream import Upstream, is_internal, own_headers
from shared.secrets.context import header_context, setting_context
from shared.secrets.sealing import AesSealer

logger = logging.getLogger(__name__)

# The values that the admin API writes.
_CHOICES: Mapping[str, Sequence[str]] = {
    "match": ("prefix", "exact"),
    "streams": ("pass", "buffer"),
    "encoded_slashes": ("reject", "allow"),
    "credential": (PROVIDER, CLIENT),
    "upstream_headers": UPSTREAM_HEADERS,
}


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled rule.

    Attributes:
        rule: the rule as stored.
        target: its upstream.
        headers: the rule's own headers, decrypted.
        plan: its plugins.
        fault: why the rule cannot be used; then every request to it is rejected.
        timeouts: those of the rule, and the operator's where it has none.
        sends_identity: the upstream is told who calls.
        is_traced: the upstream is told the place of each request in a trace.
        cors: the web pages that may call; None: none.
        bodies: the largest bodies, of the rule or the operator.
        ai: the providers and models of a rule for AI; None for a rule with a target.
        pool: the targets of a rule with several; None for another rule.
        upstream: the target with its headers; of no use to a rule for AI, or with several targets.
    """

    rule: Rule
    target: Target
    headers: Mapping[str, str]
    plan: Plan
    _: KW_ONLY
    fault: str | None = None
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)
    sends_identity: bool = True
    is_traced: bool = False
    cors: Cors | None = None
    bodies: BodyLimits = field(default_factory=BodyLimits)
    ai: AiRoute | None = None
    pool: TargetPool | None = None
    upstream: Upstream = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        upstream = Upstream(
            self.target,
            own_headers(self.headers, self.plan, who=self.sends_identity),
            timeouts=self.timeouts,
            ca=self.rule.ca,
            secrets=self.headers,
            is_traced=self.is_traced,
        )
        object.__setattr__(self, "upstream", upstream)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A compiled tenant, immutable.

    Attributes:
        snapshot: the tenant as stored.
        tier: its tier.
        keys: its API keys by their hashes.
        router: its rules.
        has_cors: web pages may call at least one of its rules.
        platform: the platform that it was compiled with.
        versions: the version of its configuration, by the hashes of the keys whose responses show it.
    """

    snapshot: Snapshot
    tier: Tier
    keys: Mapping[str, ApiKey]
    router: Router
    _: KW_ONLY
    has_cors: bool = False
    platform: CompiledPlatform | None = None
    versions: Mapping[str | None, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        admins = [name for name, key in self.keys.items() if Scope.ADMIN in key.scopes]
        object.__setattr__(self, "versions", dict.fromkeys(admins, b"%d" % self.snapshot.tenant.version))

    @property
    def faults(self) -> tuple[str, ...]:
        """Why active rules cannot be used."""
        return tuple(
            f"rule {route.rule.id}: {route.fault}"
            for route in self.router.routes()
            if route.fault is not None
        )


_UNROUTED = Target("http", *UNROUTED)


_NO_PLATFORM = CompiledPlatform(PlatformDocument())


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles tenants.

    Attributes:
        catalogue: all plugins.
        tiers: the tiers of config.yaml.
        sealer: decrypts secrets.
        tools: the services for plugins.
        timeouts: those of the operator.
        internal: the networks of targets that are told who calls.
        traced: which upstreams are told the place of a request in a trace.
        bodies: the largest bodies, by the operator.
        opened: the secrets that the operator opened for providers of the platform, as `ProviderCompiler` has
            them.
        states: what this worker knows of targets and keys.
    """

    catalogue: Catalogue
    tiers: Mapping[str, Tier]
    sealer: AesSealer
    tools: Tools
    _: KW_ONLY
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)
    internal: Sequence[Network] = ()
    traced: str = OWN
    bodies: BodyLimits = field(default_factory=BodyLimits)
    opened: Mapping[str, str] = field(default_factory=dict, repr=False)
    states: PoolStates = field(default_factory=lambda: PoolStates(b""))

    def platform(
        self, document: PlatformDocument, before: CompiledPlatform | None = None
    ) -> CompiledPlatform:
        """Compile the document of the platform, for all tenants. `before` is the one that it replaces."""
        return compile_platform(document, self._providers, _names(document.discovered), before)

    def __call__(
        self, snapshot: Snapshot, platform: CompiledPlatform = _NO_PLATFORM, before: Gateway | None = None
    ) -> Gateway:
        """Compile a tenant. A rule that cannot be compiled fails closed, and no other does.

        Routes of `before`, the tenant that it replaces, are used again where nothing differs.
        """
        tenant = snapshot.tenant
        keys = {key.hash: key for key in snapshot.keys}
        kept = _kept_routes(snapshot, platform, before)
        # Of many rules most are compiled, so no function is called for them.
        found = map(kept.get, map(id, snapshot.rules))
        router = Router.build(
            [
                route or self._compiled(snapshot, platform, rule)
                for route, rule in zip(found, snapshot.rules, strict=True)
            ]
        )
        has_cors = tenant.cors is not None or any([route.cors for route in router.routes()])
        tier = self.tiers.get(tenant.tier, Tier(tenant.tier))
        return Gateway(snapshot, tier, keys, router, has_cors=has_cors, platform=platform)

    @property
    def _providers(self) -> ProviderCompiler:
        return ProviderCompiler(self.sealer, self.timeouts, self.opened)

    def _compiled(self, snapshot: Snapshot, platform: CompiledPlatform, rule: Rule) -> Route:
        tenant = snapshot.tenant
        try:
            _check_rule(rule)
            if rule.ai is not None:
                return self._ai_route(snapshot, platform, rule, rule.ai)
            return self._pool_route(tenant, rule) if rule.targets else self._route(tenant, rule)
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything; its rule fails closed
            logger.error("Rule %s of tenant %s cannot be used: %s", rule.id, tenant.id, error)
            fault = str(error) or type(error).__name__
            return Route(rule, _UNROUTED, {}, Plan(), fault=fault, cors=_cors(tenant, rule))

    def _route(self, tenant: Tenant, rule: Rule) -> Route:
        target = parse_target(rule.target)
        return Route(
            rule,
            target,
            self._headers(tenant, rule),
            self._plan(tenant, rule),
            timeouts=self.timeouts.with_own(rule.timeouts),
            sends_identity=self._sends_identity(rule, target),
            is_traced=self._is_traced(rule, target),
            cors=_cors(tenant, rule),
            bodies=self.bodies.with_own(rule.limits),
        )

    def _pool_route(self, tenant: Tenant, rule: Rule) -> Route:
        targets = [parse_target(one.url) for one in rule.targets]
        if rule.headers and len({target.origin for target in targets}) > 1:
            raise ValueError("headers need targets of one origin. Set the headers of each target instead.")
        plan, who = self._plan(tenant, rule), all(self._sends_identity(rule, one) for one in targets)
        common, upstreams = self._headers(tenant, rule), []
        for one, target in zip(rule.targets, targets, strict=True):
            secrets = merged(common, self._opened_headers(tenant, one.headers, one.url))
            upstream = Upstream(
                target,
                own_headers(secrets, plan, who=who),
                timeouts=self.timeouts.with_own(rule.timeouts).with_own(one.timeouts),
                ca=rule.ca,
                secrets=secrets,
                is_traced=self._is_traced(rule, target),
            )
            upstreams.append((one, upstream))
        return Route(
            rule,
            _UNROUTED,
            {},
            plan,
            timeouts=self.timeouts.with_own(rule.timeouts),
            sends_identity=who,
            cors=_cors(tenant, rule),
            bodies=self.bodies.with_own(rule.limits),
            pool=TargetPool(upstreams, policy_of(rule), tenant.id, self.states),
        )

    def _ai_route(self, snapshot: Snapshot, platform: CompiledPlatform, rule: Rule, ai: AiRule) -> Route:
        tenant = snapshot.tenant
        own = compile_providers(tenant.providers, tenant.id, self._providers, _names(snapshot.discovered))
        known = {**platform.providers_for(tenant), **own}
        if missing := [name for name in ai.providers if name not in known]:
            raise ValueError(f"there is no provider {missing[0]}")
        models = {**platform.models_for(tenant), **{model.name: model for model in tenant.models}}
        tier = self.tiers.get(tenant.tier, Tier(tenant.tier))
        budgets = RuleBudgets((*tier.budgets, *tenant.budgets), tenant.id, rule.id)
        route = AiRoute(
            rule,
            ai,
            tenant.id,
            providers=known,
            models=models,
            order=platform.order([known[name] for name in ai.providers or known]),
            prices=platform.prices,
            states=self.states,
            is_traced=lambda target: self._is_traced(rule, target),
            budgets=budgets,
        )
        return Route(
            rule,
            _UNROUTED,
            {},
            self._plan(tenant, rule, has_budgets=bool(budgets.every)),
            timeouts=self.timeouts.with_own(rule.timeouts),
            sends_identity=False,
            cors=_cors(tenant, rule),
            bodies=self.bodies.with_own(rule.limits),
            ai=route,
        )

    def _sends_identity(self, rule: Rule, target: Target) -> bool:
        return self._is_internal(rule, target) if rule.identity_headers is None else rule.identity_headers

    def _is_traced(self, rule: Rule, target: Target) -> bool:
        if self.traced == NEVER or rule.trace_headers is not None:
            return self.traced != NEVER and rule.trace_headers is True
        return self.traced == ALWAYS or self._is_internal(rule, target)

    def _is_internal(self, rule: Rule, target: Target) -> bool:
        return is_internal(target, self.internal, otherwise=rule.is_internal)

    def _headers(self, tenant: Tenant, rule: Rule) -> dict[str, str]:
        return self._opened_headers(
            tenant, rule.headers, rule.targets[0].url if rule.targets else rule.target
        )

    def _opened_headers(self, tenant: Tenant, headers: Mapping[str, Sealed], url: str) -> dict[str, str]:
        return {
            name: self.sealer.open(value.text, header_context(tenant.id, name, url))
            for name, value in headers.items()
        }

    def _plan(self, tenant: Tenant, rule: Rule, *, has_budgets: bool = False) -> Plan:
        if tenant.tier not in self.tiers:
            # The operator removed the tier; without its limits no request is admitted.
            raise ValueError(f"The tier {tenant.tier} is not in config.yaml.")
        chain = effective_chain(tenant, rule, self.tiers[tenant.tier])
        for entry in chain:
            _check_entry(entry.config)

        def parse(kind: type[Plugin], config: PluginConfig) -> Plugin:
            return kind.parse({name: self._opened(tenant, config, name) for name in config.settings})

        entries = resolve_chain(chain, tenant, rule, self.catalogue, parse)
        if has_budgets:
            entries.append(budget_entry(self.catalogue, tenant.id, rule.id, budget_admission_of))
        plan = make_plan(entries, buffer_streams=rule.streams == "buffer")
        plan.start(self.tools.owned_by(tenant.id))
        return plan

    def _opened(self, tenant: Tenant, config: PluginConfig, setting: str) -> Any:
        value = config.settings[setting]
        if not isinstance(value, Mapping):
            return value

        def opened(name: str, inner: Any) -> Any:
            if not isinstance(inner, Sealed):
                return inner
            context = setting_context(tenant.id, config.name, setting, name, config.settings)
            return self.sealer.open(inner.text, context)

        return {name: opened(name, inner) for name, inner in value.items()}


def _kept_routes(
    snapshot: Snapshot, platform: CompiledPlatform, before: Gateway | None
) -> Mapping[int, Route]:
    """The routes of `before` that would be compiled to the same, by the identity of their rules."""
    if before is None or _shared_by_routes(before.snapshot.tenant) != _shared_by_routes(snapshot.tenant):
        return {}
    models_stay = before.platform is platform and before.snapshot.discovered == snapshot.discovered
    return {
        id(route.rule): route
        for route in before.router.routes()
        if route.fault is None and (route.ai is None or models_stay)
    }


def _shared_by_routes(tenant: Tenant) -> Tenant:
    """A tenant as far as its routes depend on it."""
    return replace(tenant, name="", subdomain="", status="", created_at=0.0, updated_at=0.0, version=0)


def _names(discovered: Mapping[str, Discovered]) -> Mapping[str, Sequence[str]]:
    return {provider_id: found.names for provider_id, found in discovered.items()}


def _check_rule(rule: Rule) -> None:
    """Raise ValueError for a stored value that the admin API does not write: it may be damaged."""
    for name, allowed in _CHOICES.items():
        if getattr(rule, name) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(rule, name)!r}.")
    if not rule.path.startswith("/"):
        raise ValueError("path must begin with a slash.")
    if rule.ca is not None and "-----BEGIN CERTIFICATE-----" not in rule.ca:
        raise ValueError("ca must be certificates in PEM.")
    check_seconds(times_of(rule))


def _check_entry(config: PluginConfig) -> None:
    """Raise ValueError for a stored value that the admin API does not write."""
    if config.mode not in (ENFORCE, SHADOW):
        raise ValueError(f"{config.name}: mode must be {ENFORCE} or {SHADOW}, not {config.mode!r}.")
    check_seconds({f"{config.name}: timeout": config.timeout})


def _cors(tenant: Tenant, rule: Rule) -> Cors | None:
    """The rule's own, or the tenant's; not every page may use a Cookie of the rule."""
    cors = tenant.cors if rule.cors is None else rule.cors
    headers = [rule.headers, *[target.headers for target in rule.targets]]
    has_cookie = any(name.lower() == "cookie" for names in headers for name in names)
    return None if cors and ANY in cors.origins and has_cookie else cors
