"""Spans reach an OTLP collector, and say the same as the line of the log. No request waits for it."""

import contextlib
import json
import os
from collections.abc import Iterator

import pytest
import requests

from tests.support.collector import Collector, ReceivedSpan
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import REQUEST, STREAM, Upstream, chunk, reset, send, sized
from tests.support.wait import until

PROMPT, SECRET, TOKEN = (
    "canary-of-a-prompt-0123456789",
    "ours-key-0123456789abcdef",
    "of-the-collector-0123456789",
)
BODY = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
RESPONSE = {
    "model": "m",
    "choices": [{"index": 0, "message": {"content": PROMPT}, "finish_reason": "stop"}],
    "usage": USAGE,
}
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module", params=["express", pytest.param("mitmproxy", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> str:
    """One gateway more by default, whose settings no other test needs."""
    return str(request.param)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(
    collector: Collector, engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "GATEWAY__OTEL__HEADERS": json.dumps({"x-token": TOKEN}),
        "GATEWAY__RECORDS__TRACES": "1000",
    }
    with RunningGateway(tmp_path_factory.mktemp("traced") / "data", settings, engine) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def owner(traced: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant, url = traced.create_tenant(), everlasting_upstream.url
    chain = [
        {"name": "security_validator", "settings": {"blocked_user_agents": ["(?i)badbot"]}},
        {"name": "rate_limiter", "settings": {"limits": {"global": {"limit": 3, "window": "1h"}}}},
    ]
    tenant.create_rule("/plain", url)
    tenant.create_rule("/chain", url, plugin_chain=chain)
    tenant.create_rule("/untold", url, trace_headers=False)
    models = [{"id": "m", "prices": {"input": "1", "output": "2"}}]
    for number, name in enumerate(("one", "two")):
        document = {
            "name": name,
            "kind": "custom",
            "base_url": f"{url}/{name}/v1",
            "apis": ["openai.chat"],
            "keys": [{"name": name, "secret": f"{SECRET}{number}"}],
            "models": models,
        }
        assert traced.call("POST", f"/tenants/{tenant.id}/providers", json=document).status_code == 201
    targets = [
        {"provider": "one", "model": "m", "priority": 0},
        {"provider": "two", "model": "m", "priority": 1},
    ]
    model = {"name": "m", "targets": targets}
    assert traced.call("POST", f"/tenants/{tenant.id}/models", json=model).status_code == 201
    rule = {"path": "/ai", "ai": {"models": ["m"]}, "trace_headers": True}
    assert traced.call("POST", f"/tenants/{tenant.id}/rules", json=rule).status_code == 201
    tenant.await_rule("/ai")
    return tenant


def context(trace: str | None = None) -> tuple[str, dict[str, str]]:
    """A new trace, and the headers that name it."""
    trace = trace or os.urandom(16).hex()
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "tracestate": "a=1"}
    return trace, {**headers, "X-Request-ID": f"trace-{trace}"}


def by_kind(spans: list[ReceivedSpan], kind: str) -> list[ReceivedSpan]:
    return [one for one in spans if one.kind == kind]


def test_spans_of_a_request_say_what_its_line_says_and_the_upstream_gets_its_parent(
    owner: TenantInUse, upstream: Upstream, collector: Collector
) -> None:
    trace, headers = context()
    assert owner.request("GET", f"/plain/x?q={PROMPT}", headers=headers).status_code == 200
    server, client = collector.trace(trace, 2)
    line = owner.gateway.access_line(f"trace-{trace}")
    assert (server.kind, server.span.name) == ("SERVER", "GET /plain")
    assert server.span.parent_span_id.hex() == "00f067aa0ba902b7"
    assert server.milliseconds == pytest.approx(line["milliseconds"], abs=0.01)
    expected = {
        "http.request.method": line["method"],
        "http.route": "/plain",
        "url.path": line["path"],
        "http.response.status_code": line["status"],
        "server.address": owner.host.partition(":")[0],
        "gateway.request.id": line["request_id"],
        "gateway.tenant.id": line["tenant"],
        "gateway.rule.id": line["rule"],
        "gateway.key.id": line["key"],
        "gateway.config.version": line["config_version"],
        "gateway.source": line["source"],
    }
    assert server.attributes == expected
    assert (line["trace_id"], server.resource["service.name"]) == (trace, "ai-gateway")
    assert (client.kind, client.span.name) == ("CLIENT", "GET")
    assert client.span.parent_span_id == server.span.span_id
    assert client.milliseconds == pytest.approx(line["upstream_ms"], abs=0.01)
    host, _, port = line["upstream"].partition(":")
    assert client.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": line["upstream_status"],
        "server.address": host,
        "server.port": int(port),
    }
    [seen] = upstream.received
    assert seen.all("traceparent") == [f"00-{trace}-{client.span.span_id.hex()}-01"]
    assert seen.all("tracestate") == ["a=1"]


