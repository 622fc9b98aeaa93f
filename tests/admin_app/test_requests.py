"""Requests that are over, as the admin API lists and shows them, from a real Redis."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.records.recorder import open_recorder
from tests.admin_app.world import TOKEN, Api, Tenant, World, error_of, make_world
from tests.records.lines import AI, NOW, access_line, line

DECISION = {"started": 10.0, "forwarded": 10.001, "first": 10.2, "ended": 10.5}
LIMIT = {"scope": "rule", "name": "global", "unit": "requests", "limit": 5, "window": "1m", "cost": 2}


class RecordingWorld(World):
    """A world with request records in Redis."""

    client: redis.Redis

    @contextmanager
    def reading(self, reader: type[Any]) -> Iterator[Any]:
        yield reader(self.client)


@pytest.fixture
def world(tmp_path: Path, valkey_socket: str) -> Iterator[World]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        for key in (*client.keys("req:*"), *client.keys("min:*")):
            client.delete(key)
        world = RecordingWorld(make_world(tmp_path, admin__token=TOKEN).settings)
        world.client = client
        yield world


def record(socket: str, lines: list[dict[str, Any]], **decision: Any) -> None:
    """Write records as a worker of the proxy does."""

    async def write() -> None:
        recorder = open_recorder({"unix_socket_path": socket}, 2_000)
        for each in lines:
            recorder.put(NOW, access_line(each), {**DECISION, **decision})
        await recorder.close()

    asyncio.run(write())


def test_requests_of_a_tenant_are_listed_newest_first_and_followed(
    api: Api, valkey_socket: str, tenant: Tenant
) -> None:
    record(valkey_socket, [line(number, tenant=tenant.id) for number in range(3)])
    url = f"/tenants/{tenant.id}/requests"
    page = api.get(f"{url}?limit=2").get_json()
    assert [one["request_id"] for one in page["requests"]] == ["req-2", "req-1"]
    rest = api.get(f"{url}?before={page['next_cursor']}").get_json()
    assert [one["request_id"] for one in rest["requests"]] == ["req-0"]
    assert rest["next_cursor"] is None
    newest = page["requests"][0]["id"]
    assert api.get(f"{url}?after={newest}").get_json()["requests"] == []
    record(valkey_socket, [line(3, tenant=tenant.id, status=503, source="gateway")])
    assert [one["request_id"] for one in api.get(f"{url}?after={newest}").get_json()["requests"]] == ["req-3"]
    assert [one["status"] for one in api.get(f"{url}?status=5xx&source=gateway").get_json()["requests"]] == [
        503
    ]


def test_call_of_a_model_is_shown_with_its_use_cost_and_attempts(
    api: Api, valkey_socket: str, tenant: Tenant
) -> None:
    steps = [
        {"plugin": "x", "stage": "pre_request", "verdict": "continue", "started": 10.0, "seconds": 0.001}
    ]
    limits = [{**LIMIT, "remaining": 3, "reset_after_ms": 60_000}]
    record(valkey_socket, [line(tenant=tenant.id, ai=AI)], steps=steps, limits=limits, traced=True)
    shown = api.get(f"/tenants/{tenant.id}/requests/req-1").get_json()
    assert shown == api.get(f"/tenants/{tenant.id}/requests/{shown['id']}").get_json()
    assert shown["usage"] == {"input": 1_000, "cached": 400, "output": 50, "source": "reported"}
    assert (shown["cost_usd"], shown["attempts"], shown["time"]) == ("0.0015", 1, "2026-12-01T00:00:00.000Z")
    decision = shown["decision"]
    assert decision["steps"][0]["at_ms"] == 0.0
    assert decision["steps"][0]["milliseconds"] == 1.0
    assert (decision["limits"][0]["before"], decision["limits"][0]["after"]) == (5, 3)
    assert decision["attempts"][0]["key_id"] == "pk_1"
    assert [decision[name] for name in ("forwarded_ms", "first_byte_ms", "upstream_end_ms")] == [
        1.0,
        200.0,
        500.0,
    ]
    assert shown["log"]["ai"]["provider_key"] == "pk_1"
    assert shown["log"]["upstream"] == "api.test:443"


def test_tenant_sees_its_own_requests_without_addresses_and_keys_of_providers(
    api: Api, valkey_socket: str, tenant: Tenant
) -> None:
    other = api.tenant("globex")
    record(
        valkey_socket, [line(1, tenant=tenant.id, ai=AI, detail="10.0.0.7 refused"), line(2, tenant=other.id)]
    )
    own = {"key": api.created_key(tenant, scopes=["read"])}
    shown = api.get(f"/tenants/{tenant.id}/requests/req-1", **own).get_json()
    assert (shown["log"]["upstream"], shown["log"]["detail"]) == (None, None)
    assert shown["decision"]["attempts"][0]["target"]
    assert "pk_1" not in str(shown)  # it is no key of the tenant's own providers
    assert api.get(f"/tenants/{tenant.id}/requests/req-2", **own).status_code == 404
    assert api.get(f"/tenants/{other.id}/requests", **own).status_code == 404
    assert api.get(f"/tenants/{other.id}/requests/req-2", **own).status_code == 404
    assert api.get("/requests", **own).status_code == 403
    assert {one["tenant_id"] for one in api.get("/requests").get_json()["requests"]} == {tenant.id, other.id}


def test_platform_finds_a_request_of_any_tenant_or_of_none_with_its_decision(
    api: Api, valkey_socket: str, tenant: Tenant
) -> None:
    lost = {
        "tenant": None,
        "host": "nobody.example",
        "status": 400,
        "source": "gateway",
        "code": "invalid_host",
    }
    record(valkey_socket, [line(1, tenant=tenant.id, ai=AI), line(2, **lost)])
    record(valkey_socket, [line(1, tenant=tenant.id, status=201)], ended=10.7)  # an id that a client repeats
    rows = api.get("/requests").get_json()["requests"]
    found = [api.get(f"/requests/{row['id']}").get_json() for row in rows]
    assert [one["decision"]["upstream_end_ms"] for one in found] == [700.0, 500.0, 500.0]
    assert [one["log"]["host"] for one in found] == [None, "nobody.example", None]
    assert found[1]["why"].startswith("Rejected by the gateway: The Host header")
    newest = api.get(f"/tenants/{tenant.id}/requests/req-1").get_json()
    assert (found[0], found[2]["status"]) == (newest, 200)
    assert api.get("/requests/req-3").status_code == 404
    assert api.get("/requests/req-1", key=tenant.key).status_code == 403


def test_requests_that_an_sdk_has_sent_again_are_told_by_their_count_and_length(
    api: Api, valkey_socket: str, tenant: Tenant
) -> None:
    lines = [line(number, tenant=tenant.id, retry_count=number) for number in range(2)]
    record(valkey_socket, [*lines, line(9, tenant=tenant.id)], length=512)
    rows = api.get(f"/tenants/{tenant.id}/requests").get_json()["requests"]
    assert [(one["retry_count"], one["length"]) for one in rows] == [(None, None), (1, 512), (0, 512)]


def test_list_with_a_filter_goes_on_after_the_newest_request_that_it_has_looked_at(
    api: Api, valkey_socket: str, tenant: Tenant
) -> None:
    url = f"/tenants/{tenant.id}/requests"
    assert api.get(url).get_json()["newest"] is None
    record(valkey_socket, [line(1, tenant=tenant.id, status=503), line(2, tenant=tenant.id)])
    newest = api.get(url).get_json()["requests"][0]["id"]
    page = api.get(f"{url}?status=503").get_json()
    assert (len(page["requests"]), page["newest"]) == (1, newest)
    page = api.get(f"{url}?status=503&after={newest}").get_json()
    assert (page["requests"], page["newest"]) == ([], newest)


def test_list_counts_the_requests_that_came_between_two_reads(
    api: Api, valkey_socket: str, tenant: Tenant
) -> None:
    url = f"/tenants/{tenant.id}/requests?limit=1"
    assert api.get(url).get_json()["recorded"] == 0
    record(valkey_socket, [line(number, tenant=tenant.id) for number in range(5)])
    page = api.get(url).get_json()
    assert (page["recorded"], len(page["requests"])) == (5, 1)


@pytest.mark.parametrize(
    ("kept", "says"),
    [(2_000, "About the newest 2,000 requests of a tenant"), (0, "`records.per_tenant` is 0")],
)
def test_request_that_is_not_found_says_how_long_requests_are_kept(
    kept: int, says: str, api: Api, tenant: Tenant, world: World
) -> None:
    world.settings = replace(world.settings, records=replace(world.settings.records, per_tenant=kept))
    response = api.get(f"/tenants/{tenant.id}/requests/req-x")
    assert error_of(response) == (404, "not_found")
    assert says in response.get_json()["detail"]


@pytest.mark.parametrize(
    "query", ["after=x", "before=1-2-3", "before=0-0", "status=99", "status=4XX", "source=me", "limit=201"]
)
def test_query_that_cannot_be_is_rejected(query: str, api: Api, tenant: Tenant) -> None:
    assert api.get(f"/tenants/{tenant.id}/requests?{query}").status_code == 422
