"""A key of a provider that is rotated by the API is used by every worker within 100 ms."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

import pytest
import requests

from tests.reliability.figures import figure
from tests.reliability.processes import workers
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, replying, sized
from tests.support.wait import until

SETTINGS = {"GATEWAY__SERVER__WORKERS": "2"}
PROMISED = 0.1  # seconds
ROTATIONS = 10
RESPONSE = sized(json.dumps({"choices": []}).encode(), "200 OK", "Content-Type: application/json")


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with Upstream(replying(lambda _: RESPONSE)) as upstream:
        yield upstream


class Clients:
    """Connections to both workers, each of which stays with its worker."""

    def __init__(self, stack: ExitStack, tenant: TenantInUse, provider: Upstream) -> None:
        self._tenant, self._provider = tenant, provider
        self.sessions = [stack.enter_context(requests.Session()) for _ in range(8)]

    def secret_of(self, session: requests.Session) -> str | None:
        """The secret with which the provider is called for a request on that connection."""
        response = session.post(
            f"{self._tenant.gateway.proxy}/v1/chat/completions",
            json={"model": "m", "messages": []},
            headers={"Host": self._tenant.host, "Authorization": f"Bearer {self._tenant.key}"},
            timeout=10,
        )
        assert response.status_code == 200, response.text
        return (self._provider.received[-1].get("authorization") or "").removeprefix("Bearer ")

    def await_secret(self, secret: str) -> float:
        """The seconds until requests on all connections use that secret."""
        began = time.perf_counter()
        for session in self.sessions:
            for _ in until(5):
                if self.secret_of(session) == secret:
                    break
        return time.perf_counter() - began


def test_rotated_key_is_used_by_every_worker_within_100_ms(
    gateway: RunningGateway, provider: Upstream
) -> None:
    tenant = gateway.create_tenant()
    url = f"/tenants/{tenant.id}/providers"
    keys = [{"name": "main", "secret": "sk-canary-0"}]
    body = {"name": "p", "kind": "openai", "base_url": f"{provider.url}/v1", "keys": keys}
    made = gateway.call("POST", url, json=body).json()
    gateway.call("POST", f"/tenants/{tenant.id}/rules", json={"path": "/v1", "ai": {"providers": ["p"]}})
    tenant.await_rule("/v1")
    key_id, times = made["keys"][0]["id"], []
    with ExitStack() as stack:
        clients = Clients(stack, tenant, provider)
        clients.await_secret("sk-canary-0")
        assert all(one.connections(gateway.proxy_port) for one in workers(gateway))
        assert len(workers(gateway)) == 2
        for number in range(1, ROTATIONS + 1):
            sent = {"secret": f"sk-canary-{number}", "overlap": "0s"}
            rotated = gateway.call("POST", f"{url}/{made['id']}/keys/{key_id}/rotate", json=sent)
            assert rotated.status_code == 201, rotated.text
            key_id = rotated.json()["id"]
            times.append(clients.await_secret(sent["secret"]))
        # With an overlap, the old one is used beside the new one, on every worker.
        sent = {"secret": "sk-canary-last", "overlap": "1h"}
        gateway.call("POST", f"{url}/{made['id']}/keys/{key_id}/rotate", json=sent)
        for secret in ("sk-canary-last", f"sk-canary-{ROTATIONS}", "sk-canary-last"):
            clients.await_secret(secret)
    middle = median(times)
    figure(
        "Keys",
        f"{ROTATIONS} rotations, 2 workers: p50 {1000 * middle:.0f} ms, most {1000 * max(times):.0f} ms",
    )
    assert middle < PROMISED
    assert max(times) < 2.0
