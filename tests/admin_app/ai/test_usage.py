"""Reports of usage over HTTP, from a real Redis."""

import asyncio
import csv
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from admin_app.views.ai import usage as usage_views
from shared.config_store.store import RedisStore
from shared.usage.budget_store import BudgetStore
from shared.usage.keys import ledger_key
from shared.usage.row import LedgerRow, Usage
from shared.usage.settler import open_settler
from tests.admin_app.world import NOW, TOKEN, Api, Tenant, World, make_world, pointers
from tests.usage.rows import row as ledger_row

TODAY = datetime.fromtimestamp(NOW, UTC).date().isoformat()
DAY = 86_400.0


class CountingWorld(World):
    """A world with usage in Redis."""

    client: redis.Redis

    @contextmanager
    def reading(self, reader: type[Any]) -> Iterator[Any]:
        yield reader(self.client)


@pytest.fixture
def world(tmp_path: Path, client: redis.Redis) -> World:
    world = CountingWorld(make_world(tmp_path, admin__token=TOKEN).settings)
    world.client = client
    world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
    return world


def row(tenant: Tenant, number: int, **members: Any) -> LedgerRow:
    fixed = {
        "id": f"{tenant.id}-{number}",
        "time": NOW,
        "request_id": f"req-{number}",
        "user": "ann",
        "tags": {"project": "search"},
        "model": "gpt-5.6",
        "usage": Usage(input=100, input_cached=40, output=10),
        "cost_nano": 1_500_000,
    }
    return ledger_row(**{**fixed, "tenant": tenant.id, **members})


def settle(socket: str, rows: list[LedgerRow]) -> None:
    """Write rows as a worker of the proxy does."""
    names = itertools.count()

    async def write() -> None:
        settler = open_settler(
            {"unix_socket_path": socket}, lambda: f"{rows[0].id}-{next(names)}", max_bytes=10**9
        )
        for each in rows:
            settler.add(each)
        await settler.flush()
        await settler.connection.close()

    asyncio.run(write())


@pytest.fixture
def used(valkey_socket: str, tenant: Tenant) -> Tenant:
    """A tenant with three calls: two of today, one of the day before, of which one has no price."""
    settle(
        valkey_socket,
        [
            row(tenant, 1),
            row(tenant, 2, model="gpt-5.6-mini", user="=cmd()", cost_nano=None, tags={}),
            row(tenant, 3, time=NOW - DAY, tags={"project": "search", "team": "red"}),
        ],
    )
    return tenant


def report(api: Api, used: Tenant, query: str) -> list[dict[str, Any]]:
    response = api.get(f"{used.url}/usage?{query}", key=used.key)
    assert response.status_code == 200, response.text
    usage: list[dict[str, Any]] = response.get_json()["usage"]
    return usage


def test_days_are_reported_with_their_sums(api: Api, used: Tenant) -> None:
    first, second = report(api, used, "")
    assert first["day"] < second["day"] == TODAY
    assert second | {"day": ""} == {
        "day": "",
        "calls": 2,
        "input": 200,
        "output": 20,
        "cached": 80,
        "cost": "0.0015",
        "unpriced": 1,
    }


def test_groups_are_those_that_were_asked_for(api: Api, used: Tenant) -> None:
    found = report(api, used, f"group_by=model,user&from={TODAY}&to={TODAY}")
    assert [(one["model"], one["user"], one["calls"]) for one in found] == [
        ("gpt-5.6", "ann", 1),
        ("gpt-5.6-mini", "=cmd()", 1),
    ]


def test_call_counts_in_the_group_of_each_of_its_tags(api: Api, used: Tenant) -> None:
    found = report(api, used, "group_by=tag")
    assert [(one["tag"], one["calls"]) for one in found] == [("", 1), ("project=search", 2), ("team=red", 1)]