def test_request_without_a_valid_trace_begins_one(
    owner: TenantInUse, upstream: Upstream, collector: Collector
) -> None:
    for number, parent in enumerate((None, "00-" + "0" * 32 + "-00f067aa0ba902b7-01")):
        headers = {"X-Request-ID": f"{owner.id}-new-{number}", **({"traceparent": parent} if parent else {})}
        owner.request("GET", "/plain/x", headers={**headers, "tracestate": "a=1"})
        trace = owner.gateway.access_line(f"{owner.id}-new-{number}")["trace_id"]
        server, client = collector.trace(trace, 2)
        assert server.span.parent_span_id == b""
        assert upstream.received[-1].all("traceparent") == [f"00-{trace}-{client.span.span_id.hex()}-01"]
        assert upstream.received[-1].all("tracestate") == []


def test_client_that_is_not_traced_is_not_exported_and_goes_on_so(
    owner: TenantInUse, upstream: Upstream, collector: Collector
) -> None:
    silent, other = os.urandom(16).hex(), context()
    owner.request("GET", "/plain/x", headers={"traceparent": f"00-{silent}-00f067aa0ba902b7-00"})
    assert (upstream.received[-1].get("traceparent") or "").startswith(f"00-{silent}-")
    assert (upstream.received[-1].get("traceparent") or "").endswith("-00")
    owner.request("GET", "/untold/x", headers=other[1])
    assert upstream.received[-1].all("traceparent") == []
    assert collector.trace(other[0], 2)
    assert not [one for one in collector.spans if one.trace_id == silent]


def test_spans_of_plugins_have_their_verdicts_and_that_of_a_rejection_its_limit(
    owner: TenantInUse, upstream: Upstream, collector: Collector
) -> None:
    for _ in range(4):
        trace, headers = context()
        status = owner.request("GET", "/chain/x", headers=headers).status_code
    assert status == 429
    spans = collector.trace(trace, 3)
    [server], plugins = by_kind(spans, "SERVER"), by_kind(spans, "INTERNAL")
    assert server.attributes["gateway.limits.violated"] == "rule global"
    assert server.attributes["error.type"] == "rate_limit_exceeded"
    assert server.attributes["gateway.source"] == "plugin:rate_limiter"
    assert [one.span.name for one in plugins] == ["plugin security_validator", "plugin rate_limiter"]
    assert [one.attributes["gateway.plugin.verdict"] for one in plugins] == ["continue", "reject"]
    for one in plugins:
        assert one.span.parent_span_id == server.span.span_id
        assert (
            server.span.start_time_unix_nano <= one.span.start_time_unix_nano <= one.span.end_time_unix_nano
        )
        assert one.span.end_time_unix_nano <= server.span.end_time_unix_nano
    assert by_kind(spans, "CLIENT") == []
    line = owner.gateway.access_line(f"trace-{trace}")
    assert line["limits"] == [
        {"scope": "rule", "name": "global", "unit": "requests", "limit": 3, "remaining": 0}
    ]
    assert 0 < line["plugins_ms"] < line["milliseconds"]


