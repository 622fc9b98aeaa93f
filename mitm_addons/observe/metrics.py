"""Counts requests after their last byte, for Prometheus (`shared.metrics`)."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from mitm_addons.flows import FlowState, GatewayFlow
from mitm_addons.observe.model_series import ModelSeries, Shown, outcome_of
from mitm_addons.observe.records import LIMITER
from mitm_addons.wire_errors import STATUS_SENT, code_of
from shared.core.memo import BoundedDict
from shared.limits.values import BUDGET
from shared.metrics import names
from shared.metrics.registry import OTHER, Histogram, Registry, Value
from shared.pipeline.run import Run
from shared.providers.resolve import ResolvedTarget
from shared.routing.ai_exchange import AiExchange
from shared.upstreams.attempt import TracedAttempt

#: The reasons why a stream ended, by the code of its error.
_ENDS: Final = {
    None: "complete",
    "client_closed": "client_gone",
    "overloaded": "drain",
    "quota_exceeded": "budget",
}
_MAX_KEPT: Final = 16_384
_OVERHEAD: Final = names.OVERHEAD.bounds
# Tenant, rule, status (its class), source, code and API of a request.
_Outcome = tuple[str, str, int, str, str | None, str | None]


class RequestMetrics:
    """Adds each exchange to the series of its rule, and of the model that served it.

    Attributes:
        shown: the names of providers and targets in labels.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.shown = Shown()
        self._before, self._after = (
            registry.histogram(names.OVERHEAD, part) for part in ("request", "response")
        )
        self._kept: BoundedDict[object, Any] = BoundedDict(_MAX_KEPT)  # children, by what they count

    def post_response(self, flow: GatewayFlow) -> None:
        state = flow.gateway_state
        if state is None or state.is_health_check:
            return
        now, response, broken = state.over, flow.response, flow.error
        code = state.code if broken is None or state.code is not None else code_of(broken.msg)
        status = response.data.status_code if response else flow.metadata.get(STATUS_SENT) or 0
        source = "gateway" if response is None else state.source
        api = None if state.ai is None else state.ai.call.api
        tenant = "" if state.gateway is None else state.gateway.snapshot.tenant.subdomain
        rule = "" if state.admitted is None else state.admitted.route.rule.path
        key: _Outcome = (tenant, rule, status // 100, source, code, api)
        try:
            requests, duration = self._kept[key]
        except KeyError:
            requests, duration = self._make(key)
        requests.value += 1
        took = now - state.started
        duration.counts[bisect_left(duration.bounds, took)] += 1
        duration.total += took
        call = state.call
        if call.forwarded is not None:
            pooled = state.pooled
            if pooled is None or pooled.attempts is None or pooled.attempts.number < 2:
                took = call.forwarded - state.started
                self._before.counts[bisect_left(_OVERHEAD, took)] += 1
                self._before.total += took
            if call.ended is not None:
                took = now - call.ended
                self._after.counts[bisect_left(_OVERHEAD, took)] += 1
                self._after.total += took
            if state.ai is not None:
                self._count_model(state, tenant, state.ai, now)
            elif pooled is not None and pooled.attempts is not None:
                self._count_targets(pooled.attempts.trace)
        if state.sent.is_events:
            self._count_end(state, code)
        if state.run is not None:
            self._count_run(tenant, state.run)

    def _make(self, key: _Outcome) -> tuple[Value, Histogram]:
        """The requests with this outcome, and the duration of those of the rule."""
        *name, status, source, code, api = key
        shown = f"{status}xx" if status else "none"
        requests = self._registry.value(
            names.REQUESTS, *name, api or "", shown, source.partition(":")[0], code or ""
        )
        made = requests, self._registry.histogram(names.DURATION, *name)
        self._kept.keep(key, made)
        return made

    def _count_targets(self, trace: Sequence[TracedAttempt]) -> None:
        for one in trace:
            outcome = outcome_of(one.status, one.why)
            self._registry.value(names.ATTEMPTS, "targets", "", outcome).value += 1

    def _count_model(self, state: FlowState, tenant: str, ai: AiExchange, now: float) -> None:
        """Count the attempts of a request, and what the last target did."""
        last, series = "", None
        for one in ai.attempts.trace if ai.attempts is not None else ():
            if series is None or one.target != last:
                last, series = one.target, self._model(tenant, ai, one.target)
            try:
                series.attempts[one.status, one.why].value += 1
            except KeyError:
                series.attempted(one.status, one.why)
        if ai.attempt is not None:
            target = ai.attempt.target.id
            if series is None or target != last:
                series = self._model(tenant, ai, target)
            series.count(state, ai, now)

    def _model(self, tenant: str, ai: AiExchange, target_id: str) -> ModelSeries:
        """The series of a target, as a tenant uses it."""
        if ai.pool is None:
            return ModelSeries(self._registry, tenant, ("", OTHER))
        target = ai.pool.targets[target_id].resolved
        is_named = ai.resolution is not None and ai.resolution.model is not None
        key = (tenant, target.provider.provider.name, target.model, is_named)
        try:
            found: ModelSeries = self._kept[key]
        except KeyError:
            found = self._make_model(key, target)
        return found

    def _make_model(self, key: tuple[str, str, str, bool], target: ResolvedTarget) -> ModelSeries:
        tenant, *_, is_named = key
        made = ModelSeries(self._registry, tenant, self.shown.model(target, is_named=is_named))
        self._kept.keep(key, made)
        return made

    def _count_end(self, state: FlowState, code: str | None) -> None:
        reason = "judge" if state.source.startswith("plugin:") else _ENDS.get(code, "upstream_cut")
        self._registry.value(names.STREAM_ENDS, reason).value += 1

    def _count_run(self, tenant: str, run: Run) -> None:
        """Count what the plugins of a request did."""
        if run.rejection is not None:
            self._count_limit(tenant, run.rejection.details)
        if run.trace is not None:
            for one in run.trace.results:
                if one.seconds is not None:
                    labels = one.step.plugin.name, one.stage.value
                    self._registry.histogram(names.PLUGIN_DURATION, *labels).observe(one.seconds)
        if LIMITER in run.notes and "degraded" in run.notes[LIMITER]:
            states: Any = run.notes[LIMITER]["limits"]
            for state in states:
                scope, name = state.limit.scope, state.limit.name
                self._registry.value(names.LIMIT_DEGRADED, tenant, scope, name).value += 1

    def _count_limit(self, tenant: str, details: object) -> None:
        match details:
            case {"rate_limit": {"scope": str(scope), "name": str(name)}}:
                self._registry.value(names.LIMIT_REJECTIONS, tenant, scope, name).value += 1
            case {"budget": {"name": str(name)}}:
                self._registry.value(names.LIMIT_REJECTIONS, tenant, BUDGET, name).value += 1
