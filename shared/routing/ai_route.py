"""A compiled rule for AI: the targets that may serve a request, and the upstream and price of each call."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import orjson

from shared.budgets.compiled import Candidate, RuleBudgets
from shared.core.durations import DAY_SECONDS
from shared.core.errors import Rejection, make_rejection
from shared.core.http_tokens import Fields
from shared.core.memo import BoundedDict
from shared.health.states import PoolStates
from shared.model.config import CLIENT, ApiKey, Rule
from shared.model.messages import encoded
from shared.model.pools import PoolPolicy, Retry
from shared.model.providers import AiRule, Model, ProviderKey
from shared.model.targets import Target as Origin
from shared.providers.calls import ANTHROPIC_COUNT_TOKENS, MODELS, PATHS, USAGE, ApiCall, match_call
from shared.providers.resolve import KnownProvider, Resolution, ResolvedTarget, Resolver, SearchOrder
from shared.routing.ai.translated import TranslatedCall, translated_calls
from shared.routing.provider_calls import ProviderCalls
from shared.routing.timeouts import UpstreamTimeouts, shortened
from shared.routing.upstream import Upstream
from shared.secrets.context import PLATFORM
from shared.secrets.keyed_hash import keyed_hash
from shared.stored.binding import Binding, Pin, shown_id
from shared.translation.notes import Settings
from shared.translation.pairs import served_apis
from shared.upstreams.affinity import AffinityKeys
from shared.upstreams.choose import Pool
from shared.upstreams.fit import Fit
from shared.upstreams.keys import KeyRing, KeyState
from shared.upstreams.retry_budget import RetryBudget
from shared.upstreams.target import Caps, Load, Target, TargetState
from shared.usage.aggregates import RowTemplate
from shared.usage.prices import PriceTable, Rates, in_any_case
from shared.usage.row import Source, day_of

# Names and pools that are kept per rule: clients choose the names of models.
_KEPT: Final = 1_000
# Upstreams, prices and rows per target: the paths of some calls have an id, and an upstream names the tier.
_KEPT_UPSTREAMS: Final = 64
_KEPT_RATES: Final = 8
_KEPT_ROWS: Final = 256
#: The headers that tell the client where the usage comes from.
SOURCE_FIELDS: Final = {one: (b"X-Gateway-Usage-Source", one.encode()) for one in Source}
_NEVER: Final = Retry(attempts=1, on=())


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTarget:
    """A target with what its calls need, made once.

    Attributes:
        resolved: the model of the provider.
        model: its name as JSON.
        fields: the headers that tell the client about it.
        upstreams: by the path of the call, the id of the key, and whether calls are translated.
        rates: by the number of the day and the service tier.
        rows: what makes rows of the ledger for an API key, by its id, that of the provider's key, the name
            that was asked for, and the API.
    """

    resolved: ResolvedTarget
    model: bytes
    fields: Fields
    upstreams: BoundedDict[tuple[str, str | None, bool], Upstream]
    rates: BoundedDict[tuple[float, str], Rates | None]
    rows: BoundedDict[tuple[str, str, str, str], tuple[ApiKey | None, RowTemplate]]

    @classmethod
    def of(cls, target: ResolvedTarget) -> Self:
        fields = (
            (b"X-Gateway-Provider", encoded(target.provider.name)),
            (b"X-Gateway-Model", encoded(target.model)),
        )
        return cls(
            resolved=target,
            model=orjson.dumps(target.model),
            fields=fields,
            upstreams=BoundedDict(_KEPT_UPSTREAMS),
            rates=BoundedDict(_KEPT_RATES),
            rows=BoundedDict(_KEPT_ROWS),
        )

    def candidate(self, asked: str) -> Candidate:
        """The target as budgets see it, for the name that was asked for."""
        return Candidate(self.resolved.provider.name, (*self.resolved.names, asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPool:
    """The pool for one resolution, with what belongs to it.

    Attributes:
        pool: chooses among the targets.
        budget: bounds the retries of all its requests together.
        affinity: makes the keys of conversations; None: there is no choice.
        targets: by their ids.
        fit: tells which targets cannot serve a request; None: all can serve every one, as far as is known.
        shared: the ids of the targets whose account at the provider several tenants share.
        max_output: the most tokens that any of the targets writes; None: not known of all.
        rates: by the number of the day, the prices of all targets; that of the present day.
        translated: by the API of the client, the calls of the targets that do not speak it.
        plain: APIs of clients whose requests all targets serve, whatever they say; those that are known.
    """

    pool: Pool
    budget: RetryBudget
    affinity: AffinityKeys | None
    targets: Mapping[str, CompiledTarget]
    fit: Fit | None
    shared: frozenset[str]
    max_output: int | None
    rates: dict[float, Sequence[Rates | None]] = field(default_factory=dict)
    translated: dict[str, Mapping[str, TranslatedCall]] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)

    def speaking(self, api: str) -> frozenset[str]:
        """The ids of the targets that speak an API themselves."""
        return frozenset(id for id, one in self.targets.items() if api in one.resolved.provider.endpoint.apis)

    def of_provider(self, provider_id: str) -> frozenset[str]:
        """The ids of the targets at a provider."""
        return frozenset(
            id for id, one in self.targets.items() if one.resolved.provider.provider.id == provider_id
        )


class AiRoute:
    """A compiled rule for AI. One event loop uses it; its look-ups are kept in bounds."""

    def __init__(
        self,
        rule: Rule,
        ai: AiRule,
        tenant_id: str,
        *,
        providers: Mapping[str, ProviderCalls],
        models: Mapping[str, Model],
        order: SearchOrder,
        prices: PriceTable,
        states: PoolStates,
        is_traced: Callable[[Origin], bool] = lambda _: False,
        budgets: RuleBudgets | None = None,
    ) -> None:
        """`providers` and `models` are all that the tenant may use; `order` has those of the rule.

        `is_traced` says whether an upstream is told the place of a request in a trace.
        """
        self.ai = ai
        self.budgets = budgets or RuleBudgets((), tenant_id, rule.id)
        self._prices = prices
        self._rule = rule
        self.is_clients = rule.credential == CLIENT
        self.tenant_id = tenant_id
        self._is_traced = is_traced
        self._providers = providers
        self.states = states
        known = {name: one.known for name, one in providers.items()}
        self.resolver = Resolver(ai, order, known, models, served_apis)
        served = served_apis({api for one in known.values() for api in one.endpoint.apis})
        self._apis = {*served, MODELS} if ai.apis is None else set(ai.apis)
        secret = keyed_hash(states.secret, tenant_id.encode(), size=16).digest()
        unsupported, reasoning = ai.translate.unsupported, ai.translate.reasoning
        self._translation = Settings(unsupported=unsupported, reasoning=reasoning, secret=secret)
        self._rings: dict[str, KeyRing | None] = {}
        self._pools = BoundedDict[tuple[str, ...], ModelPool](_KEPT)
        self._resolved = BoundedDict[tuple[str, str, str | None], tuple[Resolution, ModelPool]](_KEPT)
        #: The calls that were made, by their paths. There are few paths without an id.
        self.calls: dict[str, ApiCall] = {}

    def call(self, path: str) -> ApiCall | Rejection:
        """The call of an API that a request with this path makes; one of `calls`, once it is known."""
        if path in self.calls:
            return self.calls[path]
        found = match_call(path[len(self._rule.path) :] if self._rule.path != "/" else path)
        if found is not None and (found.api in self._apis or found.api == USAGE):
            if found.id is None:
                self.calls[path] = found
            return found
        apis = ", ".join(name for name in PATHS if name in self._apis)
        return make_rejection(
            "api_not_supported",
            f"This rule serves {apis}. For another API, add a rule with the provider as its target.",
        )

    def resolve(self, name: str, api: str, key: ApiKey | None) -> tuple[Resolution, ModelPool] | Rejection:
        """The targets for a name, and their pool. The arguments are those of `Resolver.resolve`."""
        asked = (name, api, None if key is None else key.id)
        try:  # a look-up hashes the names, and so would another one
            return self._resolved[asked]
        except KeyError:
            found = self.resolver.resolve(name, api, key)
        if isinstance(found, Rejection):
            return found
        pool = self.pool(found)
        reads = pool.fit or pool.affinity or pool.shared or api == ANTHROPIC_COUNT_TOKENS
        if not reads and not self.translated(pool, api):
            pool.plain.add(api)
        return self._resolved.keep(asked, (found, pool))

    def pool(self, resolution: Resolution) -> ModelPool:
        """The pool of the targets that may serve a request. Names with the same targets share it."""
        name = (resolution.model or "", *(target.id for target in resolution.targets))
        found = self._pools.get(name)
        return self._pools.keep(name, self._make_pool(resolution)) if found is None else found

    def translated(self, pool: ModelPool, api: str) -> Mapping[str, TranslatedCall]:
        """How the targets of a pool are called that do not speak the API of the client, by their ids."""
        if api not in pool.translated:
            targets = [one.resolved for one in pool.targets.values()]
            pool.translated[api] = translated_calls(api, targets, self._known_caps, self._translation)
        return pool.translated[api]

    def upstream(
        self,
        compiled: CompiledTarget,
        key: ProviderKey | None,
        call: ApiCall,
        translated: TranslatedCall | None = None,
    ) -> Upstream:
        """The upstream of a call of a target; `translated` is that call if it is not the client's."""
        call = call if translated is None else translated.call
        name = (call.path, key.id if key else None, translated is not None)
        try:
            return compiled.upstreams[name]
        except KeyError:
            target = compiled.resolved
        calls, times = self._providers[target.provider.name], self._times(target)
        if self.is_clients:
            made = calls.upstream_for_client(call, target.model, times)
        else:
            made = calls.upstream(call, target.model, key, times)
        if translated is not None:
            made = calls.for_translated(made)
        return compiled.upstreams.keep(name, replace(made, is_traced=self._is_traced(made.target)))

    def rates(self, compiled: CompiledTarget, now: float, tier: str = "") -> Rates | None:
        """The prices of a target, `now` in seconds since the Unix epoch; None when they are not known.

        A call with the client's own credential is paid by the client.
        """
        if self.is_clients:
            return None
        name = (now // DAY_SECONDS, tier)
        try:
            return compiled.rates[name]
        except KeyError:
            return compiled.rates.keep(name, self._find_rates(compiled.resolved, day_of(now), tier))

    def all_rates(self, pool: ModelPool, now: float) -> Sequence[Rates | None]:
        """The prices of all targets of a pool, as `Demand.rates` has them."""
        if self.is_clients:
            return ()
        day = now // DAY_SECONDS
        if day not in pool.rates:
            pool.rates.clear()
            pool.rates[day] = [self.rates(one, now) for one in pool.targets.values()]
        return pool.rates[day]

    def _find_rates(self, target: ResolvedTarget, day: str, tier: str) -> Rates | None:
        provider = target.provider.provider
        shipped = self._prices.rates(provider.kind, target.model, day=day, tier=tier)
        own = in_any_case({one.id: one.prices for one in provider.models}, target.model)
        if not own:
            return shipped
        return Rates.of(own) if shipped is None else shipped.with_own(own)

    def shared_provider(self, target: ResolvedTarget) -> ProviderCalls | None:
        """The provider of a target, if it is the platform's."""
        return self._providers[target.provider.name] if target.provider.owner == PLATFORM else None

    def is_shortened(self, target: ResolvedTarget, *timeouts: str) -> bool:
        """Whether the rule or the target made one of these timeouts shorter than the provider's."""
        own, providers = self._times(target), self._provider_times(target)
        return any(getattr(own, name) != getattr(providers, name) for name in timeouts)

    def _make_pool(self, resolution: Resolution) -> ModelPool:
        policy, states = resolution.policy, self.states
        if self.is_clients:
            # Only one provider knows the credential, and its errors are the client's.
            policy = replace(policy, retry=_NEVER)
        targets = [
            Target(
                id=one.id,
                model=one.model,
                weight=one.weight,
                priority=one.priority,
                max_concurrent=one.provider.provider.max_concurrent,
                load=states.loads.of((one.provider.owner, one.provider.provider.id), Load),
                first_byte=self._times(one).first_byte,
                keys=self._ring(one.provider),
                caps=Caps.of(self._known_caps(one)),
            )
            for one in resolution.targets
        ]

        def state(target: Target) -> TargetState:
            return states.target(self.tenant_id, target.id, policy)

        outputs = [one.caps.max_output for one in targets]
        has_choice = len(targets) > 1 or len(resolution.targets[0].provider.provider.keys) > 1
        return ModelPool(
            pool=Pool(targets, policy, state, secret=states.secret, worker=states.worker),
            budget=RetryBudget(),
            affinity=_affinity(policy, self.tenant_id, states.secret) if has_choice else None,
            targets={one.id: CompiledTarget.of(one) for one in resolution.targets},
            fit=Fit.of(targets),
            shared=frozenset(one.id for one in resolution.targets if self._is_shared(one.provider)),
            max_output=max([one for one in outputs if one is not None]) if all(outputs) else None,
        )

    def _known_caps(self, target: ResolvedTarget) -> Mapping[str, Any]:
        """The capabilities of the shipped table, with those that the provider declares in their place."""
        provider = target.provider.provider
        own = next((one.caps for one in provider.models if one.id == target.model), {})
        return {**self._prices.shipped.caps(provider.kind, target.model), **own}

    def _is_shared(self, provider: KnownProvider) -> bool:
        """Whether calls use an account of the platform.

        They do not with the client's own credential, unless the provider needs none.
        """
        return provider.owner == PLATFORM and not (self.is_clients and provider.endpoint.needs_key)

    def stored(self, binding: Binding, key: ApiKey | None) -> Resolution | None:
        """The target that stored something, as far as a request with that API key may use it."""
        return self.resolver.stored(binding.asked, binding.provider, binding.model, key)

    def pin(
        self, pool: ModelPool, key: ApiKey | None, found: Mapping[str, Binding], missing: Collection[str]
    ) -> Pin | Rejection:
        """The targets of a pool that know the things in `found`; shared ones only if none is `missing`.

        What a request names is stored in one account, and a target that shares its account with other tenants
        must not get an id that may be theirs. `key` is the client's API key. A key of the provider that was
        deleted or replaced pins nothing: another one may be for the same account.
        """
        targets, keys = frozenset(pool.targets), set()
        for id, binding in found.items():
            stored = self.stored(binding, key)
            if stored is None:
                return _not_found(id)
            provider = stored.targets[0].provider
            targets &= pool.of_provider(binding.provider)
            if not targets:
                return _not_found(id, "The model of the request is not served where it is stored.")
            if not self.is_clients and any(one.id == binding.key for one in provider.provider.keys):
                keys.add(binding.key)
            elif not binding.key and provider.provider.keys:
                missing = [*missing, id]  # it was made with a client's own credential
        if len(keys) > 1:
            return _not_found(next(iter(found)), "The request names things of several accounts.")
        if missing:
            targets -= pool.shared
            if not targets:
                return _not_found(next(iter(missing)))
        # The target that made it comes before others of its provider.
        made = frozenset(f"{one.provider}/{one.model}" for one in [*found.values()][:1])
        return Pin(targets & made or targets, next(iter(keys), None), next(iter(found), ""))

    def _ring(self, provider: KnownProvider) -> KeyRing | None:
        """The keys of a provider; None if it needs none and has none."""
        name, states = provider.name, self.states
        if name not in self._rings:
            keys = self._providers[name].keys
            if self.is_clients or not (provider.provider.keys or provider.endpoint.needs_key):
                self._rings[name] = None
            else:
                self._rings[name] = KeyRing(
                    keys,
                    lambda key_id: self._key_state(provider, key_id),
                    secret=states.secret,
                    epoch=states.epoch,
                )
        return self._rings[name]

    def _key_state(self, provider: KnownProvider, key_id: str) -> KeyState:
        """The state of a key with its present secret: what was learned of another one does not count."""
        states, credential = self.states, self._providers[provider.name].credentials[key_id]
        digest = keyed_hash(states.secret, credential.encode(), size=6).hexdigest()
        return states.key(self.tenant_id, provider.provider.id, f"{key_id}.{digest}")

    def _provider_times(self, target: ResolvedTarget) -> UpstreamTimeouts:
        return self._providers[target.provider.name].timeouts

    def _times(self, target: ResolvedTarget) -> UpstreamTimeouts:
        """The timeouts of the provider, as far as the target and the rule do not shorten them."""
        return shortened(self._provider_times(target), target.timeouts, self._rule.timeouts)


def _affinity(policy: PoolPolicy, tenant_id: str, secret: bytes) -> AffinityKeys | None:
    return None if policy.affinity is None else AffinityKeys(policy.affinity.by, tenant_id, secret)


def _not_found(id: str, why: str = "Name what requests of this tenant have made.") -> Rejection:
    return make_rejection("previous_response_not_found", f"{shown_id(id)} is not known here. {why}")
