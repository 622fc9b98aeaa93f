"""So many changes per minute with the keys of one tenant, over all processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask

from admin_app.auth import attempts
from shared.config_store import layout
from tests.admin_app.test_events import log_in
from tests.admin_app.world import TOKEN, Api, Tenant, World, error_of, make_world

MOST = 3


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, admin__token=TOKEN, admin__changes_per_minute=MOST)


@pytest.fixture
def counting(app: Flask, tenant: Tenant, valkey_socket: str) -> Iterator[None]:
    """Count in Redis, as all processes do."""
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.delete(layout.changes_key(tenant.id))
        app.extensions[attempts.EXTENSION] = attempts.counting_in({"unix_socket_path": valkey_socket})
        yield
        assert client.llen(layout.changes_key(tenant.id)) <= MOST


def change(api: Api, tenant: Tenant, key: str, status: int = 200) -> None:
    assert api.patch(tenant.url, {"name": "New"}, key=key).status_code == status


@pytest.mark.usefixtures("counting")
def test_changes_beyond_the_maximum_of_a_tenant_are_rejected_with_a_time(api: Api, tenant: Tenant) -> None:
    other = api.created_key(tenant, scopes=["admin"])
    for _ in range(MOST - 1):
        change(api, tenant, tenant.key)
    assert api.patch(tenant.url, {"name": 7}, key=other).status_code == 422
    for key in (tenant.key, other):
        rejected = api.patch(tenant.url, {"name": "New"}, key=key)
        assert error_of(rejected) == (429, "too_many_changes")
        assert 58 <= int(rejected.headers["Retry-After"]) <= 60
        assert "admin.changes_per_minute" in rejected.get_json()["detail"]
    assert log_in(api, tenant.key) == 429


@pytest.mark.usefixtures("counting")
def test_reads_the_platform_and_other_tenants_are_not_counted(api: Api, tenant: Tenant) -> None:
    for _ in range(MOST + 1):
        assert api.get(tenant.url, key=tenant.key).status_code == 200
        change(api, tenant, TOKEN)
        change(api, api.tenant(f"other-{_}"), TOKEN)
    for _ in range(MOST):
        change(api, tenant, tenant.key)
    change(api, tenant, tenant.key, 429)
    other = api.tenant("other")
    change(api, other, other.key)


def test_changes_are_unbounded_without_a_maximum(api: Api, tenant: Tenant, world: World) -> None:
    """And are not counted while Redis is away."""
    for _ in range(MOST + 1):
        change(api, tenant, tenant.key)