def test_each_attempt_at_a_model_has_a_span_and_the_last_one_its_use(
    owner: TenantInUse, upstream: Upstream, collector: Collector, engine: str
) -> None:
    trace, headers = context()
    served = [*REQUEST, send(sized(json.dumps(RESPONSE).encode(), "200 OK", JSON))]
    failing = [*REQUEST, send(sized(b"{}", "503 Service Unavailable", JSON))]
    # The core of mitmproxy makes one attempt.
    upstream.plays(*([failing, served] if engine == "express" else [served]))
    assert owner.request("POST", "/ai/chat/completions", json=BODY, headers=headers).status_code == 200
    line = owner.gateway.access_line(f"trace-{trace}")
    spans = collector.trace(trace, 1 + len(line["ai"]["attempts"]))
    attempts = by_kind(spans, "CLIENT")
    assert [one.attributes.get("error.type") for one in attempts] == [
        one["why"] or None for one in line["ai"]["attempts"]
    ]
    assert len(attempts) == (2 if engine == "express" else 1)
    last = attempts[-1]
    assert last.span.name == "chat m"
    assert last.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(line["upstream"].partition(":")[2]),
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "custom",
        "gen_ai.request.model": line["ai"]["model"],
        "gen_ai.usage.input_tokens": line["ai"]["input"],
        "gen_ai.usage.cache_read.input_tokens": line["ai"]["input_cached"],
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.output_tokens": line["ai"]["output"],
        "gen_ai.usage.reasoning.output_tokens": 2,
        "gen_ai.response.finish_reasons": ["stop"],
        "gateway.provider.name": line["ai"]["provider"],
        "gateway.provider.key.id": line["ai"]["provider_key"],
    }
    assert by_kind(spans, "SERVER")[0].attributes["gateway.cost_usd"] == float(line["ai"]["cost"])
    parents = [seen.get("traceparent") for seen in upstream.received[-len(attempts) :]]
    assert parents == [f"00-{trace}-{one.span.span_id.hex()}-01" for one in attempts]


def test_stream_that_breaks_off_has_its_first_token_and_its_cut(
    owner: TenantInUse, upstream: Upstream, collector: Collector
) -> None:
    trace, headers = context()
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\n'
    upstream.plays([*REQUEST, send(STREAM + chunk(event)), reset])
    body, received = {**BODY, "stream": True}, b""
    response = owner.request("POST", "/ai/chat/completions", json=body, headers=headers, stream=True)
    with contextlib.suppress(requests.RequestException):
        for piece in response.iter_content(None):
            received += piece
    assert b"Hello" in received
    [server], [client] = (by_kind(collector.trace(trace, 2), kind) for kind in ("SERVER", "CLIENT"))
    assert [one.name for one in server.span.events] == ["first_token", "cut"]
    assert client.attributes["gen_ai.request.stream"] is True
    assert client.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert server.attributes["error.type"] == owner.gateway.access_line(f"trace-{trace}")["code"]


def test_no_content_and_no_credential_is_in_what_the_collector_gets(
    owner: TenantInUse, collector: Collector
) -> None:
    trace, headers = context()
    owner.request("POST", f"/ai/chat/completions?x={PROMPT}", json=BODY, headers=headers)
    collector.trace(trace)
    assert [path for path, _, _ in collector.calls] == ["/v1/traces"] * len(collector.calls)
    assert all(headers.get("x-token") == TOKEN for _, headers, _ in collector.calls)
    everything = b"".join(body for _, _, body in collector.calls)
    for canary in (PROMPT, SECRET, owner.key, TOKEN):
        assert canary.encode() not in everything
    assert TOKEN not in owner.gateway.log("proxy")


def test_collector_that_rejects_or_is_gone_costs_no_request_and_is_counted(
    owner: TenantInUse, collector: Collector
) -> None:
    collector.status = 400
    try:
        assert owner.request("GET", "/plain/x").status_code == 200
        for _ in until(10.0):
            dropped = owner.gateway.metrics().get('gateway_dropped_total{kind="trace"}', 0)
            if dropped:
                break
            owner.request("GET", "/plain/x")
        assert dropped
        assert "Spans are dropped" in owner.gateway.log("proxy")
    finally:
        collector.status = 200
    trace, headers = context()
    owner.request("GET", "/plain/x", headers=headers)
    assert collector.trace(trace, 2)
