"""Figures of requests over HTTP, from a real Redis."""

from typing import Any

import pytest
import redis

from shared.alerts.deliveries import Deliveries
from shared.limits.values import budget_key
from shared.records.minutes import Minutes
from tests.admin_app.test_requests import RecordingWorld, world
from tests.admin_app.world import NOW, Api, Tenant
from tests.records.lines import access_line, line

__all__ = ["world"]

_NEW_YEAR = 1_798_761_600  # the first of January 2027


@pytest.fixture
def tenants(api: Api, tenant: Tenant, world: RecordingWorld) -> tuple[Tenant, Tenant]:
    """A tenant with three requests of this minute and one of the hour before, and one with one request."""
    other, minutes = api.tenant("globex"), Minutes()
    for at, members in (
        (NOW, {}),
        (NOW, {}),
        (NOW, {"status": 502, "source": "gateway"}),
        (NOW - 3_600, {}),
        (NOW, {"tenant": other.id, "status": 429, "source": "plugin:rate_limiter"}),
        (NOW, {"tenant": None, "status": 404, "source": "gateway"}),
    ):
        minutes.add(at, access_line(line(**{"tenant": tenant.id, **members})))
    add(world.client, minutes)
    return tenant, other


def add(client: redis.Redis, minutes: Minutes) -> None:
    for batch in minutes.take():
        for key in batch.keys:
            for name, amount in batch.amounts.items():
                client.hincrby(key, name, amount)


def test_overview_has_the_window_the_one_before_and_each_minute(
    api: Api, tenants: tuple[Tenant, Tenant]
) -> None:
    shown: Any = api.get("/overview").get_json()
    assert (shown["now"]["requests"], shown["before"]["requests"]) == (5, 1)
    assert (shown["now"]["failed"]["gateway"], shown["now"]["rejected"]) == (1, 2)
    assert len(shown["minutes"]) == 60
    assert (shown["minutes"][-1]["requests"], shown["minutes"][0]["requests"]) == (5, 0)
    first, second = shown["tenants"]
    assert first == {
        "tenant_id": tenants[0].id,
        "name": "Acme",
        "subdomain": "acme",
        "requests": 3,
        "failed": 1,
        "rejected": 0,
        "cost_usd": "0",
    }
    assert (second["tenant_id"], second["rejected"]) == (tenants[1].id, 1)
    most: Any = api.get("/overview?tenants=1").get_json()
    assert [one["tenant_id"] for one in most["tenants"]] == [tenants[0].id]


def test_overview_names_budgets_of_busy_tenants_of_which_little_is_left(
    api: Api, tenants: tuple[Tenant, Tenant], world: RecordingWorld
) -> None:
    def budget(tenant: Tenant, name: str, used: int, **members: Any) -> str:
        limit = {"limit": {"requests": 100}, "period": "total", "starts": "2027-01-01"}
        made: str = api.create(f"{tenant.url}/budgets", {"name": name, **limit, **members})["id"]
        world.client.hset(budget_key(tenant.id, f"{made}:{_NEW_YEAR}"), mapping={"used": used, "held": 1})
        return made

    busy, other = tenants
    near, _ = budget(busy, "near", 94), budget(busy, "far", 93)
    nano = 10**9
    budget(other, "spent", 110 * nano, limit={"usd": "100"}, on_spent="alert")
    quiet = api.tenant("quiet")
    budget(quiet, "of nobody", 100)
    shown: Any = api.get("/overview").get_json()["budgets"]
    assert [one["name"] for one in shown] == ["spent", "near"]
    assert [shown[0][name] for name in ("limit", "used", "held")] == ["100", "110", "0.000000001"]
    assert shown[1] == {
        "tenant_id": busy.id,
        "tenant_name": "Acme",
        "id": near,
        "name": "near",
        "unit": "requests",
        "on_spent": "reject",
        "limit": 100,
        "used": 94,
        "held": 1,
        "resets_at": None,
    }
    assert api.get("/overview?tenants=51").get_json()["budgets"] == []
    deliveries = Deliveries(world.client)
    for one in (quiet.id, busy.id, "tenant_gone"):
        deliveries.note_reached(one, None, NOW)
    shown = api.get("/overview").get_json()["budgets"]
    assert [one["name"] for one in shown] == ["spent", "of nobody", "near"]


def test_tenant_reads_its_own_figures_only(api: Api, tenants: tuple[Tenant, Tenant]) -> None:
    own, other = tenants
    shown: Any = api.get(f"/tenants/{own.id}/overview?window=15m", key=own.key).get_json()
    assert (shown["now"]["requests"], len(shown["minutes"])) == (3, 15)
    assert "tenants" not in shown
    metrics = api.get(f"/tenants/{own.id}/metrics", key=own.key)
    assert 'gateway_requests_total{tenant="acme",status="2xx",source="upstream"} 3' in metrics.text
    assert "globex" not in metrics.text
    for path in ("overview", "metrics"):
        assert api.get(f"/tenants/{other.id}/{path}", key=own.key).status_code == 404
    assert api.get("/overview", key=own.key).status_code == 403
    assert api.get("/overview?window=2h").status_code == 422


@pytest.mark.parametrize(("window", "steps", "seconds"), [("6h", 72, 300), ("24h", 96, 900)])
def test_overview_of_hours_has_steps_that_begin_at_round_times(
    api: Api, tenants: tuple[Tenant, Tenant], window: str, steps: int, seconds: int
) -> None:
    shown: Any = api.get(f"/overview?window={window}").get_json()
    assert (shown["step_seconds"], len(shown["minutes"])) == (seconds, steps)
    assert shown["now"]["requests"] == sum(step["requests"] for step in shown["minutes"]) == 6
    assert shown["minutes"][-1]["requests"] == 5
    assert shown["tenants"][0]["requests"] == 3  # of the last hour


def test_overview_of_a_day_has_none_before_because_figures_are_kept_for_25_hours(
    api: Api, tenants: tuple[Tenant, Tenant]
) -> None:
    assert api.get("/overview?window=24h").get_json()["before"] is None
    assert api.get("/overview?window=6h").get_json()["before"]["requests"] == 0


def test_overview_names_no_tenant_that_was_deleted(api: Api, tenants: tuple[Tenant, Tenant]) -> None:
    api.delete(tenants[0].url)
    first = api.get("/overview").get_json()["tenants"][0]
    assert (first["tenant_id"], first["name"], first["subdomain"]) == (tenants[0].id, None, None)
    assert api.get("/overview?tenants=51").get_json()["tenants"][1]["name"] is None
