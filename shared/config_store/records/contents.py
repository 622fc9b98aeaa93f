"""The contents that have versions: of a tenant, and of the platform. Each is stored as a root and parts.

Each rule, provider, model, budget and webhook is a part, and so are the prices of the platform together. A
root has all else, and the names of the parts by their ids, in order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, ClassVar, Self

from shared.config_store.layout import PLATFORM_ID
from shared.model.budgets import Budget
from shared.model.config import Cors, PluginConfig, Rule, Snapshot
from shared.model.providers import Model, PlatformDocument, Provider
from shared.model.webhooks import Webhook

type Prices = Mapping[str, Mapping[str, str]]
type Part = Rule | Provider | Model | Budget | Webhook | Prices

#: The type to which a part of each kind is decoded.
KINDS: Mapping[str, Any] = {
    "rules": Rule,
    "providers": Provider,
    "models": Model,
    "budgets": Budget,
    "webhooks": Webhook,
    "prices": Mapping[str, Mapping[str, str]],
}
# The id of the one part that has the prices.
_ALL = "all"
_BY_ID, _BY_NAME = attrgetter("id"), attrgetter("name")
# The id of a part of each kind.
_IDS: Mapping[str, Callable[[Any], str]] = {
    "rules": _BY_ID,
    "providers": _BY_ID,
    "models": _BY_NAME,
    "budgets": _BY_ID,
    "webhooks": _BY_ID,
    "prices": lambda _: _ALL,
}


@dataclass(frozen=True, slots=True)
class Document:
    """The part of a tenant that has versions. The fields are those of `Tenant` and `Snapshot`."""

    name: str
    tier: str
    enabled_plugins: tuple[str, ...] | None
    required_plugins: Mapping[str, PluginConfig]
    plugin_chain: tuple[PluginConfig, ...]
    rules: tuple[Rule, ...] = ()
    cors: Cors | None = None
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    tags: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    webhooks: tuple[Webhook, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        tenant = snapshot.tenant
        return cls(
            name=tenant.name,
            tier=tenant.tier,
            enabled_plugins=tenant.enabled_plugins,
            required_plugins=tenant.required_plugins,
            plugin_chain=tenant.plugin_chain,
            rules=snapshot.rules,
            cors=tenant.cors,
            providers=tenant.providers,
            models=tenant.models,
            tags=tenant.tags,
            budgets=tenant.budgets,
            webhooks=tenant.webhooks,
        )

    def parts(self, kind: str) -> Sequence[Part]:
        """The parts of one kind."""
        parts: Sequence[Part] = getattr(self, kind)
        return parts

    def bare(self) -> Self:
        """The members that are not stored as parts."""
        return replace(self, rules=(), providers=(), models=(), budgets=(), webhooks=())


@dataclass(frozen=True, slots=True)
class PlatformContent:
    """The part of the platform that has versions. The fields are those of `PlatformDocument`."""

    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    prices: Prices = field(default_factory=dict)
    webhooks: tuple[Webhook, ...] = ()

    @classmethod
    def of(cls, document: PlatformDocument) -> Self:
        return cls(document.providers, document.models, document.prices, document.webhooks)

    def parts(self, kind: str) -> Sequence[Part]:
        """The parts of one kind."""
        if kind == "prices":
            return [self.prices] if self.prices else []
        parts: Sequence[Part] = getattr(self, kind)
        return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A stored version of a tenant.

    Attributes:
        document: the document without its parts.
        rules: the names of its rules by their ids, in order.
        providers: the same of its providers.
        models: the same of its models, by their names.
        budgets: the same of its budgets.
        webhooks: the same of its webhooks.
        dropped: the parts of the version before that this one has not.
        actor: the author.
        written_at: the time (the tenant's `updated_at`).
    """

    kinds: ClassVar[tuple[str, ...]] = ("rules", "providers", "models", "budgets", "webhooks")

    document: Document
    rules: Mapping[str, str] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    budgets: Mapping[str, str] = field(default_factory=dict)
    webhooks: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    actor: str
    written_at: float

    def places(self) -> Iterator[tuple[str, str, str]]:
        """The kind, the id and the name of each part."""
        return _places(self)

    def join(self, parts: Mapping[str, Any]) -> Document:
        """The document with its parts, which are by their names."""
        return replace(self.document, **_found(self, parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRoot:
    """A stored version of the platform. The attributes are as in `Root`; `prices` has one name."""

    kinds: ClassVar[tuple[str, ...]] = ("providers", "models", "prices", "webhooks")

    providers: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, str] = field(default_factory=dict)
    webhooks: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    actor: str
    written_at: float

    def places(self) -> Iterator[tuple[str, str, str]]:
        """The kind, the id and the name of each part."""
        return _places(self)

    def join(self, parts: Mapping[str, Any]) -> PlatformContent:
        """The content with its parts, which are by their names."""
        found = _found(self, parts)
        return PlatformContent(**{**found, "prices": next(iter(found["prices"]), {})})


type Content = Document | PlatformContent
type AnyRoot = Root | PlatformRoot


def kind_of_root(owner: str) -> type[AnyRoot]:
    """The kind of the roots of an owner."""
    return PlatformRoot if owner == PLATFORM_ID else Root


def _places(root: AnyRoot) -> Iterator[tuple[str, str, str]]:
    for kind in root.kinds:
        for part_id, name in getattr(root, kind).items():
            yield kind, part_id, name


def _found(root: AnyRoot, parts: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: tuple(map(parts.__getitem__, getattr(root, kind).values())) for kind in root.kinds}


def ids_of(kind: str, parts: Sequence[Part]) -> Iterator[str]:
    """The id of each part, by which its content names it."""
    return map(_IDS[kind], parts)


def unshared[T](before: Sequence[T], after: Sequence[T]) -> tuple[list[T], list[T]]:
    """The things, such as parts, that only `before` has, and those that only `after` has, in order.

    Objects are compared by identity. No function is called per object: a tenant has thousands of rules.
    """
    old, new = dict(zip(map(id, before), before, strict=True)), dict(zip(map(id, after), after, strict=True))
    gone, come = old.keys() - new.keys(), new.keys() - old.keys()
    return [one for key, one in old.items() if key in gone], [one for key, one in new.items() if key in come]
