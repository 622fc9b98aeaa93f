"""The configuration: tenants, their rules and API keys, entries of plugin chains, tiers.

All values are immutable. A change makes a new value, and the store writes it as a whole.
Times are seconds since the Unix epoch (UTC). Durations are seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Any

from shared.model.budgets import Budget
from shared.model.pools import PoolPolicy, UrlTarget
from shared.model.providers import AiRule, Discovered, Model, Provider
from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook

#: The modes of an entry: its verdicts are enforced, or only recorded.
ENFORCE, SHADOW = "enforce", "shadow"
#: Whose credential an upstream gets: that of the rule, or the client's own.
PROVIDER, CLIENT = "provider", "client"
# The characters that the name of a rule may not have, and how much of its path and id a default has.
_NO_NAME = re.compile(r"[^a-z0-9._]+")
_MAX_PATH_NAME, _ID_DIGITS = 40, 6


class Stage(StrEnum):
    """The stage of an exchange at which a plugin runs. Each stage is one mitmproxy hook."""

    PRE_REQUEST = "pre_request"
    POST_REQUEST = "post_request"
    PRE_RESPONSE = "pre_response"
    POST_RESPONSE = "post_response"


class Scope(StrEnum):
    """A permission of an API key."""

    ADMIN = "admin"
    READ = "read"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """One entry of a plugin chain. A stored one is complete: saving it adds the defaults of the plugin.

    Attributes:
        enabled: False skips the entry.
        stage: when the plugin runs.
        priority: the order within a stage; the lowest number runs first.
        parallel: True runs it together with other parallel entries.
        settings: the JSON that was sent; a secret in it is `Sealed`.
        on_error: the result when the plugin fails, such as ``closed``.
        timeout: the longest time for one call.
        mode: `ENFORCE` or `SHADOW`.
    """

    name: str
    _: KW_ONLY
    enabled: bool = True
    stage: Stage = Stage.PRE_REQUEST
    priority: int = 100
    parallel: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    on_error: str = "closed"
    timeout: float = 1.0
    mode: str = ENFORCE


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """The largest bodies of a rule, in bytes. None is the operator's default."""

    request_body: int | None = None
    response_body: int | None = None


@dataclass(frozen=True, slots=True)
class Cors:
    """The web pages that may call from a browser (CORS, Fetch 3.2). Cookies are never allowed.

    `origins` are as browsers send them, or ``*``. `headers` are those that a page may send; empty: all.
    A browser keeps the response to a preflight for `max_age`.
    """

    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    max_age: float = 600.0


