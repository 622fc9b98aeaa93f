"""The metrics that Prometheus reads of a gateway that serves calls."""

import pytest
import requests

from shared.metrics.names import FAMILIES
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, sized
from tests.support.wait import until

REPLY = sized(
    b'{"usage":{"input_tokens":1000,"output_tokens":100,"cache_read_input_tokens":7}}',
    "200 OK",
    "Content-Type: application/json",
)


def sample(gateway: RunningGateway, name: str, least: float) -> dict[str, float]:
    """The samples, once one has at least this value: they are written every second."""
    for _ in until(5):
        found = gateway.metrics()
        if found.get(name, 0) >= least:
            return found
    raise AssertionError(f"{name} is {found.get(name)}, not {least}.")


def configured(gateway: RunningGateway, upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()

    tenant.create(
        "providers",
        name="metered",
        kind="custom",
        base_url=f"{upstream.url}/v1",
        apis=["anthropic.messages"],
        keys=[{"name": "main", "secret": "sk-main-0123456789"}],
        models=[{"id": "m", "prices": {"input": "1", "output": "2"}}],
    )
    limited = {"name": "rate_limiter", "settings": {"limit": 2, "window": "1h"}}
    tenant.create("rules", path="/ai", ai={"providers": ["metered"]}, plugin_chain=[limited])
    tenant.await_rule("/ai")
    return tenant


def test_calls_of_a_model_are_counted_with_tokens_cost_attempts_and_rejections(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    tenant = configured(gateway, upstream)
    upstream.responds(REPLY)  # the first call; the second has no usage
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello!"}]}
    statuses = [tenant.request("POST", "/ai/v1/messages", json=body).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    own, model = f'tenant="{tenant.subdomain}"', 'model="m",provider="metered"'
    rejected = f'gateway_rate_limit_rejections_total{{name="global",scope="rule",{own}}}'
    durations = f'gateway_request_duration_seconds_count{{rule="/ai",{own}}}'
    found = sample(gateway, durations, 3)  # counted last, when a response has ended
    assert found[rejected] == 1
    request = f'gateway_requests_total{{api="anthropic.messages",code="%s",rule="/ai",source="%s",status="%s",{own}}}'
    assert found[request % ("", "upstream", "2xx")] == 2
    assert found[request % ("rate_limit_exceeded", "plugin", "4xx")] == 1
    tokens = f'gateway_tokens_total{{{model},source="reported",{own},type="%s"}}'
    assert [found[tokens % kind] for kind in ("input", "output", "cached")] == [1007, 100, 7]
    assert found[tokens.replace("reported", "estimated") % "input"] > 0
    assert found['gateway_usage_missing_total{provider="metered"}'] >= 1
    assert found[f"gateway_cost_usd_total{{{model},{own}}}"] == pytest.approx(0.001207, rel=0.02)
    assert found['gateway_upstream_attempts_total{model="m",outcome="ok",provider="metered"}'] >= 2
    verdict = (
        'gateway_plugin_verdicts_total{mode="enforce",plugin="rate_limiter",stage="pre_request",verdict="%s"}'
    )
    assert found[verdict % "reject"] >= 1
    assert found[verdict % "continue"] >= 2


def test_both_programs_show_only_metrics_that_are_declared_with_their_labels(
    gateway: RunningGateway,
) -> None:
    families = {family.name: family for family in FAMILIES}
    for is_admin in (False, True):
        found = gateway.metrics(admin=is_admin)
        assert any(name.startswith("gateway_build_info{") for name in found)
        for name in found:
            metric, _, labels = name.partition("{")
            family = families.get(metric) or families[metric.rpartition("_")[0]]
            shown = [part.partition("=")[0] for part in labels.rstrip("}").split('",') if part]
            assert sorted(one for one in shown if one != "le") == sorted(family.labels), name


def test_admin_api_counts_its_requests(gateway: RunningGateway) -> None:
    requests.get(f"{gateway.admin}/livez", timeout=5)
    for _ in until(5):
        if gateway.metrics(admin=True).get('gateway_admin_requests_total{method="GET",status="2xx"}'):
            break
