"""A budget that is spent rejects requests, or changes them, and its tenant is told."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest
import redis

from shared.alerts.stream import ALERTS
from shared.redis_server.embedded import socket_path
from tests.end_to_end.budgets import HELLO, Create, anthropic_of, ask, budget_of, openai_of, reply, why_of
from tests.support.upstream import Upstream, sized
from tests.support.wait import until

SPENT = "The budget 'b0' is spent: 120 of 100 tokens are used or reserved. It resets at "


def test_a_spent_budget_rejects_and_the_sdks_show_why_and_do_not_repeat(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 100}})
    upstream.responds(reply(100, 20))
    assert ask(tenant).status_code == 200
    budget_of(tenant, lambda state: state["used"] == 120 and state["held"] == 0)
    with openai_of(tenant) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="dear", max_tokens=10, messages=HELLO)
    assert SPENT in str(caught.value)
    assert caught.value.code == "quota_exceeded"
    assert caught.value.response.headers["x-should-retry"] == "false"
    body = caught.value.response.json()
    assert (body["budget"]["used"], body["budget"]["limit"], body["budget"]["unit"]) == (120, 100, "tokens")
    assert body["budget"]["resets_at"].endswith("-01T00:00:00Z")
    with anthropic_of(tenant) as other, pytest.raises(anthropic.RateLimitError) as seen:
        other.messages.create(model="dear", max_tokens=10, messages=HELLO)
    assert SPENT in str(seen.value)
    assert len(upstream.received) == 1
    assert why_of(tenant) == "Rejected by the budget b0: 120 of 100 tokens were used or reserved."


def test_another_model_takes_the_place_of_the_one_that_a_spent_budget_counts(
    tenant_with: Create, upstream: Upstream
) -> None:
    spent = {"limit": {"tokens": 100}, "on_spent": "downgrade", "downgrade_to": "cheap"}
    tenant = tenant_with(spent, {"limit": {"tokens": 100_000}})
    upstream.responds(reply(100, 20))
    assert ask(tenant).headers["X-Gateway-Model"] == "dear"
    budget_of(tenant, lambda state: state["used"] == 120)
    upstream.responds(reply(100, 20))
    response = ask(tenant)
    assert (response.status_code, response.headers["X-Gateway-Downgraded-To"]) == (200, "cheap")
    assert response.headers["X-Gateway-Model"] == "cheap"
    assert json.loads(upstream.received[-1].body)["model"] == "cheap"
    budget_of(tenant, lambda state: state["used"] == 240)


def test_less_output_is_asked_for_where_a_budget_has_less_left(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 200}, "cap_output": True})
    upstream.responds(reply(10, 20))
    response = ask(tenant, max_tokens=500)
    assert response.status_code == 200
    most = json.loads(upstream.received[-1].body)["max_tokens"]
    assert most == int(response.headers["X-Gateway-Max-Output"])
    assert 150 < most < 200


def test_a_model_without_a_price_is_rejected_where_money_counts(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"usd": "1"}})
    response = ask(tenant, "unpriced")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unpriced_model")
    assert "the budget 'b0' counts money" in response.json()["error"]["message"]


def test_a_request_that_its_provider_rejects_uses_nothing(tenant_with: Create, upstream: Upstream) -> None:
    tenant = tenant_with({"limit": {"tokens": 100}}, {"limit": {"requests": 1}})
    upstream.responds(sized(b"{}", "400 Bad Request", "Content-Type: application/json"))
    assert ask(tenant).status_code == 400
    budget_of(tenant, lambda state: state["held"] == 0)
    upstream.responds(reply(5, 5))
    for _ in until(5):
        if ask(tenant).status_code == 200:
            break
    budget_of(tenant, lambda state: state["used"] == 10)


def test_a_percentage_that_a_budget_reaches_is_told_once(tenant_with: Create, upstream: Upstream) -> None:
    tenant = tenant_with({"limit": {"tokens": 200}, "at": [50], "on_spent": "alert"})
    for _ in range(3):
        upstream.responds(reply(100, 20))
        assert ask(tenant).status_code == 200
    budget_of(tenant, lambda state: state["used"] == 360)
    with redis.Redis(unix_socket_path=str(socket_path(tenant.gateway.folder))) as store:
        for _ in until(5):
            told = [json.loads(fields[b"alert"]) for _, fields in store.xrange(ALERTS)]
            own = [one["data"]["percent"] for one in told if one["tenant_id"] == tenant.id]
            if len(own) > 1:
                break
    assert own == [50, 100]


def test_requests_at_the_same_time_never_use_more_than_a_budget_has(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"requests": 20}}, {"limit": {"tokens": 10**6}})
    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(lambda _: ask(tenant).status_code, range(60)))
    assert statuses == {200: 20, 429: 40}
    budget_of(tenant, lambda state: state["used"] == 20 and state["held"] == 0)
    assert len(upstream.received) == 20
