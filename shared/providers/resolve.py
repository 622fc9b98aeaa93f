"""From the name of a model that a request has to the targets that may serve it.

1. a `Model` of that name, the tenant's before the platform's;
2. ``<provider>/<model>``;
3. a bare name: the first provider of the rule that has it.

The models that the client's key may use are judged by the name that it asked for, and `deny_models` by all
names of the model that was found, too: another name for a denied model is denied. Some providers accept a
name in any case, and with marks around it, so `deny_models` matches these, too; lists of allowed names match
only as they are written.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final

from shared.core.errors import Rejection, make_rejection
from shared.core.globs import matches_glob
from shared.core.memo import BoundedDict
from shared.model.config import ApiKey
from shared.model.pools import AI_POLICY, PoolPolicy
from shared.model.providers import AiRule, Model, Provider
from shared.model.rule_timeouts import RuleTimeouts
from shared.providers.shipped.presets import Endpoint

# Names that an error shows, and the names among which it looks for near ones: both are bounded, because
# clients choose what is not found.
_SHOWN: Final = 10
_COMPARED: Final = 200
# The longest name of a model, in characters.
MAX_NAME: Final = 256
# Resolutions that are kept per rule.
_KEPT: Final = 1_000
#: Lists of models that are kept per rule. Keys that may use the same share one.
MAX_LISTS: Final = 100


def _plain_name(name: str) -> str:
    """The name of a model without what some servers ignore.

    Spaces and slashes around it, Google's ``models/`` before it, and Ollama's ``:latest`` behind it.

    >>> _plain_name(" models/gemini-3-pro"), _plain_name("/llama4:latest")
    ('gemini-3-pro', 'llama4')
    """
    return name.strip("/ ").removeprefix("models/").removesuffix(":latest").strip("/ ")


def _leads_elsewhere(name: str) -> bool:
    """Whether the name would lead to another path, at an address with the name of the model in its path.

    >>> _leads_elsewhere(".."), _leads_elsewhere("a/../b"), _leads_elsewhere("meta/llama-4..5")
    (True, True, False)
    """
    return not {".", ".."}.isdisjoint(name.split("/"))


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """A provider as one tenant may use it.

    Attributes:
        owner: the id of its tenant, or ``platform``.
        endpoint: where its calls go.
        discovered: the names in its own list of models, as far as it was fetched.
        globs: further names that it has, from the lists of its keys.
    """

    provider: Provider
    owner: str
    endpoint: Endpoint
    discovered: frozenset[str] = frozenset()
    _names: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _aliases: Mapping[str, Sequence[str]] = field(init=False, repr=False, compare=False)
    _own: frozenset[str] = field(init=False, repr=False, compare=False)
    globs: Sequence[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        declared = self.provider.models
        names = {alias: model.id for model in declared for alias in model.aliases}
        names |= {name: name for name in self.discovered} | {model.id: model.id for model in declared}
        aliases: dict[str, list[str]] = {}
        for name, own in names.items():
            if name != own:
                aliases.setdefault(own.casefold(), []).append(name)
        keys = [key for key in self.provider.keys if key.enabled]
        globs = [glob for key in keys for glob in key.models or ()]
        if not names and any(key.models is None for key in keys):
            globs = ["*"]
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_aliases", aliases)
        object.__setattr__(self, "_own", frozenset(names.values()))
        object.__setattr__(self, "globs", globs if names or globs else ["*"])

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def names(self) -> Iterable[str]:
        """The names of its models that clients may use, as far as they are known."""
        return self._names

    def has_model(self, name: str) -> bool:
        """Whether it has the model. A provider without names and globs has every model."""
        return name in self._names or any(matches_glob(glob, name) for glob in self.globs)

    def own_name(self, name: str) -> str:
        """The provider's own name for a model."""
        return self._names.get(name, name)

    def is_declared(self, own: str) -> bool:
        """Whether its own name of a model is in its list, or is declared."""
        return own in self._own

    def all_names(self, own: str) -> Sequence[str]:
        """The provider's own name for a model, in any case, without marks around it, and its aliases."""
        names = dict.fromkeys((own, _plain_name(own)))
        return (*names, *[alias for name in names for alias in self._aliases.get(name.casefold(), ())])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTarget:
    """A model of a provider that may serve a request.

    Attributes:
        model: the name that the provider knows it by.
        weight, priority, timeouts: as in `shared.model.providers.ModelTarget`.
        names: its names, with and without the provider, also those that the provider reads in the same way.
    """

    provider: KnownProvider
    model: str
    weight: int = 1
    priority: int = 0
    timeouts: RuleTimeouts = field(default_factory=RuleTimeouts)
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = self.provider.all_names(self.model)
        found = [text for name in names for text in (f"{self.provider.name}/{name}", name)]
        object.__setattr__(self, "names", tuple(found))

    @property
    def id(self) -> str:
        """The id of the target: that of the provider, a slash, the model."""
        return f"{self.provider.provider.id}/{self.model}"

    @property
    def full_name(self) -> str:
        return f"{self.provider.name}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The targets for one name.

    Attributes:
        asked: the name that the client sent, or the rule's default.
        model: the name of the `Model`; None when the name is that of a provider's model.
        targets: at least one.
        policy: how to choose among them.
        names: the names of each target, with and without its provider, and last the one that was asked for.
    """

    asked: str
    model: str | None
    targets: tuple[ResolvedTarget, ...]
    policy: PoolPolicy = AI_POLICY
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = [name for target in self.targets for name in target.names]
        object.__setattr__(self, "names", tuple(dict.fromkeys((*found, self.asked))))


class SearchOrder:
    """Providers in the order in which a bare name is looked for. Tenants with the same ones share it."""

    def __init__(self, providers: Sequence[KnownProvider]) -> None:
        self.by_name = {one.name: one for one in providers}
        self._with_globs = [(at, one) for at, one in enumerate(providers) if one.globs]
        self._index: dict[str, tuple[int, KnownProvider]] = {}
        for at, one in enumerate(providers):
            for name in one.names:
                self._index.setdefault(name, (at, one))

    @property
    def names(self) -> Iterable[str]:
        """The names that clients may use, as far as they are known."""
        return self._index

    def find(self, name: str) -> KnownProvider | None:
        """The first provider that has the model."""
        first, found = self._index.get(name, (None, None))
        for at, one in self._with_globs:
            if first is not None and at > first:
                break
            if one.has_model(name):
                return one
        return found


class Resolver:
    """Resolves the names of models for one rule. One instance is for one compiled tenant.

    `order` has the enabled providers of the rule. `providers` and `models` are all that the tenant may use,
    its own in place of the platform's of the same name. A model whose providers are all missing or disabled
    is left out. `served` returns the APIs by which clients can call a provider that speaks some.
    """

    def __init__(
        self,
        rule: AiRule,
        order: SearchOrder,
        providers: Mapping[str, KnownProvider],
        models: Mapping[str, Model],
        served: Callable[[Collection[str]], Collection[str]] = frozenset,
    ) -> None:
        self._rule = rule
        self._order = order
        self._providers = providers
        self._models = models
        self._served = served
        self._kept = BoundedDict[tuple[str, str, str | None], Resolution](_KEPT)
        self._shown = BoundedDict[tuple[Sequence[str] | None, ...], Sequence[str]](MAX_LISTS)

    def resolve(self, name: str | None, api: str, key: ApiKey | None) -> Resolution | Rejection:
        """The targets for the model `name` of a request to `api`, or why there are none.

        `key` is the client's API key, which must not change for the life of this object; None on a rule
        that needs none.
        """
        asked = name or self._rule.default_model
        if not asked:
            return make_rejection(
                "missing_model", "The request names no model. Set the member model in its body."
            )
        if len(asked) > MAX_NAME:
            return make_rejection(
                "model_not_found", f"The name of a model has at most {MAX_NAME} characters, not {len(asked)}."
            )
        if not asked.isprintable():  # a header of the response has the name
            return make_rejection(
                "model_not_found", "The name of a model has printable characters only, and no ends of lines."
            )
        memo = (asked, api, key.id if key else None)
        if (kept := self._kept.get(memo)) is not None:
            return kept
        found = self._resolve(asked, api, key)
        return self._kept.keep(memo, found) if isinstance(found, Resolution) else found

    def allowed_names(self, key: ApiKey | None) -> Sequence[str]:
        """The names that the list of models shows to a key, in order."""
        memo = (key.models, key.deny_models, key.providers) if key else (None, (), None)
        if (names := self._shown.get(memo)) is not None:
            return names
        return self._shown.keep(memo, tuple(self._allowed_names(key)))

    def _allowed_names(self, key: ApiKey | None) -> list[str]:
        shown = [model.name for model in self._models.values() if model.visible]
        shown += self._order.names
        return sorted(
            name
            for name in set(shown)
            if isinstance(found := self._find(name), Resolution)
            and _may_ask(name, self._rule, key)
            and any(_may_use(target, key) for target in found.targets)
        )

    def kind_of(self, name: str) -> str:
        """The kind of the provider that serves a name of `allowed_names`."""
        targets = self.targets_of(name)
        return targets[0].provider.provider.kind if targets else ""

    def targets_of(self, name: str) -> Sequence[ResolvedTarget]:
        """The targets that may serve a name of `allowed_names`."""
        found = self._find(name)
        return found.targets if found else ()

    def stored(self, asked: str, provider_id: str, model: str, key: ApiKey | None) -> Resolution | None:
        """The target that stored a response to a request for the model `asked`.

        None if this rule does not serve that provider now, or if the key may not ask for that model.
        """
        provider = next((one for one in self._providers.values() if one.provider.id == provider_id), None)
        if provider is None or not provider.provider.enabled or not _may_ask(asked, self._rule, key):
            return None
        if provider.name not in self._order.by_name:
            named = self._find(asked)
            if named is None or all(target.provider.provider.id != provider_id for target in named.targets):
                return None
        found = _single(asked, provider, model)
        return found if _may_use(found.targets[0], key) else None

    def _resolve(self, asked: str, api: str, key: ApiKey | None) -> Resolution | Rejection:
        found = self._find(asked)
        if found is None:
            return self.not_found(asked, key)
        if not _may_ask(asked, self._rule, key):
            return self._not_allowed(asked, key)
        allowed = [target for target in found.targets if _may_use(target, key)]
        if not allowed:
            return self._not_allowed(asked, key)
        speaking = tuple(target for target in allowed if api in self._served(target.provider.endpoint.apis))
        if not speaking:
            apis = sorted({name for one in allowed for name in self._served(one.provider.endpoint.apis)})
            return make_rejection(
                "untranslatable",
                f"The model {asked} is not available by the API {api}, only by {', '.join(apis)}.",
            )
        return found if speaking == found.targets else replace(found, targets=speaking)

    def _find(self, asked: str) -> Resolution | None:
        if (model := self._models.get(asked)) is not None:
            targets = tuple(self._targets(model))
            if targets:
                return Resolution(asked=asked, model=asked, targets=targets, policy=model.policy)
        before, _, rest = asked.partition("/")
        provider, name = self._order.by_name.get(before) if rest else None, rest
        if provider is None:
            provider, name = self._order.find(asked), asked
        if provider is None or _leads_elsewhere(own := provider.own_name(name)):
            return None
        return _single(asked, provider, own)

    def _targets(self, model: Model) -> Iterator[ResolvedTarget]:
        for target in model.targets:
            provider = self._providers.get(target.provider)
            if provider is None or not provider.provider.enabled:
                continue
            if not _leads_elsewhere(own := provider.own_name(target.model)):
                yield ResolvedTarget(
                    provider=provider,
                    model=own,
                    weight=target.weight,
                    priority=target.priority,
                    timeouts=target.timeouts,
                )

    def not_found(self, asked: str, key: ApiKey | None) -> Rejection:
        """The rejection of a name that no model has, with near ones that the key may use."""
        near = get_close_matches(asked, self.allowed_names(key)[:_COMPARED], _SHOWN, 0.4)
        hint = f" Near names: {', '.join(near)}." if near else " GET /v1/models lists the models."
        return make_rejection("model_not_found", f"There is no model {asked} here.{hint}")

    def _not_allowed(self, asked: str, key: ApiKey | None) -> Rejection:
        names = self.allowed_names(key)
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        hint = f"Allowed: {shown}." if names else "This key may use none of the known models."
        return make_rejection("model_not_allowed", f"The model {asked} is not allowed here. {hint}")


def _single(asked: str, provider: KnownProvider, model: str) -> Resolution:
    return Resolution(asked=asked, model=None, targets=(ResolvedTarget(provider=provider, model=model),))


def _may_ask(name: str, rule: AiRule, key: ApiKey | None) -> bool:
    lists = [rule.models, key.models] if key else [rule.models]
    return all(globs is None or _is_in(globs, name) for globs in lists) and not (key and _denies(key, name))


def _may_use(target: ResolvedTarget, key: ApiKey | None) -> bool:
    if key is None:
        return True
    if key.providers is not None and target.provider.name not in key.providers:
        return False
    provider = target.provider
    return not any(
        _denies(key, name) or _denies(key, f"{provider.name}/{name}")
        for name in (provider.all_names(target.model) if key.deny_models else ())
    )


def _denies(key: ApiKey, name: str) -> bool:
    folded = name.casefold()
    return any(matches_glob(glob.casefold(), folded) for glob in key.deny_models)


def _is_in(globs: Iterable[str], name: str) -> bool:
    return any(matches_glob(glob, name) for glob in globs)
