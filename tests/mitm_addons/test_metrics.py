"""The counts of a request after its last byte."""

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.flow import Error

from mitm_addons.observe.metrics import RequestMetrics
from mitm_addons.observe.model_series import Shown, outcome_of
from mitm_addons.wire_errors import STATUS_SENT
from shared.core.errors import make_rejection
from shared.limits.values import Limit, LimitState, Quota
from shared.metrics import names
from shared.metrics.names import Family
from shared.metrics.registry import OTHER, Registry
from shared.model.config import Stage
from shared.model.providers import Provider
from shared.pipeline.trace import StepResult
from shared.providers.resolve import KnownProvider, ResolvedTarget
from shared.providers.shipped.presets import presets
from tests.mitm_addons.begun import admitted, begun_flow
from tests.mitm_addons.test_attempts import REFUSED, ask


def counted(*flows: Any) -> dict[tuple[Family, tuple[str, ...]], list[float]]:
    """The series that have counted something."""
    registry = Registry()
    metrics = RequestMetrics(registry)
    for flow in flows:
        metrics.post_response(flow)
    return {child: series.numbers for child, series in registry.series() if any(series.numbers)}


def requests_of(*flows: Any) -> dict[tuple[str, ...], float]:
    return {
        labels: numbers[0]
        for (family, labels), numbers in counted(*flows).items()
        if family is names.REQUESTS
    }


def of_rule(**state: Any) -> Any:
    one = admitted()
    return begun_flow(admitted=one, gateway=one.gateway, over=10.0, **state)


def test_requests_of_a_rule_are_counted_by_their_outcome() -> None:
    served, again = of_rule(), of_rule()
    rejected = of_rule(source="plugin:content_validator", code="blocked_content")
    rejected.response.status_code = 403
    gone = begun_flow(has_response=False, code="client_closed")
    assert requests_of(served, again, rejected, gone) == {
        ("t", "/", "", "2xx", "upstream", ""): 2,
        ("t", "/", "", "4xx", "plugin", "blocked_content"): 1,
        ("", "", "", "none", "gateway", "client_closed"): 1,
    }


def test_client_that_left_before_a_status_was_sent_is_counted_without_one() -> None:
    gone = begun_flow(has_response=False, code="client_closed")
    gone.metadata[STATUS_SENT] = None  # as mitmproxy's core has it
    assert requests_of(gone) == {("", "", "", "none", "gateway", "client_closed"): 1}


def test_probes_are_not_counted() -> None:
    assert not counted(begun_flow(is_health_check=True))


def test_overhead_is_what_comes_before_and_after_the_upstream() -> None:
    flow = of_rule()
    flow.gateway_state.call.forwarded, flow.gateway_state.call.ended = 0.25, 9.5
    found = counted(flow)
    assert found[names.OVERHEAD, ("request",)][-1] == 0.25
    assert found[names.OVERHEAD, ("response",)][-1] == 0.5
    assert found[names.DURATION, ("t", "/")][-1] == 10.0


@pytest.mark.parametrize(
    ("code", "source", "reason"),
    [
        (None, "upstream", "complete"),
        ("client_closed", "upstream", "client_gone"),
        ("upstream_closed", "gateway", "upstream_cut"),
        ("overloaded", "gateway", "drain"),
        ("blocked_content", "plugin:x", "judge"),
        ("quota_exceeded", "gateway", "budget"),
    ],
)
def test_end_of_a_stream_has_a_reason(code: str | None, source: str, reason: str) -> None:
    flow = of_rule(code=code, source=source)
    flow.gateway_state.sent.is_events = True
    assert counted(flow)[names.STREAM_ENDS, (reason,)] == [1]


def test_error_of_a_flow_is_its_code() -> None:
    flow = of_rule()
    flow.error = Error("upstream_timeout: no response")
    assert requests_of(flow) == {("t", "/", "", "2xx", "upstream", "upstream_timeout"): 1}


def test_rejection_of_a_limit_names_the_limit() -> None:
    flow = of_rule()

    rejection = make_rejection("rate_limit_exceeded")
    object.__setattr__(rejection, "details", {"rate_limit": {"scope": "rule", "name": "global"}})
    flow.gateway_state.run = a_run(rejection=rejection)
    assert counted(flow)[names.LIMIT_REJECTIONS, ("t", "rule", "global")] == [1]


def a_run(**more: Any) -> Any:
    """A run of plugins, as far as it is counted."""
    return SimpleNamespace(**{"rejection": None, "trace": None, "notes": {}, **more})


def test_limit_that_was_decided_without_redis_is_counted_by_its_name() -> None:
    flow, other = of_rule(), of_rule()
    limit = Limit("k", Quota(1, 1_000), "rule", "per_ip", "1s")
    states = [LimitState(limit, 1, 0)]
    flow.gateway_state.run = a_run(notes={"rate_limiter": {"limits": states, "degraded": True}})
    other.gateway_state.run = a_run(notes={"rate_limiter": {"limits": states}})
    assert counted(flow, other)[names.LIMIT_DEGRADED, ("t", "rule", "per_ip")] == [1]


def test_calls_of_plugins_are_timed_where_a_request_is_traced() -> None:
    flow = of_rule()
    step: Any = SimpleNamespace(plugin=SimpleNamespace(name="security_validator"))
    results = [
        StepResult(step, Stage.PRE_REQUEST, seconds=0.002),
        StepResult(step, Stage.PRE_REQUEST, seconds=None),
    ]
    flow.gateway_state.run = a_run(trace=SimpleNamespace(results=results))
    numbers = counted(flow)[names.PLUGIN_DURATION, ("security_validator", "pre_request")]
    assert (sum(numbers[:-1]), numbers[-1]) == (1, 0.002)


def test_calls_of_a_rule_with_targets_are_counted_by_their_outcome() -> None:
    tried = ask()
    assert tried.fail(error=REFUSED)
    tried.one.receive(200, 100.0)
    tried.flow.gateway_state.call.forwarded = 1.0
    found = counted(tried.flow)
    assert found[names.ATTEMPTS, ("targets", "", "connect")] == [1]
    assert found[names.ATTEMPTS, ("targets", "", "ok")] == [1]


@pytest.mark.parametrize(
    ("status", "why", "outcome"),
    [
        (200, "", "ok"),
        (0, "dns", "connect"),
        (0, "protocol", "reset"),
        (0, "timeout", "timeout"),
        (401, "authentication_error", "auth"),
        (429, "rate_limit_error", "rate_limit"),
        (529, "overloaded_error", "overloaded"),
        (500, "status 500", "server_error"),
        (400, "invalid_request_error", "rejected"),
        (200, "error event", "stream_start"),
    ],
)
def test_outcome_of_an_attempt(status: int, why: str, outcome: str) -> None:
    assert outcome_of(status, why) == outcome


def test_name_of_a_model_is_never_what_a_client_made_up() -> None:
    provider = Provider("prov_1", "openai", "openai")
    known = KnownProvider(provider, "platform", presets()["openai"], frozenset({"gpt-known"}))
    shown = Shown()

    def model(name: str, *, is_named: bool = False) -> str:
        return shown.model(ResolvedTarget(provider=known, model=name), is_named=is_named)[1]

    assert model("gpt-known") == "gpt-known"
    assert model("my-own", is_named=True) == "my-own"
    assert {model(f"minted-{number}") for number in range(100)} == {OTHER}
    assert shown.target("prov_1/gpt-known") == ("openai", "openai/gpt-known")
    assert shown.target("prov_1/never-called") is None
