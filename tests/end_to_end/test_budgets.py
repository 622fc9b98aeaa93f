"""Budgets on the way of requests: what clients see when a budget has no more."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, sized
from tests.support.wait import until

HELLO = [{"role": "user", "content": "Hello!"}]
#: A budget, and the names of the models of the tenant: `dear` and `cheap` have prices.
Create = Callable[..., TenantInUse]


@pytest.fixture
def tenant_with(gateway: RunningGateway, upstream: Upstream) -> Create:
    """Creates a tenant with models behind the upstream, and with budgets."""

    def create(*budgets: dict[str, Any], **rule: Any) -> TenantInUse:
        tenant = gateway.create_tenant()

        def post(collection: str, **document: Any) -> None:
            response = gateway.call("POST", f"/tenants/{tenant.id}/{collection}", json=document)
            assert response.status_code == 201, response.text

        post(
            "providers",
            name="main",
            kind="custom",
            base_url=f"{upstream.url}/v1",
            apis=["openai.chat", "openai.responses", "anthropic.messages"],
            keys=[{"name": "main", "secret": "sk-main-0123456789"}],
            models=[
                {"id": "dear", "prices": {"input": "1", "output": "2"}},
                {"id": "cheap", "prices": {"input": "0.1", "output": "0.2"}},
                {"id": "unpriced"},
            ],
        )
        for number, budget in enumerate(budgets):
            post("budgets", **{"name": f"b{number}", "period": "month", **budget})
        post("rules", path="/ai", ai={"providers": ["main"]}, **rule)
        tenant.await_rule("/ai")
        return tenant

    return create


def reply(input: int, output: int) -> bytes:
    usage = {"prompt_tokens": input, "completion_tokens": output}
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": [], "usage": usage}
    return sized(json.dumps(body).encode(), "200 OK", "Content-Type: application/json")


def ask(tenant: TenantInUse, model: str = "dear", **more: Any) -> Any:
    body = {"model": model, "max_tokens": 50, "messages": HELLO, **more}
    return tenant.request("POST", "/ai/v1/chat/completions", json=body)


def budget_of(tenant: TenantInUse, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first budget of a tenant, once it is so."""
    for _ in until(10):
        [budget, *_] = tenant.gateway.call("GET", f"/tenants/{tenant.id}/budgets").json()["budgets"]
        if holds(budget["state"]):
            return dict(budget["state"])
    raise AssertionError(budget)


def openai_of(tenant: TenantInUse) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{tenant.gateway.proxy}/ai/v1", api_key=tenant.key, max_retries=2)


def anthropic_of(tenant: TenantInUse) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"{tenant.gateway.proxy}/ai", api_key=tenant.key, max_retries=2)


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
