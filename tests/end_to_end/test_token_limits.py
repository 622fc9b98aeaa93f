"""Limits of tokens and money, over HTTP: charged before a call, and corrected by what it used."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import STREAM, Upstream, chunk, sized
from tests.support.wait import until

_FIXTURE = Path(__file__).parents[1] / "fixtures" / "usage" / "anthropic_plain.sse"
EVENTS = [event + b"\n\n" for event in _FIXTURE.read_bytes().strip().split(b"\n\n")]
WHOLE = b'{"usage":{"input_tokens":25,"output_tokens":15}}'
#: The usage that both report, and the expected part of it: 9 tokens of output.
USED, PRICE = 40, "0.000055"
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello!"}]}
PATH = "/ai/v1/messages"


@pytest.fixture
def tenant(gateway: RunningGateway, upstream: Upstream) -> TenantInUse:
    """A tenant with a model behind the upstream, 1,000 tokens and 1 USD an hour."""
    tenant = gateway.create_tenant()

    tenant.create(
        "providers",
        name="main",
        kind="custom",
        base_url=f"{upstream.url}/v1",
        apis=["anthropic.messages"],
        keys=[{"name": "main", "secret": "sk-main-0123456789"}],
        models=[{"id": "m", "prices": {"input": "1", "output": "2"}}, {"id": "unpriced"}],
    )
    tokens = {"limit": 1_000, "unit": "tokens", "window": "1h"}
    limits = {"global": [tokens, {"limit": "1", "unit": "usd", "window": "1h"}]}
    chain = [{"name": "rate_limiter", "settings": {"limits": limits}}]
    tenant.create("rules", path="/ai", ai={"providers": ["main"]}, plugin_chain=chain)
    tenant.await_rule("/ai")
    return tenant


def used(tenant: TenantInUse) -> dict[str, Any]:
    limits = tenant.gateway.call("GET", f"/tenants/{tenant.id}/rate-limits").json()["limits"]
    return {one["unit"]: one["used"] for one in limits if one["rule_path"] == "/ai"}


def await_used(tenant: TenantInUse, **expected: Any) -> None:
    for _ in until(5):
        if (found := used(tenant)) == expected:
            return
    raise AssertionError(found)


def test_whole_responses_and_streams_count_what_they_report(tenant: TenantInUse, upstream: Upstream) -> None:
    upstream.responds(sized(WHOLE, "200 OK", "Content-Type: application/json"))
    response = tenant.request("POST", PATH, json=BODY)
    assert response.headers["x-ratelimit-limit-tokens"] == "1000"
    expected = 1_000 - int(response.headers["x-ratelimit-remaining-tokens"])
    assert 9 < expected < USED
    await_used(tenant, tokens=USED, usd=PRICE)
    upstream.responds(STREAM + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n")
    assert b"message_stop" in tenant.request("POST", PATH, json={**BODY, "stream": True}).content
    await_used(tenant, tokens=2 * USED, usd="0.00011")


def test_a_call_that_its_provider_rejects_costs_nothing(tenant: TenantInUse, upstream: Upstream) -> None:
    upstream.responds(sized(b"{}", "400 Bad Request", "Content-Type: application/json"))
    response = tenant.request("POST", PATH, json=BODY)
    assert response.status_code == 400
    assert int(response.headers["x-ratelimit-remaining-tokens"]) < 1_000
    await_used(tenant, tokens=0, usd="0")


def test_a_request_above_the_limit_or_without_a_price_reaches_no_provider(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    too_much = tenant.request("POST", PATH, json={**BODY, "max_tokens": 2_000})
    assert too_much.status_code == 429
    assert too_much.json()["rate_limit"]["unit"] == "tokens"
    assert "can never be admitted" in too_much.json()["error"]["message"]
    unpriced = tenant.request("POST", PATH, json={**BODY, "model": "unpriced"})
    assert (unpriced.status_code, unpriced.json()["error"]["code"]) == (400, "unpriced_model")
    await_used(tenant, tokens=0, usd="0")


def test_a_dry_run_shows_what_a_request_is_expected_to_use_and_charges_nothing(tenant: TenantInUse) -> None:
    asked = {
        "method": "POST",
        "path": PATH,
        "headers": {"Host": tenant.host, "x-api-key": tenant.key, "Content-Type": "application/json"},
        "body": json.dumps(BODY),
    }
    response = tenant.gateway.call("POST", f"/tenants/{tenant.id}/explain", json=asked)
    tokens, money = response.json()["limits"]
    assert (tokens["unit"], tokens["limit"], tokens["before"]["remaining"]) == ("tokens", 1_000, 1_000)
    assert 9 < tokens["cost"] == 1_000 - tokens["after"]["remaining"] < USED
    assert (money["unit"], money["limit"], money["before"]["remaining"]) == ("usd", "1", "1")
    assert 0 < float(money["cost"]) < float(PRICE)
    assert used(tenant) == {"tokens": 0, "usd": "0"}
