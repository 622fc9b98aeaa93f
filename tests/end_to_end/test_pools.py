"""A rule with several targets, on real sockets."""

import json
from collections.abc import Iterator

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.ports import free_port
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def pooled(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    """A tenant with a rule whose first target is down."""
    tenant = gateway.create_tenant()
    targets = [
        {"url": f"http://127.0.0.1:{free_port()}/down", "priority": 0},
        {"url": f"{everlasting_upstream.url}/up", "priority": 1, "headers": {"X-Key": "of-this-target"}},
    ]
    body = {"path": "/v1", "targets": targets}
    response = gateway.call("POST", f"/tenants/{tenant.id}/rules", json=body)
    assert response.status_code == 201, response.text
    tenant.await_rule("/v1")
    return tenant


def chunks() -> Iterator[bytes]:
    yield b'{"x":'
    yield b" 1}"


@pytest.mark.parametrize("body", [b'{"x": 1}', None])
def test_a_target_that_is_down_is_replaced_by_the_next_one(
    pooled: TenantInUse, upstream: Upstream, engine: str, body: bytes | None
) -> None:
    # None: an upload without a length, which is forwarded as it arrives.
    response = pooled.request("POST", "/v1/chat", data=chunks() if body is None else body)
    if engine == "mitmproxy":  # it gives the first choice
        assert response.status_code in (200, 502)
        return
    assert response.status_code == 200, response.text
    [seen] = upstream.received
    assert (seen.target, json.loads(seen.body)) == ("/up/v1/chat", {"x": 1})
    assert seen.get("x-key") == "of-this-target"
    assert response.headers.get("X-Gateway-Attempts", "2") == "2"
