"""The users of deploy/redis with TLS, behind sentinels and in a Cluster: the whole gateway works with its rights."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.deploy.test_redis import Guarded, acl_file
from tests.support.certificates import Authority
from tests.support.gateway import ADDRESS, TenantInUse
from tests.support.redis_guard import Guard
from tests.support.redis_sets import Node, cluster_set, sentinel_set
from tests.support.upstream import Upstream
from tests.support.wait import await_true

pytestmark = pytest.mark.slow

LIMITER = {"name": "rate_limiter", "settings": {"limit": 2, "window": "1h"}}


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    authority = Authority(tmp_path, "authority")
    authority.server_context(ADDRESS)
    return Guard(pair=tmp_path / f"{ADDRESS}.pem", authority=authority.file, users=acl_file(tmp_path))


@contextmanager
def running(folder: Path, settings: dict[str, str]) -> Iterator[tuple[Guarded, Upstream]]:
    gateway = Guarded(folder / "data", settings)
    with ExitStack() as stack:
        stack.callback(gateway.stop)
        gateway.start()
        yield gateway, stack.enter_context(Upstream())


def limited_tenant(gateway: Guarded, upstream: Upstream) -> TenantInUse:
    """A tenant whose limit was counted in Redis, and is spent."""
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", upstream.url, plugin_chain=[LIMITER])
    responses = [tenant.request("GET", "/v1/x") for _ in range(3)]
    assert [one.status_code for one in responses] == [200, 200, 429]
    assert not any("X-Gateway-RateLimit-Mode" in one.headers for one in responses)
    return tenant


def assert_all_is_read(gateway: Guarded, tenant: TenantInUse) -> None:
    path = f"/tenants/{tenant.id}"
    for read in ("/status", "/overview", "/requests", "/audit", f"{path}/versions", f"{path}/usage"):
        response = gateway.call("GET", read)
        assert response.status_code == 200, (read, response.text)
    workers = lambda: gateway.call("GET", "/status").json()["workers"]["total"]  # noqa: E731
    await_true(lambda: workers() >= 2)


def assert_no_right_was_missing(nodes: Sequence[Node]) -> None:
    """No program asked for what its user may not do."""
    for node in nodes:
        entries = [entry for entry in node.client.acl_log() if entry["reason"] != "auth"]
        assert entries == []


def test_gateway_follows_a_failover_of_servers_with_tls_and_users(guard: Guard, tmp_path: Path) -> None:
    with (
        sentinel_set(tmp_path, guard=guard) as sentinels,
        running(tmp_path, sentinels.environment) as (gateway, upstream),
    ):
        spent = limited_tenant(gateway, upstream)
        sentinels.fail_over()
        await_true(lambda: gateway.call("PATCH", f"/tenants/{spent.id}", json={"name": "Told"}).ok)
        await_true(lambda: spent.request("GET", "/v1/x").status_code == 429)
        assert_all_is_read(gateway, limited_tenant(gateway, upstream))
        assert_no_right_was_missing(sentinels.servers)


def test_gateway_uses_each_node_of_a_cluster_with_tls_and_users(guard: Guard, tmp_path: Path) -> None:
    with (
        cluster_set(tmp_path, guard=guard) as cluster,
        running(tmp_path, cluster.environment) as (gateway, upstream),
    ):
        used: set[str] = set()
        while len(used) < cluster.primaries:
            tenant = limited_tenant(gateway, upstream)
            used.add(cluster.owner(f"{{{tenant.id}}}").name)
        assert_all_is_read(gateway, tenant)
        assert_no_right_was_missing(cluster.servers)
