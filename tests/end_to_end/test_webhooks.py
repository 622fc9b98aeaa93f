"""The alerts about requests reach webhooks: from a worker through Redis and the leader to a receiver."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.peer import Received
from tests.support.upstream import Upstream, replying, sized
from tests.support.wait import await_true

pytestmark = pytest.mark.slow

SECRET = "canary-of-a-webhook-that-signs"
KINDS = ["budget.reached", "rule.faulted", "key.rejected", "breaker.opened"]
BODY = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello!"}]}


class Receiver:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.upstream = Upstream(replying(self._reply))

    def _reply(self, request: Received) -> bytes:
        self.got.append(json.loads(request.body))
        return sized(b"", "204 No Content")


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    receivers = [Receiver() for _ in range(3)]
    for one in receivers:
        one.upstream.__enter__()
    yield receivers
    for one in receivers:
        one.upstream.__exit__()


def post(gateway: RunningGateway, path: str, /, **document: Any) -> Any:
    response = gateway.call("POST", path, json=document)
    assert response.status_code in (200, 201), response.text
    return response.json()


def tenant_on(gateway: RunningGateway, upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    at = f"/tenants/{tenant.id}"
    post(
        gateway,
        f"{at}/providers",
        name="main",
        kind="custom",
        base_url=f"{upstream.url}/v1",
        apis=["openai.chat"],
        keys=[{"name": "main", "secret": "sk-main-0123456789"}],
        models=[{"id": "m"}],
    )
    post(
        gateway,
        f"{at}/budgets",
        name="b",
        limit={"requests": 100},
        period="month",
        at=[1],
    )
    post(gateway, f"{at}/rules", path="/ai", ai={"providers": ["main"]})
    tenant.await_rule("/ai")
    return tenant


def test_tenant_and_platform_are_told_of_a_rejected_key_and_a_budget(
    gateway: RunningGateway, receivers: list[Receiver]
) -> None:
    mine, theirs, platforms = receivers
    replies = [sized(b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}')]
    with Upstream(replying(lambda _: replies[0])) as upstream:
        tenant, other = tenant_on(gateway, upstream), gateway.create_tenant()
        for path, receiver in (
            (f"/tenants/{tenant.id}/webhooks", mine),
            (f"/tenants/{other.id}/webhooks", theirs),
            ("/webhooks", platforms),
        ):
            hook = {"url": f"{receiver.upstream.url}/hook", "events": KINDS, "secret": SECRET}
            made = post(gateway, path, **hook)
            assert post(gateway, f"{path}/{made['id']}/test")["status"] == 204
            assert [one["type"] for one in receiver.got] == ["webhook.test"]
            receiver.got.clear()
        assert tenant.request("POST", "/ai/v1/chat/completions", json=BODY).status_code == 200
        replies[0] = sized(b'{"error": {"message": "no", "code": "invalid_api_key"}}', "401 Unauthorized")
        assert tenant.request("POST", "/ai/v1/chat/completions", json=BODY).status_code >= 400
        for receiver in (mine, platforms):
            await_true(lambda receiver=receiver: len(receiver.got) >= 2)  # type: ignore[misc]
            told = {one["type"]: one for one in receiver.got}
            assert set(told) == {"budget.reached", "key.rejected"}
            assert {one["tenant_id"] for one in receiver.got} == {tenant.id}
            assert told["budget.reached"]["data"]["percent"] == 1
            assert "sk-main" not in str(receiver.got)
        assert theirs.got == []
        shown = gateway.call("GET", f"/tenants/{tenant.id}/webhooks").text
        dump = gateway.call("GET", "/document").text
        assert '"state":"delivered"' in shown.replace(" ", "")
        logs = gateway.log("admin") + gateway.log("proxy")
        assert SECRET not in shown + dump + logs