def test_report_as_csv_holds_no_formulas(api: Api, used: Tenant) -> None:
    response = api.get(f"{used.url}/usage?group_by=day,user&format=csv", key=used.key)
    assert response.headers["Content-Type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(response.text)))
    assert [line["user"] for line in lines] == ["ann", "'=cmd()", "ann"]
    assert lines[-1]["cost"] == "0.0015"


@pytest.mark.parametrize("path", ["/api/v1/usage", "/api/v1/tenants/{tenant_id}/usage"])
def test_report_is_described_in_both_its_forms(api: Api, path: str) -> None:
    document = api.get("/openapi.json", key=None).get_json()
    content = document["paths"][path]["get"]["responses"]["200"]["content"]
    # The first form is the one for which generators make a client.
    assert list(content) == ["application/json", "text/csv"]
    rows = csv.DictReader(io.StringIO(content["text/csv"]["example"]))
    groups = content["application/json"]["example"]["usage"]
    assert list(rows) == [{name: str(value) for name, value in group.items()} for group in groups]


def test_rows_are_listed_from_the_newest(api: Api, used: Tenant) -> None:
    first = api.get(f"{used.url}/usage/rows?limit=2", key=used.key).get_json()
    rest = api.get(f"{used.url}/usage/rows?limit=2&cursor={first['next_cursor']}", key=used.key).get_json()
    assert [one["request_id"] for one in (*first["rows"], *rest["rows"])] == ["req-3", "req-2", "req-1"]
    newest = rest["rows"][0]
    assert newest["usage"] == {"input": 100, "input_cached": 40, "output": 10, "requests": 1}
    assert (newest["cost"], newest["source"], newest["time"]) == (
        "0.0015",
        "reported",
        "2027-01-15T08:00:00.000Z",
    )
    assert first["rows"][1]["cost"] is None
    assert rest["next_cursor"] is None


def test_adjustment_of_a_budget_is_a_row_and_no_call_in_any_report(
    api: Api, client: redis.Redis, used: Tenant
) -> None:
    calls = report(api, used, "group_by=tag"), report(api, used, "group_by=day")
    BudgetStore(client).note_increase(used.id, "bud_1:0", amount=5, actor="ops", row_id="more", now=0.0)
    newest = api.get(f"{used.url}/usage/rows?limit=1", key=used.key).get_json()["rows"][0]
    assert newest["adjustment"] == {"action": "increase", "amount": 5, "actor": "ops"}
    assert (newest["budgets"], newest["usage"], newest["cost"]) == ({"bud_1:0": 0}, {}, "0")
    assert (report(api, used, "group_by=tag"), report(api, used, "group_by=day")) == calls


@pytest.mark.parametrize("entry", [{"row": "{}"}, {"row": "x"}, {"other": "x"}])
def test_a_damaged_row_is_left_out_and_the_others_are_shown(
    api: Api, client: redis.Redis, used: Tenant, entry: dict[str, str]
) -> None:
    client.xadd(ledger_key(used.id), entry)  # type: ignore[arg-type]
    page = api.get(f"{used.url}/usage/rows?limit=1", key=used.key).get_json()
    assert page["rows"] == []
    rest = api.get(f"{used.url}/usage/rows?cursor={page['next_cursor']}", key=used.key).get_json()
    assert len(rest["rows"]) == 3
    assert sum(one["calls"] for one in report(api, used, "group_by=tag")) == 4  # one has two tags


def test_the_platform_sees_all_tenants(api: Api, valkey_socket: str, used: Tenant) -> None:
    other = api.tenant("other")
    settle(valkey_socket, [row(other, 1)])
    response = api.get("/usage?group_by=tenant,model")
    assert response.status_code == 200, response.text
    found = {(one["tenant"], one["model"]): one["calls"] for one in response.get_json()["usage"]}
    assert found == {
        (used.id, "gpt-5.6"): 2,
        (used.id, "gpt-5.6-mini"): 1,
        (other.id, "gpt-5.6"): 1,
    }


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("from=2026-12-1", "/from"),
        ("from=0001-01-01&group_by=tag", "/from"),
        ("to=0001-01-01", "/to"),
        ("from=2027-01-02&to=2027-01-01", "/from"),
        ("from=2025-01-01&to=2027-01-01", "/from"),
        ("from=2026-12-01&to=2027-01-15&group_by=tag", "/from"),
        ("group_by=colour", "/group_by"),
        ("format=xml", "/format"),
        ("until=2027-01-01", "/until"),
    ],
)
def test_wrong_queries_are_pointed_at(api: Api, used: Tenant, query: str, at: str) -> None:
    assert pointers(api.get(f"{used.url}/usage?{query}")) == [at]


@pytest.mark.parametrize("cursor", ["abc", "0-0", f"{2**64}-1", f"1-{2**64}"])
def test_wrong_cursor_is_rejected(api: Api, used: Tenant, cursor: str) -> None:
    assert pointers(api.get(f"{used.url}/usage/rows?cursor={cursor}")) == ["/cursor"]


