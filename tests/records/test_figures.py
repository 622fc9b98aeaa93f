"""The figures of minutes: quantiles, and series for Prometheus."""

import re

from shared.records.figures import document, exposition, quantile, total
from shared.records.minutes import ADDED_MS, Minutes
from tests.records.lines import AI, NOW, access_line, line


def figures() -> dict[str, int]:
    minutes = Minutes()
    for number in range(100):
        minutes.add(
            NOW, access_line(line(number, ai=AI, milliseconds=100.0 + number / 10, ttft_ms=10.0 * number))
        )
    minutes.add(NOW, access_line(line(status=503, source="gateway", upstream_ms=None)))
    minutes.add(NOW, access_line(line(status=429, source="plugin:rate_limiter", upstream_ms=None)))
    return dict(next(minutes.take()).amounts)


def test_figures_of_a_span_are_shown() -> None:
    shown = document(total([figures(), figures()]))
    assert (shown["requests"], shown["rejected"]) == (204, 2)
    assert shown["failed"] == {"gateway": 2, "plugin": 0, "upstream": 0}
    assert shown["classes"] == {"1xx": 0, "2xx": 200, "3xx": 0, "4xx": 2, "5xx": 2, "none": 0}
    assert (shown["input"], shown["output"], shown["cost_usd"]) == (200_000, 10_000, "0.3")
    assert 4.0 < shown["added_ms"]["p50"] < 6.0
    assert 9.0 < shown["added_ms"]["p95"] <= 10.0
    assert 750.0 < shown["ttft_ms"]["p95"] <= 1_000.0


def test_span_without_requests_has_no_quantiles() -> None:
    shown = document({})
    assert (shown["requests"], shown["cost_usd"]) == (0, "0")
    assert shown["added_ms"] == {"p50": None, "p95": None, "p99": None}


def test_quantile_above_the_last_end_is_that_end() -> None:
    assert quantile({"added:13": 3}, "added", ADDED_MS, 0.5) == ADDED_MS[-1]


def test_series_have_the_form_of_prometheus_and_add_up() -> None:
    text = exposition(figures(), "acme")
    series = re.compile(r'[a-z_]+\{tenant="acme"(,[a-z]+="[^"]+")*\} [0-9.]+')
    lines = text.splitlines()
    assert all(one.startswith("# ") or series.fullmatch(one) for one in lines)
    assert 'gateway_requests_total{tenant="acme",status="2xx",source="upstream"} 100' in lines
    assert 'gateway_tokens_total{tenant="acme",type="output"} 5000' in lines
    assert 'gateway_cost_usd_total{tenant="acme"} 0.150000000' in lines
    assert 'gateway_overhead_duration_seconds_bucket{tenant="acme",le="+Inf"} 100' in lines
    assert 'gateway_overhead_duration_seconds_count{tenant="acme"} 100' in lines
    assert text.count("# TYPE") == len(set(re.findall(r"# TYPE (\w+)", text))) == 5
