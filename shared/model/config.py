"""The things that a platform team configures: tenants, keys, rules, and plugins in a chain.

All are immutable. A change makes a new value, and a store writes it as a whole.
Times are seconds since the Unix epoch (UTC); durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: The modes of an entry: what it says is done, or only noted.
ENFORCE, SHADOW = "enforce", "shadow"


class Stage(StrEnum):
    """Where in an exchange a plugin acts. Each stage is one mitmproxy hook."""

    PRE_REQUEST = "pre_request"
    POST_REQUEST = "post_request"
    PRE_RESPONSE = "pre_response"
    POST_RESPONSE = "post_response"


class Scope(StrEnum):
    """What an API key may be used for."""

    ADMIN = "admin"
    READ = "read"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored: ciphertext that only a `AesSealer` of the same key id can open.

    In JSON it stands as ``{"sealed": "<text>"}``, so that it can be told from a plain string.
    """

    text: str


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """One entry of a plugin chain.

    Stored entries are complete: what the writer left out was filled in from the plugin's own
    defaults when it was saved. `settings` is the JSON that was sent; a secret in it is `Sealed`.
    """

    name: str
    enabled: bool = True
    stage: Stage = Stage.PRE_REQUEST
    priority: int = 100
    parallel: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    on_error: str = "closed"
    timeout: float = 1.0
    mode: str = ENFORCE


@dataclass(frozen=True, slots=True)
class RuleTimeouts:
    """The longest waits for an upstream, in seconds. None stands for the operator's default.

    `connect` is for a connection, `first_byte` for the head of the answer once the request is sent, `idle`
    for the next bytes of an answer, `total` for the whole exchange.
    """

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Where requests on a path of a tenant go, and what they pass on the way."""

    id: str
    path: str
    target: str
    methods: tuple[str, ...] = ()
    match: str = "prefix"
    strip_path: bool = False
    preserve_host: bool = False
    active: bool = True
    public: bool = False
    headers: Mapping[str, Sealed] = field(default_factory=dict)
    timeouts: RuleTimeouts = RuleTimeouts()
    streams: str = "pass"
    encoded_slashes: str = "reject"
    ca: str | None = None
    plugin_chain: tuple[PluginConfig, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer of the platform: a subdomain, a tier, and what holds for all its rules.

    `enabled_plugins` is None when every plugin is allowed. `version` counts the changes of the
    configuration document (rules, chains, settings); keys, `status` and `subdomain` are no part of it.
    """

    id: str
    name: str
    subdomain: str
    tier: str = "basic"
    status: str = "active"
    enabled_plugins: tuple[str, ...] | None = None
    required_plugins: Mapping[str, PluginConfig] = field(default_factory=dict)
    plugin_chain: tuple[PluginConfig, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0
    version: int = 1


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of an API key: never the key itself.

    `hash` is ``<pepper id>:<hex HMAC-SHA256>`` (see `shared.secrets.api_keys`); it is how a key is looked up.
    `prefix` is the public part that lists show.
    """

    id: str
    name: str
    prefix: str
    hash: str
    scopes: tuple[Scope, ...] = (Scope.PROXY,)
    revoked: bool = False
    expires_at: float | None = None
    last_used_at: float | None = None
    created_at: float = 0.0

    def status(self, now: float) -> str:
        """``active``, ``revoked`` or ``expired`` at the time `now`."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything stored about one tenant, as one consistent read.

    `revision` is the number of the store's change that wrote it. It grows with every write of any
    tenant and is what a later write is compared with, so that no update is lost.
    """

    tenant: Tenant
    rules: tuple[Rule, ...] = ()
    keys: tuple[ApiKey, ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """A profile that the operator defines in config.yaml: ceilings that a tenant cannot lift.

    `limits` has the form of a rate_limiter's ``limits`` and counts at gateway level. `concurrent` is
    the number of exchanges at a time a worker, `max_rules` and `max_keys` cap what is stored.
    None means no ceiling.
    """

    name: str
    limits: Mapping[str, Any] = field(default_factory=dict)
    concurrent: int | None = None
    max_rules: int | None = None
    max_keys: int | None = None