def test_tenants_see_the_ids_of_their_own_keys_only(api: Api, tenant: Tenant, valkey_socket: str) -> None:
    """Of a provider that the platform shares, a tenant sees no key; the platform sees all."""
    provider = {"name": "openai", "kind": "openai", "keys": [{"name": "a", "secret": "sk-0123456789abcdef"}]}
    own = api.create(f"{tenant.url}/providers", provider)["keys"][0]["id"]
    shared = api.create("/providers", provider | {"name": "main", "shared": "all"})["keys"][0]["id"]
    settle(valkey_socket, [row(tenant, 1, provider_key=own), row(tenant, 2, provider_key=shared)])

    def keys(**caller: str) -> list[str]:
        rows = api.get(f"{tenant.url}/usage/rows", **caller).get_json()["rows"]
        return [one["provider_key"] for one in rows]

    assert keys(key=tenant.key) == ["", own]
    assert keys() == [shared, own]


def test_usage_of_others_is_hidden(api: Api, used: Tenant) -> None:
    other = api.tenant("other")
    for url in (f"{used.url}/usage", f"{used.url}/usage/rows"):
        assert api.get(url, key=other.key).status_code == 404
    assert api.get("/usage", key=used.key).status_code == 403


def try_limits(api: Api, used: Tenant, limits: Any, **members: Any) -> dict[str, Any]:
    url = f"{used.url}/rate-limits/what-if"
    response = api.post(url, {"limits": limits, **members}, key=used.key)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.get_json()
    return found


def test_limits_can_be_tried_on_recorded_calls(api: Api, used: Tenant) -> None:
    limits = {
        "global": [
            {"limit": 150, "unit": "tokens", "window": "1m"},
            {"limit": "0.01", "unit": "usd", "window": "1d"},
        ],
        "per_key": {"limit": 1, "window": "2d"},
    }
    found = try_limits(api, used, limits)
    assert (found["to"], found["calls"], found["is_truncated"]) == (TODAY, 3, False)
    tokens, money, requests = found["limits"]
    assert (tokens["requests"], tokens["rejected"], tokens["peak"], tokens["window_ms"]) == (
        3,
        1,
        220,
        60_000,
    )
    assert tokens["keys"] == [{"key": "key_1", "name": None, "requests": 3, "rejected": 1}]
    assert (money["limit"], money["peak"], money["unpriced"], money["rejected"]) == ("0.01", "0.003", 1, 0)
    assert money["first_rejected_at"] is None
    assert (requests["name"], requests["rejected"]) == ("per_key", 2)
    assert try_limits(api, used, limits, rule="rule_other")["calls"] == 0
    assert try_limits(api, used, limits, **{"from": TODAY, "to": TODAY})["calls"] == 2


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "/limits"),
        ({"limits": {"per_ip": {"limit": 1, "window": "1m"}}}, "/limits"),
        ({"limits": {"streams": {"limit": 1}}}, "/limits"),
        (
            {
                "limits": {name: [{"limit": 1, "window": "1m"}] * 8 for name in ("global", "per_key")},
                "to": "?",
            },
            "/to",
        ),
        ({"limits": {"global": {"limit": 1, "window": "1m"}}, "from": "2020-01-01"}, "/from"),
        ({"limits": {"global": {"limit": 1, "window": "1m"}}, "from": 20261201}, "/from"),
        ({"limits": {"global": {"limit": 1, "window": "1m"}}, "to": ["2026-12-01"] * 10}, "/to"),
        ({"limits": {"global": {"limit": "x", "unit": "usd", "window": "1m"}}}, "/limits/global/limit"),
    ],
)
def test_limits_that_cannot_be_tried_are_pointed_at(api: Api, used: Tenant, body: Any, at: str) -> None:
    response = api.post(f"{used.url}/rate-limits/what-if", body, key=used.key)
    assert response.status_code == 422
    assert pointers(response) == [at]


def test_more_than_sixteen_limits_are_not_tried_at_once(api: Api, used: Tenant) -> None:
    models = {f"m{number}": {"limit": 1, "window": "1m"} for number in range(17)}
    response = api.post(f"{used.url}/rate-limits/what-if", {"limits": {"per_model": models}}, key=used.key)
    assert "at most 16 quotas" in response.text


def test_only_the_newest_calls_are_tried(api: Api, used: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_views, "MAX_TRIED", 2)
    found = try_limits(api, used, {"global": {"limit": 9, "window": "1m"}})
    assert (found["calls"], found["is_truncated"]) == (2, True)
    assert found["oldest_at"].startswith(TODAY)
