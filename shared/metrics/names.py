"""Every metric, declared once: its name, type, labels and meaning.

From here come the series of both programs, docs/reference/metrics.md, and the tests of dashboard and alerts.
The names are stable. A metric that is renamed keeps its old name for one release.
"""

from typing import Final, NamedTuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
#: How the gauges of several workers become one.
SUM, MAX, MIN = "livesum", "livemax", "livemin"

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_OVERHEAD: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_PLUGIN: Final = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.05, 0.25, 1.0, 5.0)
_FIRST_TOKEN: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
_PER_SECOND: Final = (1.0, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0)


class Family(NamedTuple):
    """A metric with its labels.

    Attributes:
        name: as Prometheus shows it.
        kind: counter, gauge or histogram.
        meaning: what it counts, as part of a sentence.
        labels: the names of its labels, in the order in which values are given.
        bounds: the upper bounds of a histogram's buckets.
        merge: how the values of several workers become one; for gauges.
    """

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    merge: str = ""


REQUESTS = Family(
    "gateway_requests_total",
    COUNTER,
    "requests that are over; `status` is a class such as 2xx, or none, and `source` made the response",
    ("tenant", "rule", "api", "status", "source", "code"),
)
DURATION = Family(
    "gateway_request_duration_seconds",
    HISTOGRAM,
    "the whole exchange, up to the last byte for the client",
    ("tenant", "rule"),
    _SECONDS,
)
OVERHEAD = Family(
    "gateway_overhead_duration_seconds",
    HISTOGRAM,
    "the gateway's part: `request` from the head to the call of the upstream, `response` from the "
    "upstream's last byte to the end",
    ("part",),
    _OVERHEAD,
)
FIRST_TOKEN = Family(
    "gateway_time_to_first_token_seconds",
    HISTOGRAM,
    "from the request to the first byte of a model's stream for the client",
    ("provider", "model"),
    _FIRST_TOKEN,
)
TOKENS_PER_SECOND = Family(
    "gateway_output_tokens_per_second",
    HISTOGRAM,
    "output tokens of a stream, per second since its first byte",
    ("provider", "model"),
    _PER_SECOND,
)
TOKENS = Family(
    "gateway_tokens_total",
    COUNTER,
    "tokens by `type`: input, cached, cache_write, output, reasoning. cached and cache_write are parts of "
    "input, reasoning is a part of output",
    ("tenant", "provider", "model", "type", "source"),
)
COST = Family(
    "gateway_cost_usd_total",
    COUNTER,
    "cost in USD, as far as prices are known",
    ("tenant", "provider", "model"),
)
ATTEMPTS = Family(
    "gateway_upstream_attempts_total",
    COUNTER,
    "calls of targets by `outcome`: ok, connect, reset, timeout, rate_limit, overloaded, server_error, "
    "stream_start, auth or rejected; a rule with `targets` has provider targets and no model",
    ("provider", "model", "outcome"),
)
DOUBTFUL_REPEATS = Family(
    "gateway_upstream_doubtful_repeats_total",
    COUNTER,
    "requests that were sent again although a call without a response may be billed",
    ("provider", "model"),
)
TRANSLATED = Family(
    "gateway_translated_requests_total",
    COUNTER,
    "requests to a target of another API than the client's; `result` is ok, failed (not translated, or a "
    "stream that ended with an error) or unknown_stop (the reason to stop is not known)",
    ("provider", "model", "client_api", "api", "result"),
)
UPSTREAM_STATE = Family(
    "gateway_upstream_state",
    GAUGE,
    "the breaker of a target: 0 closed, 1 half open, 2 open; the worst of all workers and tenants",
    ("provider", "target"),
    merge=MAX,
)
KEY_STATE = Family(
    "gateway_provider_key_state",
    GAUGE,
    "a provider's key: 0 usable, 1 cooling, 2 rejected; the worst of all workers and tenants",
    ("provider", "key"),
    merge=MAX,
)
PLUGIN_VERDICTS = Family(
    "gateway_plugin_verdicts_total",
    COUNTER,
    "verdicts of plugins, also on single events of streams: continue, patch, reject, respond, or fault",
    ("plugin", "stage", "verdict", "mode"),
)
PLUGIN_DURATION = Family(
    "gateway_plugin_duration_seconds",
    HISTOGRAM,
    "calls of plugins, of the requests that are traced for their records (`records.traces`)",
    ("plugin", "stage"),
    _PLUGIN,
)
LIMIT_REJECTIONS = Family(
    "gateway_rate_limit_rejections_total",
    COUNTER,
    "requests above a limit",
    ("tenant", "scope", "name"),
)
LIMIT_DEGRADED = Family(
    "gateway_limit_degraded_total",
    COUNTER,
    "requests about whose limit a worker decided alone, because Redis did not respond",
    ("tenant", "scope", "name"),
)
STREAM_ENDS = Family(
    "gateway_stream_ends_total",
    COUNTER,
    "streams by `reason` of their end: complete, client_gone, upstream_cut, judge, budget or drain",
    ("reason",),
)
BUDGET_USED = Family(
    "gateway_budget_used_ratio",
    GAUGE,
    "what budgets have used of their limits in the present period, of the 500 with the highest shares",
    ("tenant", "budget"),
    merge=MAX,
)
CONNECTIONS = Family("gateway_connections", GAUGE, "open connections of clients", merge=SUM)
IN_FLIGHT = Family("gateway_in_flight", GAUGE, "open exchanges", merge=SUM)
UPSTREAM_CONNECTIONS = Family(
    "gateway_upstream_connections", GAUGE, "open connections to upstreams", merge=SUM
)
UPSTREAM_CONNECTION_USES = Family(
    "gateway_upstream_connection_uses_total",
    COUNTER,
    "requests by the connection to their upstream: new or reused",
    ("connection",),
)
LOOP_LAG = Family(
    "gateway_loop_lag_seconds", GAUGE, "how late the event loop of the slowest worker is", merge=MAX
)
WORKER_RESTARTS = Family("gateway_worker_restarts_total", COUNTER, "workers of the proxy that were replaced")
CONFIG_AGE = Family(
    "gateway_config_age_seconds",
    GAUGE,
    "seconds since the configuration was last compared with the store",
    merge=MAX,
)
CONFIG_REVISION = Family(
    "gateway_config_revision", GAUGE, "the newest revision of the store that every worker knows", merge=MIN
)
REDIS_CALLS = Family(
    "gateway_redis_calls_total",
    COUNTER,
    "calls of Redis by `outcome`: ok, error for an error reply, failed without a reply",
    ("outcome",),
)
REDIS_BREAKER = Family(
    "gateway_redis_breaker", GAUGE, "1 while a worker counts limits without Redis", merge=MAX
)
DROPPED = Family(
    "gateway_dropped_total",
    COUNTER,
    "what was lost, by `kind`: log (lines), ledger (rows), record (requests), trace (requests), "
    "alert (what webhooks tell)",
    ("kind",),
)
WEBHOOK_DELIVERIES = Family(
    "gateway_webhook_deliveries_total",
    COUNTER,
    "calls of webhooks by `outcome`: delivered, failed (it is sent again) or dropped; missed: alerts that "
    "newer ones displaced before they were read",
    ("outcome",),
)
USAGE_MISSING = Family(
    "gateway_usage_missing_total",
    COUNTER,
    "calls of models whose provider reported no usage; their tokens are estimated",
    ("provider",),
)
ADMIN_REQUESTS = Family(
    "gateway_admin_requests_total", COUNTER, "requests to the admin API", ("method", "status")
)
BUILD_INFO = Family("gateway_build_info", GAUGE, "1", ("program", "version"), merge=MAX)

