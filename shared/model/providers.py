"""The configuration of AI: providers with their keys, and models.

All values are immutable. Durations are seconds. A provider belongs to the platform, which may share it with
tenants, or to one tenant.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from shared.model.pools import AI_POLICY, PoolPolicy
from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook

#: The shortest time between two look-ups of the list of models of a tenant's provider, in seconds.
MIN_TENANT_DISCOVER = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKey:
    """A credential of a provider. Exactly one of `secret`, `env` and `file` is set.

    Attributes:
        secret: the credential, encrypted.
        env: the name of a variable of the environment that the operator opened.
        file: the name of a file in the folder of secrets.
        hint: a part of the secret to recognize it by; None if it is too short to show any.
        weight: its share of the calls.
        models: globs of the models that it may call; None: all.
        expires_at: seconds since the Unix epoch; set when another secret replaced it. None: never.
    """

    id: str
    name: str
    secret: Sealed | None = None
    env: str | None = None
    file: str | None = None
    hint: str | None = None
    weight: int = 1
    models: tuple[str, ...] | None = None
    enabled: bool = True
    expires_at: float | None = None
    created_at: float = 0.0

    @property
    def is_outside(self) -> bool:
        """Whether the secret is kept outside the store."""
        return self.env is not None or self.file is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAuth:
    """The place of the credential in a call: ``bearer``, ``header``, ``query`` or ``none``.

    `name` is that of the header or of the query parameter.
    """

    type: str = "bearer"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderModel:
    """A model that a provider is declared to have.

    Attributes:
        id: the name that the provider knows it by.
        aliases: other names that clients may use.
        caps: what it can do; it overrides the shipped table of models.
        prices: USD per million tokens as decimal text, by unit; it overrides the shipped prices.
    """

    id: str
    aliases: tuple[str, ...] = ()
    caps: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The tenants that may use a provider or model of the platform.

    Attributes:
        all: every tenant.
        tenants: the ids of tenants.
        tiers: the names of tiers.
    """

    all: bool = False
    tenants: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()

    def includes(self, tenant_id: str, tier: str) -> bool:
        """Return whether a tenant may use it."""
        return self.all or tenant_id in self.tenants or tier in self.tiers


@dataclass(frozen=True, slots=True)
class Provider:
    """A place where models run, and the credentials for it.

    Attributes:
        name: unique for its owner.
        kind: the name of a preset, such as ``openai``, or ``custom``.
        base_url: None: that of the preset.
        params: the values of the preset's parameters, such as a region.
        apis: the APIs that it speaks itself; None: those of the preset.
        auth: the place of the credential; None: that of the preset.
        keys: the credentials.
        headers, query: added to each call.
        models: the declared models.
        discover: the seconds between two look-ups of its list of models; None: never.
        shared: the tenants that may use it; only for a provider of the platform.
        timeouts: those of its calls. A rule can only shorten them.
        ca: certificates (PEM) to trust; None trusts the usual ones.
        max_concurrent: calls per worker at a time, of all tenants and models; None: no limit.
        tags: words to select it by.
    """

    id: str
    name: str
    kind: str
    _: KW_ONLY
    base_url: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    apis: tuple[str, ...] | None = None
    auth: ProviderAuth | None = None
    keys: tuple[ProviderKey, ...] = ()
    headers: Mapping[str, Sealed] = field(default_factory=dict)
    query: Mapping[str, Sealed] = field(default_factory=dict)
    models: tuple[ProviderModel, ...] = ()
    discover: float | None = None
    shared: Shared = Shared()
    timeouts: RuleTimeouts = field(default_factory=RuleTimeouts)
    ca: str | None = None
    max_concurrent: int | None = None
    enabled: bool = True
    created_at: float = 0.0
    updated_at: float = 0.0
    version: int = 1
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTarget:
    """A model of a provider, as one target of a public model.

    Attributes:
        provider: the name of a provider of the tenant, or of one that is shared with it.
        model: the name that the provider knows the model by.
        weight: its share of the calls among the targets of its priority.
        priority: the lowest number is tried first.
        timeouts: can only shorten those of the provider.
    """

    provider: str
    model: str
    weight: int = 1
    priority: int = 0
    timeouts: RuleTimeouts = field(default_factory=RuleTimeouts)


@dataclass(frozen=True, slots=True)
class Model:
    """A name that clients may use for one or several models of providers.

    Attributes:
        visible: whether the list of models shows it.
        shared: the tenants that may use it; only for a model of the platform.
        tags: words to select it by.
    """

    name: str
    targets: tuple[ModelTarget, ...]
    _: KW_ONLY
    policy: PoolPolicy = AI_POLICY
    visible: bool = True
    description: str = ""
    shared: Shared = Shared()
    created_at: float = 0.0
    updated_at: float = 0.0
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The name: a model has no other id."""
        return self.name


@dataclass(frozen=True, slots=True)
class Translate:
    """How a rule translates requests for a target that does not speak the API of the client.

    Attributes:
        unsupported: what happens to members that the other API lacks: ``default``, ``reject`` or ``drop``.
        reasoning: whether clients get the thoughts of the model: ``expose`` or ``hide``.
    """

    unsupported: str = "default"
    reasoning: str = "expose"


@dataclass(frozen=True, slots=True, kw_only=True)
class AiRule:
    """The providers and models that a rule for AI serves, in place of a target.

    Attributes:
        providers: names; a bare name of a model is looked for in this order. Empty: all that the tenant has.
        models: globs of the names that clients may ask for; None: all.
        default_model: for a request that names none.
        hide_target: whether a response names the model that was asked for.
        apis: the APIs; None: all that the providers speak or that are translated for them, and the list of
            models.
        translate: how requests are translated.
    """

    providers: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None
    default_model: str | None = None
    hide_target: bool = False
    apis: tuple[str, ...] | None = None
    translate: Translate = Translate()


@dataclass(frozen=True, slots=True)
class Discovered:
    """The names of models in a provider's own list, and when the list was fetched."""

    names: tuple[str, ...]
    checked_at: float


@dataclass(frozen=True, slots=True)
class PlatformDocument:
    """The providers, models, prices and webhooks of the platform.

    Attributes:
        prices: USD per million tokens as decimal text, by ``<provider kind>/<model>`` and unit.
        revision: the number of the store's change that wrote it; 0 before the first.
        discovered: what providers listed, by their ids, as a worker read it; no part of what is written.
        webhooks: the addresses that get its alerts.
    """

    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    prices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    version: int = 0
    updated_at: float = 0.0
    revision: int = 0
    discovered: Mapping[str, Discovered] = field(default_factory=dict)
    webhooks: tuple[Webhook, ...] = ()
