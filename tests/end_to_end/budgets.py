"""Tenants with budgets, their calls, and how they end."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import anthropic
import openai

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, sized
from tests.support.wait import until

HELLO = [{"role": "user", "content": "Hello!"}]
APIS = ("openai.chat", "openai.responses", "anthropic.messages")
#: Creates a tenant with these budgets, and with the models `dear` and `cheap`, which have prices.
Create = Callable[..., TenantInUse]


def tenant_with_budgets(
    gateway: RunningGateway,
    upstream: Upstream,
    *budgets: dict[str, Any],
    apis: Sequence[str] = APIS,
    **rule: Any,
) -> TenantInUse:
    """Create a tenant with models behind the upstream, and with budgets. `rule` are fields of its rule."""
    tenant = gateway.create_tenant()
    tenant.create(
        "providers",
        name="main",
        kind="custom",
        base_url=f"{upstream.url}/v1",
        apis=apis,
        keys=[{"name": "main", "secret": "sk-main-0123456789"}],
        models=[
            {"id": "dear", "prices": {"input": "1", "output": "2"}},
            {"id": "cheap", "prices": {"input": "0.1", "output": "0.2"}},
            {"id": "unpriced"},
        ],
    )
    for number, budget in enumerate(budgets):
        tenant.create("budgets", **{"name": f"b{number}", "period": "month", **budget})
    tenant.create("rules", path="/ai", ai={"providers": ["main"]}, **rule)
    tenant.await_rule("/ai")
    return tenant


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
        response = tenant.gateway.call("GET", f"/tenants/{tenant.id}/budgets")
        if response.status_code == 200 and holds(state := response.json()["budgets"][0]["state"]):
            return dict(state)
    raise AssertionError(response.text)


def openai_of(tenant: TenantInUse) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{tenant.gateway.proxy}/ai/v1", api_key=tenant.key, max_retries=2)


def anthropic_of(tenant: TenantInUse) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"{tenant.gateway.proxy}/ai", api_key=tenant.key, max_retries=2)


def why_of(tenant: TenantInUse) -> str:
    """Why a request was rejected, as its record says, and that it shows the budget."""
    url = f"/tenants/{tenant.id}/requests"
    for _ in until(10):
        found = tenant.gateway.call("GET", f"{url}?status=429").json().get("requests")
        if found:
            break
    detail = tenant.gateway.call("GET", f"{url}/{found[0]['id']}").json()
    [shown] = [limit for limit in detail["decision"]["limits"] if limit["scope"] == "budget"]
    assert (shown["name"], shown["unit"], shown["limit"], shown["before"]) == ("b0", "tokens", 100, 0)
    [budget] = detail["log"]["budgets"]
    assert (budget["name"], budget["limit"], budget["remaining"], budget["used"]) == ("b0", 100, 0, 0)
    return str(detail["why"])
