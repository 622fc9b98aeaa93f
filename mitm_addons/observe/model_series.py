"""The series of one model of one provider, as one tenant uses it."""

from typing import Final

from mitm_addons.flows import FlowState
from shared.core.memo import BoundedDict
from shared.metrics import names
from shared.metrics.registry import OTHER, Histogram, Registry, Value
from shared.providers.resolve import ResolvedTarget
from shared.routing.ai.translated import TranslatedResponse
from shared.routing.ai_exchange import AiExchange
from shared.usage.row import Source, Usage

_OUTCOMES: Final = {
    401: "auth",
    403: "auth",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
# Causes that say that there was no connection.
_NO_CONNECTION: Final = frozenset({"dns", "forbidden", "refused", "unreachable", "tls", "egress_proxy"})
_NANO: Final = 1e9
_MAX_KEPT: Final = 4_096
_MAX_WAYS: Final = 64


def outcome_of(status: int, why: str) -> str:
    """The outcome of an attempt, by its status and the reason of its failure.

    >>> [outcome_of(*one) for one in ((200, ""), (0, "refused"), (0, "timeout"), (200, "error event"))]
    ['ok', 'connect', 'timeout', 'stream_start']
    """
    if not why:
        return "ok"
    if not status:
        return "connect" if why in _NO_CONNECTION else "timeout" if "timeout" in why else "reset"
    if status < 400:
        return "stream_start"
    return _OUTCOMES.get(status) or ("server_error" if status >= 500 else "rejected")


class Shown:
    """The names of providers and targets in labels, by their ids. The name of a model is never a client's."""

    def __init__(self) -> None:
        self._providers: BoundedDict[str, str] = BoundedDict(_MAX_KEPT)
        self._targets: BoundedDict[str, tuple[str, str]] = BoundedDict(_MAX_KEPT)

    def model(self, target: ResolvedTarget, *, is_named: bool) -> tuple[str, str]:
        """The provider's name and that of its model, if it is known: the provider or a `Model` names it."""
        provider = target.provider
        model = target.model if is_named or provider.is_declared(target.model) else OTHER
        self._providers.keep(provider.provider.id, provider.name)
        self._targets.keep(target.id, (provider.name, f"{provider.name}/{model}"))
        return provider.name, model

    def provider(self, id: str) -> str:
        """The name of a provider; its id, as long as it was not called."""
        return self._providers.get(id, id)

    def target(self, id: str) -> tuple[str, str] | None:
        """The provider and the name of a target; None for one that was not called yet."""
        return self._targets.get(id) if "/" in id else ("targets", id)


class ModelSeries:
    """The series of one target, each made when it is needed first.

    Attributes:
        attempts: those that are over, by their status and the reason of their failure.
    """

    __slots__ = ("_cost", "_first", "_model", "_rate", "_registry", "_reported", "_tenant", "attempts")

    def __init__(self, registry: Registry, tenant: str, model: tuple[str, str]) -> None:
        """`model` is the name of the provider, and that of its model."""
        self._registry, self._tenant, self._model = registry, tenant, model
        self.attempts: BoundedDict[tuple[int, str], Value] = BoundedDict(_MAX_WAYS)
        # The input and the output that providers have reported, as most do.
        self._reported: tuple[Value, Value] | None = None
        self._cost: Value | None = None
        self._first: Histogram | None = None
        self._rate: Histogram | None = None

    def attempted(self, status: int, why: str) -> None:
        """Count the first attempt that is over in this way. `attempts` has it then."""
        found = self._registry.value(names.ATTEMPTS, *self._model, outcome_of(status, why))
        self.attempts.keep((status, why), found).value += 1

    def count(self, state: FlowState, ai: AiExchange, now: float) -> None:
        """Count a request that this target was the last to get."""
        usage, reported = ai.usage, self._reported
        if ai.is_doubtful and ai.attempts is not None and ai.attempts.number > 1:
            self._registry.value(names.DOUBTFUL_REPEATS, *self._model).value += 1
        if ai.translated is not None:
            self._count_translated(state, ai, ai.translated)
        if state.sent.first is not None and state.sent.is_events:
            self._count_stream(state.started, state.sent.first, now, usage)
        if usage is not None:
            if reported is not None and usage.source is Source.REPORTED:
                reported[0].value += usage.input
                reported[1].value += usage.output
            else:
                self._count_usage(usage)
            if usage.input_cached or usage.cache_write_5m or usage.cache_write_1h or usage.reasoning:
                self._count_parts(usage)
        if ai.cost:
            self._cost = self._cost or self._registry.value(names.COST, self._tenant, *self._model)
            self._cost.value += ai.cost / _NANO

    def _count_stream(self, started: float, first: float, now: float, usage: Usage | None) -> None:
        self._first = self._first or self._registry.histogram(names.FIRST_TOKEN, *self._model)
        self._first.observe(first - started)
        if usage is not None and usage.output and now > first:
            self._rate = self._rate or self._registry.histogram(names.TOKENS_PER_SECOND, *self._model)
            self._rate.observe(usage.output / (now - first))

    def _count_translated(self, state: FlowState, ai: AiExchange, translated: TranslatedResponse) -> None:
        result = "unknown_stop" if translated.has_unknown_stop else "ok"
        if translated.has_failed or state.code == "translation_failed":
            result = "failed"
        labels = *self._model, ai.call.api, translated.api, result
        self._registry.value(names.TRANSLATED, *labels).value += 1

    def _count_usage(self, usage: Usage) -> None:
        """Count usage that was not reported, or the first that was."""
        source = usage.source
        self._add("input", source, usage.input)
        self._add("output", source, usage.output)
        if source is Source.REPORTED:
            self._reported = self._of_kind("input", source), self._of_kind("output", source)
        else:
            self._registry.value(names.USAGE_MISSING, self._model[0]).value += 1

    def _count_parts(self, usage: Usage) -> None:
        """Count the tokens that are parts of others."""
        source = usage.source
        if usage.input_cached:
            self._add("cached", source, usage.input_cached)
        if written := usage.cache_write_5m + usage.cache_write_1h:
            self._add("cache_write", source, written)
        if usage.reasoning:
            self._add("reasoning", source, usage.reasoning)

    def _add(self, kind: str, source: str, number: int) -> None:
        self._of_kind(kind, source).value += number

    def _of_kind(self, kind: str, source: str) -> Value:
        return self._registry.value(names.TOKENS, self._tenant, *self._model, kind, source)
