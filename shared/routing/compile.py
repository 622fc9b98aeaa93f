"""Compiles the configuration of a tenant, so that a request only looks things up."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.core.http_tokens import UNROUTED
from shared.http.forwarding import OwnHeaders
from shared.model.config import ApiKey, PluginConfig, Rule, Sealed, Snapshot, Tenant, Tier
from shared.model.targets import Target, parse_target
from shared.pipeline.chain import Catalogue, effective_chain, resolve_chain
from shared.pipeline.plan import Group, Plan, make_plan
from shared.pipeline.plugin import Tools
from shared.routing.router import Router
from shared.routing.timeouts import UpstreamTimeouts
from shared.secrets.context import header_context, setting_context
from shared.secrets.sealing import AesSealer

logger = logging.getLogger(__name__)

_ACCEPT_ENCODING = "accept-encoding"


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
        own: `headers` for the wire. If events are judged, they ask for a response without compression: a
            compressed stream would have to be collected.
        authority: the Host of the target.
    """

    rule: Rule
    target: Target
    headers: Mapping[str, str]
    plan: Plan
    fault: str | None = None
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)
    own: OwnHeaders = field(init=False, repr=False, compare=False)
    authority: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = self.headers
        if self.plan.judges_events and _ACCEPT_ENCODING not in map(str.lower, own):
            own = {**own, _ACCEPT_ENCODING: "identity"}
        object.__setattr__(self, "own", OwnHeaders(own))
        object.__setattr__(self, "authority", self.target.authority.encode("ascii"))


@dataclass(frozen=True, slots=True)
class Gateway:
    """A compiled tenant, immutable. `keys` maps the hash of a key to its record."""

    snapshot: Snapshot
    tier: Tier
    keys: Mapping[str, ApiKey]
    router: Router

    @property
    def faults(self) -> tuple[str, ...]:
        """Why active rules cannot be used."""
        return tuple(
            f"rule {route.rule.id}: {route.fault}"
            for route in self.router.routes()
            if route.fault is not None
        )


_UNROUTED = Target("http", *UNROUTED)


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles tenants.

    Attributes:
        catalogue: all plugins.
        tiers: the tiers of config.yaml.
        sealer: decrypts secrets.
        tools: the services for plugins.
        timeouts: those of the operator.
    """

    catalogue: Catalogue
    tiers: Mapping[str, Tier]
    sealer: AesSealer
    tools: Tools
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)

    def __call__(self, snapshot: Snapshot) -> Gateway:
        """Compile a tenant. A rule that cannot be compiled fails closed, and no other does."""
        tenant = snapshot.tenant
        keys = {key.hash: key for key in snapshot.keys}
        router = Router.build(self._route(tenant, rule) for rule in snapshot.rules)
        return Gateway(snapshot, self.tiers.get(tenant.tier, Tier(tenant.tier)), keys, router)

    def _route(self, tenant: Tenant, rule: Rule) -> Route:
        try:
            return Route(
                rule,
                parse_target(rule.target),
                self._headers(tenant, rule),
                self._plan(tenant, rule),
                timeouts=self.timeouts.with_own(rule.timeouts),
            )
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything; its rule fails closed
            logger.error("Rule %s of tenant %s cannot be used: %s", rule.id, tenant.id, error)
            return Route(rule, _UNROUTED, {}, Plan(), fault=str(error) or type(error).__name__)

    def _headers(self, tenant: Tenant, rule: Rule) -> dict[str, str]:
        return {
            name: self.sealer.open(value.text, header_context(tenant.id, name, rule.target))
            for name, value in rule.headers.items()
        }

    def _plan(self, tenant: Tenant, rule: Rule) -> Plan:
        if tenant.tier not in self.tiers:
            # The operator removed the tier; without its limits no request is admitted.
            raise ValueError(f"The tier {tenant.tier} is not in config.yaml.")
        chain = effective_chain(tenant, rule, self.tiers[tenant.tier])

        def unseal(config: PluginConfig) -> Mapping[str, Any]:
            return {name: self._opened(tenant, config, name) for name in config.settings}

        entries = resolve_chain(chain, tenant, rule.id, self.catalogue, unseal)
        plan = make_plan(entries, buffer_streams=rule.streams == "buffer")
        for group in _groups(plan):
            for step in group.steps:
                step.plugin.start(self.tools)
            for step in group.shadows:
                step.plugin.start(self.tools.dry())
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


def _groups(plan: Plan) -> Iterator[Group]:
    yield from plan.head
    for groups in plan.stages.values():
        yield from groups
