"""Figures by minute: each request counts once, for its tenant and for all."""

from typing import Any

import pytest

from shared.records.keys import ALL, calls_key, minute_key, tenants_key, total_key
from shared.records.minutes import _MAX_TENANTS, ADDED_MS, CALLS_KEPT_SECONDS, FIRST_MS, Minutes
from tests.records.lines import AI, NOW, access_line, line

MINUTE = int(NOW // 60)


def figures_of(line: dict[str, Any]) -> dict[str, int]:
    """The figures that one request adds to those of its tenant."""
    minutes = Minutes()
    minutes.add(NOW, access_line(line))
    return dict(next(minutes.take()).amounts)


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({}, "n:upstream:2xx"),
        ({"status": 429, "source": "plugin:rate_limiter", "upstream_ms": None}, "n:plugin:4xx"),
        ({"status": None, "source": "gateway"}, "n:gateway:none"),
        ({"status": 999}, "n:upstream:9xx"),
    ],
)
def test_request_counts_by_source_and_class(members: dict[str, object], name: str) -> None:
    assert figures_of(line(**members))[name] == 1


def test_call_of_a_model_counts_tokens_cost_and_times() -> None:
    figures = figures_of(line(ai=AI, ttft_ms=210.0))
    assert figures == {
        "n:upstream:2xx": 1,
        "in": 1_000,
        "cached": 400,
        "out": 50,
        "cost": 1_500_000,
        "added:5": 1,
        "added_us": 3_500,
        "first:4": 1,
        "first_us": 210_000,
    }


def test_times_have_fourteen_buckets() -> None:
    assert (len(ADDED_MS), len(FIRST_MS)) == (13, 13)
    assert figures_of(line(milliseconds=9e9))["added:13"] == 1


def test_minutes_are_taken_once_by_tenant_and_over_all() -> None:
    minutes = Minutes()
    for number in range(3):
        minutes.add(NOW, access_line(line(number)))
    minutes.add(NOW, access_line(line(tenant="globex", status=500)))
    minutes.add(NOW, access_line(line(tenant=None, status=404, source="gateway")))
    found = {batch.keys: dict(batch.amounts) for batch in minutes.take()}
    assert found[minute_key("acme", MINUTE), total_key("acme")]["n:upstream:2xx"] == 3
    everything = found[minute_key(ALL, MINUTE), total_key(ALL)]
    assert [everything[f"n:{name}"] for name in ("upstream:2xx", "upstream:5xx", "gateway:4xx")] == [3, 1, 1]
    assert found[(tenants_key(MINUTE),)] == {"n:acme": 3, "n:globex": 1, "failed:globex": 1}
    assert list(minutes.take()) == []


def calls(*attempts: tuple[str, int, str, int]) -> dict[str, Any]:
    named = [{"target": one, "status": status, "why": why, "ms": ms} for one, status, why, ms in attempts]
    return {**AI, "attempts": named}


def test_each_call_of_a_provider_counts_for_the_tenant_and_over_all() -> None:
    minutes = Minutes()
    limited = calls(("prv_1/a/b", 429, "status 429", 20), ("prv_2/c", 200, "", 120))
    minutes.add(NOW, access_line(line(ai=limited)))
    minutes.add(NOW, access_line(line(tenant="globex", ai=calls(("prv_2/c", 503, "status 503", 5)))))
    minutes.add(NOW, access_line(line(ai=calls())))
    found = {batch.keys: batch for batch in minutes.take()}
    acme = {"prv_1:n": 1, "prv_1:failed": 1, "prv_1:429": 1, "prv_2:n": 1, "prv_2:2": 1}
    assert dict(found[(calls_key("acme", MINUTE),)].amounts) == acme
    everything = found[(calls_key(ALL, MINUTE),)]
    assert dict(everything.amounts) == {**acme, "prv_2:n": 2, "prv_2:failed": 1}
    assert everything.kept == CALLS_KEPT_SECONDS
    assert "prv_1:n" not in found[minute_key("acme", MINUTE), total_key("acme")].amounts
    assert list(minutes.take()) == []


def test_calls_of_tenants_above_the_bound_count_over_all() -> None:
    minutes = Minutes()
    for number in range(_MAX_TENANTS + 5):
        minutes.add(NOW, access_line(line(tenant=f"tenant_{number}", ai=calls(("prv_1/a", 200, "", 5)))))
    found = {batch.keys: batch.amounts for batch in minutes.take() if batch.keys[0].endswith(":calls")}
    assert len(found) == _MAX_TENANTS + 1
    assert found[(calls_key(ALL, MINUTE),)]["prv_1:n"] == _MAX_TENANTS + 5