FAMILIES: Final = (
    *(REQUESTS, DURATION, OVERHEAD, FIRST_TOKEN, TOKENS_PER_SECOND, TOKENS, COST, ATTEMPTS),
    *(
        DOUBTFUL_REPEATS,
        TRANSLATED,
        UPSTREAM_STATE,
        KEY_STATE,
        PLUGIN_VERDICTS,
        PLUGIN_DURATION,
        LIMIT_REJECTIONS,
    ),
    *(
        LIMIT_DEGRADED,
        BUDGET_USED,
        STREAM_ENDS,
        CONNECTIONS,
        IN_FLIGHT,
        UPSTREAM_CONNECTIONS,
        UPSTREAM_CONNECTION_USES,
    ),
    *(LOOP_LAG, WORKER_RESTARTS, CONFIG_AGE, CONFIG_REVISION, REDIS_CALLS, REDIS_BREAKER, DROPPED),
    WEBHOOK_DELIVERIES,
    *(USAGE_MISSING, ADMIN_REQUESTS, BUILD_INFO),
)

# The attributes of spans, by the semantic conventions of OpenTelemetry 1.41: backends read these names today.
HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS = "http.request.method", "http.route", "http.response.status_code"
URL_PATH, SERVER_ADDRESS, SERVER_PORT = "url.path", "server.address", "server.port"
ERROR_TYPE = "error.type"
OPERATION, PROVIDER = "gen_ai.operation.name", "gen_ai.provider.name"
REQUEST_MODEL, REQUEST_STREAM = "gen_ai.request.model", "gen_ai.request.stream"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
#: The attribute of each member of `ai` in a line of the log that counts tokens.
USAGE_ATTRIBUTES: Final = {
    "input": "gen_ai.usage.input_tokens",
    "input_cached": "gen_ai.usage.cache_read.input_tokens",
    "input_cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}
#: The attribute of each member of a line of the log that is the gateway's own.
OWN_ATTRIBUTES: Final = {
    "request_id": "gateway.request.id",
    "tenant": "gateway.tenant.id",
    "rule": "gateway.rule.id",
    "key": "gateway.key.id",
    "config_version": "gateway.config.version",
    "source": "gateway.source",
}
COST_USD, LIMIT_VIOLATED = "gateway.cost_usd", "gateway.limits.violated"
PROVIDER_NAME, PROVIDER_KEY, TARGET = "gateway.provider.name", "gateway.provider.key.id", "gateway.target"
PLUGIN, PLUGIN_STAGE, PLUGIN_VERDICT = "gateway.plugin.name", "gateway.plugin.stage", "gateway.plugin.verdict"
#: `gen_ai.operation.name` of each API; other APIs have none.
OPERATIONS: Final = {
    "openai.chat": "chat",
    "openai.responses": "chat",
    "anthropic.messages": "chat",
    "openai.completions": "text_completion",
    "openai.embeddings": "embeddings",
    "openai.images": "generate_content",
    "openai.audio": "generate_content",
}
#: `gen_ai.provider.name` of kinds of providers that have another name there.
PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
