"""A request that is over is found by its id, with how it was decided."""

from typing import Any

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until

PROMPT = "canary-of-a-prompt-0123456789"
# A request is found within so many seconds after its end.
FOUND_SECONDS = 2.0


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    limiter = {"name": "rate_limiter", "settings": {"limits": {"global": {"limit": 3, "window": "1h"}}}}
    tenant.create_rule("/limited", everlasting_upstream.url, plugin_chain=[limiter])
    return tenant


def call(owner: TenantInUse, number: int) -> int:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}]}
    headers = {"X-Request-ID": f"{owner.id}-{number}"}
    return owner.request("POST", f"/limited/chat?secret={PROMPT}", json=body, headers=headers).status_code


def found(owner: TenantInUse, number: int) -> dict[str, Any]:
    """The record of a call, as its tenant reads it."""
    url = f"/tenants/{owner.id}/requests/{owner.id}-{number}"
    for _ in until(FOUND_SECONDS):
        response = owner.gateway.call("GET", url, owner.key)
        if response.status_code == 200:
            document: dict[str, Any] = response.json()
            return document
    raise AssertionError(f"The request is not found within {FOUND_SECONDS} s: {response.text}")


def test_request_is_found_within_two_seconds_and_tells_which_limit_rejected_it(owner: TenantInUse) -> None:
    statuses = [call(owner, number) for number in range(4)]
    assert statuses == [200, 200, 200, 429]
    served, rejected = found(owner, 0), found(owner, 3)
    decision = served["decision"]
    assert (served["status"], served["path"], served["attempts"]) == (200, "/limited/chat", 1)
    assert (decision["limits"][0]["name"], decision["limits"][0]["limit"]) == ("global", 3)
    assert decision["limits"][0]["before"] == decision["limits"][0]["after"] + 1
    moments = [decision[name] for name in ("body_ms", "forwarded_ms", "head_ms", "upstream_end_ms")]
    assert moments == sorted(moments)
    assert 0 < moments[0] < moments[-1] <= served["milliseconds"]
    assert decision["connection"]["is_reused"] in (True, False)
    [step] = [one for one in decision["steps"] if one["plugin"] == "rate_limiter"]
    assert (step["stage"], step["verdict"]) == ("pre_request", "continue")
    assert step["milliseconds"] > 0
    assert (rejected["status"], rejected["source"]) == (429, "plugin:rate_limiter")
    reached = rejected["decision"]["limit_reached"]
    assert (reached["scope"], reached["name"], reached["limit"]) == ("rule", "global", 3)
    assert rejected["why"].startswith("Rejected by the limit rule-global: 3 per 1h were used.")
    assert rejected["decision"]["steps"][0]["code"] == "rate_limit_exceeded"
    assert rejected["log"]["request_id"] == rejected["request_id"] == f"{owner.id}-3"


def test_lists_show_requests_newest_first_and_no_prompt(owner: TenantInUse) -> None:
    call(owner, 10)
    found(owner, 10)
    response = owner.gateway.call("GET", f"/tenants/{owner.id}/requests?status=429&q=limited", owner.key)
    assert response.json()["requests"][0]["request_id"] == f"{owner.id}-10"
    everything = owner.gateway.call("GET", "/requests")
    assert everything.json()["requests"][0]["tenant_id"] is not None
    shown = [response.text, everything.text, str(found(owner, 10))]
    assert not [text for text in shown if PROMPT in text or owner.key in text]
