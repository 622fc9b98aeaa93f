"""The names of metrics are a promise to dashboards and alerts: a change here is one for all who have some."""

from shared.metrics.names import FAMILIES

# A metric that is renamed keeps its old name for one release, and the changelog says so.
PROMISED = """
counter gateway_requests_total tenant rule api status source code
histogram gateway_request_duration_seconds tenant rule
histogram gateway_overhead_duration_seconds part
histogram gateway_time_to_first_token_seconds provider model
histogram gateway_output_tokens_per_second provider model
counter gateway_tokens_total tenant provider model type source
counter gateway_cost_usd_total tenant provider model
counter gateway_upstream_attempts_total provider model outcome
counter gateway_upstream_doubtful_repeats_total provider model
counter gateway_translated_requests_total provider model client_api api result
gauge gateway_upstream_state provider target
gauge gateway_provider_key_state provider key
counter gateway_plugin_verdicts_total plugin stage verdict mode
histogram gateway_plugin_duration_seconds plugin stage
counter gateway_rate_limit_rejections_total tenant scope name
counter gateway_limit_degraded_total tenant scope name
gauge gateway_budget_used_ratio tenant budget
counter gateway_stream_ends_total reason
gauge gateway_connections
gauge gateway_in_flight
gauge gateway_upstream_connections
counter gateway_upstream_connection_uses_total connection
gauge gateway_loop_lag_seconds
counter gateway_worker_restarts_total
gauge gateway_config_age_seconds
gauge gateway_config_revision
counter gateway_redis_calls_total outcome
gauge gateway_redis_breaker
counter gateway_dropped_total kind
counter gateway_webhook_deliveries_total outcome
counter gateway_usage_missing_total provider
counter gateway_admin_requests_total method status
gauge gateway_build_info program version
"""


def test_names_types_and_labels_of_metrics_are_those_that_were_promised() -> None:
    found = [f"{one.kind} {one.name} {' '.join(one.labels)}".rstrip() for one in FAMILIES]
    assert found == PROMISED.strip().splitlines()