def name_of_path(path: str) -> str:
    """The name of a rule that is made of its path.

    >>> name_of_path("/v1/Chat"), name_of_path("/")
    ('v1-chat', 'root')
    """
    return _NO_NAME.sub("-", path.lower()).strip("-._")[:_MAX_PATH_NAME].rstrip("-._") or "root"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a tenant: requests on a path go through a plugin chain to a target.

    Attributes:
        path: normalized; a prefix has no slash at its end.
        target: the upstream; empty for a rule with `targets` or `ai`.
        methods: the allowed methods; empty allows all.
        match: ``prefix`` or ``exact``.
        strip_path: True removes `path` from the forwarded path.
        preserve_host: True forwards the client's Host header.
        active: False keeps the rule without matching it.
        public: True needs no API key.
        limits: the largest bodies.
        headers: added to each forwarded request, in place of the client's.
        streams: ``pass`` or ``buffer`` a streamed response.
        encoded_slashes: ``reject`` or ``allow`` ``%2F`` in a path.
        ca: certificates (PEM) to trust for the target; None trusts the usual ones.
        credential: ``provider``: the upstream gets the credential in `headers`. ``client``: it gets the
            client's own, and the client sends its key of the gateway as X-Gateway-Key.
        identity_headers: whether the upstream gets the ids of request, tenant and key, and the client's
            address. None: if it is in a network that the operator allowed.
        trace_headers: whether the upstream gets ``traceparent`` and ``tracestate``. None: if it is in such a
            network.
        is_internal: when the rule was saved, all addresses of the target were in such networks.
        upstream_headers: ``drop``, ``pass`` or ``prefix`` the rate limits of the upstream.
        stream_keepalive: the silence of an event stream after which the client gets a comment; None: never.
        cors: the web pages that may call; None: those of the tenant.
        targets: a pool of upstreams in place of `target`; empty: none.
        policy: how one of `targets` is chosen.
        ai: providers and models in place of `target`; None: none.
        name: unique in the tenant. A rule that was stored without one has that of its path and id.
        tags: words to select it by.
        drain_on_disconnect: how long a response is read on after its client left, so that its usage is known;
            None: not at all.
    """

    id: str
    path: str
    target: str
    _: KW_ONLY
    methods: tuple[str, ...] = ()
    match: str = "prefix"
    strip_path: bool = False
    preserve_host: bool = False
    active: bool = True
    public: bool = False
    headers: Mapping[str, Sealed] = field(default_factory=dict)
    timeouts: RuleTimeouts = field(default_factory=RuleTimeouts)
    limits: RuleLimits = RuleLimits()
    streams: str = "pass"
    encoded_slashes: str = "reject"
    ca: str | None = None
    plugin_chain: tuple[PluginConfig, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0
    credential: str = PROVIDER
    identity_headers: bool | None = None
    trace_headers: bool | None = None
    is_internal: bool = False
    upstream_headers: str = "drop"
    stream_keepalive: float | None = None
    cors: Cors | None = None
    targets: tuple[UrlTarget, ...] = ()
    policy: PoolPolicy = field(default_factory=PoolPolicy)
    ai: AiRule | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    drain_on_disconnect: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            # The id makes it unique, whatever other rules there are.
            name = f"{name_of_path(self.path)}-{self.id.rpartition('_')[2][:_ID_DIGITS]}"
            object.__setattr__(self, "name", name.rstrip("-"))


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer of the platform, with a subdomain of its own.

    Attributes:
        tier: the name of a `Tier`.
        status: ``active`` or ``disabled``.
        enabled_plugins: the allowed plugins; None allows all.
        required_plugins: entries that run for every rule, by the name of the plugin.
        plugin_chain: further entries that run for every rule.
        version: counts the changes of rules, chains, providers, models and settings, not of API keys,
            `status` and `subdomain`.
        cors: the web pages that may call rules without `cors` of their own; None: no page.
        providers, models: its own ones. The platform may share others with it.
        tags: words to select it by.
        budgets: its own ones, and those that the platform made for it. Its tier may have others.
        webhooks: the addresses that get its alerts.
    """

    id: str
    name: str
    subdomain: str
    _: KW_ONLY
    tier: str = "basic"
    status: str = "active"
    enabled_plugins: tuple[str, ...] | None = None
    required_plugins: Mapping[str, PluginConfig] = field(default_factory=dict)
    plugin_chain: tuple[PluginConfig, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0
    version: int = 1
    cors: Cors | None = None
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    tags: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    webhooks: tuple[Webhook, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored API key. The key itself is never stored.

    Attributes:
        prefix: the public part, for lists.
        hash: ``<pepper id>:<hex HMAC-SHA256>``, for look-ups (`shared.secrets.api_keys`).
        revoked: True rejects the key forever.
        expires_at: None never expires.
        last_used_at: None before the first use.
        models: globs of the models that it may ask for; None: all.
        deny_models: globs of models that it may not use, whatever name it asks for.
        providers: the names of the providers that it may use; None: all.
        user: the person or program that uses it, for reports.
        metadata: free names and values, for reports.
        tags: words to select it by.
        first: the id of the key that was rotated first, if it is one that replaced another.
    """

    id: str
    name: str
    prefix: str
    hash: str
    _: KW_ONLY
    scopes: tuple[Scope, ...] = (Scope.PROXY,)
    revoked: bool = False
    expires_at: float | None = None
    last_used_at: float | None = None
    created_at: float = 0.0
    models: tuple[str, ...] | None = None
    deny_models: tuple[str, ...] = ()
    providers: tuple[str, ...] | None = None
    user: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    first: str | None = None

    @property
    def line(self) -> str:
        """The id that all keys share of which each one replaced another."""
        return self.first or self.id

    def status(self, now: float) -> str:
        """``active``, ``revoked`` or ``expired`` at the time `now`."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class PlatformScope(StrEnum):
    """A permission of a platform token. Each includes those below it."""

    ADMIN = "admin"
    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True)
class PlatformToken:
    """A stored token of the platform, which an operator or a program has. The token itself is never stored.

    Attributes:
        name: its holder or purpose; the audit log has it as the author.
        prefix, hash, expires_at, last_used_at: as those of an `ApiKey`.
    """

    id: str
    name: str
    prefix: str
    hash: str
    _: KW_ONLY
    scopes: tuple[PlatformScope, ...]
    created_at: float = 0.0
    expires_at: float | None = None
    last_used_at: float | None = None

    def status(self, now: float) -> str:
        """``active`` or ``expired`` at the time `now`."""
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class PlatformTokens:
    """All tokens of the platform, by `created_at`. `revision` is the number of their last change."""

    tokens: tuple[PlatformToken, ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is stored about one tenant, read at one time.

    `revision` is the number of the store's change that wrote it. Every write to the store has a higher one,
    and compares it with the one that it read, so no update is lost. `discovered` is what its providers
    listed, by their ids, as a worker read it; it is not part of what is written.
    """

    tenant: Tenant
    rules: tuple[Rule, ...] = ()
    keys: tuple[ApiKey, ...] = ()
    revision: int = 0
    discovered: Mapping[str, Discovered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tier:
    """Limits of tenants, which the operator defines in config.yaml. None is no limit.

    Attributes:
        limits: as the ``limits`` of a rate_limiter; they count at gateway level.
        concurrent: concurrent exchanges per worker.
        max_rules, max_keys, max_providers, max_models, max_budgets: stored objects.
        max_targets: targets of one rule or model.
        budgets: budgets of the platform that each tenant has.
    """

    name: str
    _: KW_ONLY
    limits: Mapping[str, Any] = field(default_factory=dict)
    concurrent: int | None = None
    max_rules: int | None = None
    max_keys: int | None = None
    max_providers: int | None = None
    max_models: int | None = None
    max_targets: int | None = None
    max_budgets: int | None = None
    budgets: tuple[Budget, ...] = ()
