"""The audit log tells who changed what, when and from where, and shows no secret."""

from typing import Any

import pytest

from admin_app.views.history import audit
from tests.admin_app.world import Api, Tenant


def entries(api: Api, query: str = "", **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/audit{query}", **options).get_json()["entries"]
    return found


def test_every_change_is_told_with_author_operation_and_difference(api: Api, tenant: Tenant) -> None:
    key = api.post(f"{tenant.url}/api-keys", {"name": "ci"}).get_json()
    api.delete(f"{tenant.url}/api-keys/{key['id']}")
    api.call("PATCH", tenant.url, {"status": "disabled"}, headers={"X-Request-ID": "r-1"})
    api.delete(tenant.url)
    found = entries(api)
    assert [(one["operation"], one["action"], one["version"]) for one in found] == [
        ("deleteTenant", "delete", None),
        ("updateTenant", "update", 1),
        (found[2]["operation"], "update", 1),
        ("createApiKey", "update", 1),
        ("createTenant", "create", 1),
    ]
    assert found[0]["summary"] == "deleted; API key first key removed; API key ci removed"
    disabled = found[1]
    assert disabled["changes"] == [
        {"op": "change", "path": "/status", "before": "active", "after": "disabled"}
    ]
    assert (disabled["actor"], disabled["request_id"], disabled["tenant_id"]) == (
        "platform",
        "r-1",
        tenant.id,
    )
    assert disabled["address"] == "127.0.0.1"
    assert disabled["summary"] == "status changed"
    assert [one["summary"] for one in found[2:4]] == ["API key ci changed (status)", "API key ci added"]


def test_no_secret_and_no_key_is_in_the_log(api: Api, tenant: Tenant) -> None:
    body = {"path": "/v1", "target": "https://u.example", "headers": {"Authorization": "Bearer canary-1"}}
    rule = api.post(f"{tenant.url}/rules", body).get_json()
    change = {"headers": {"Authorization": "Bearer canary-2"}}
    api.patch(f"{tenant.url}/rules/{rule['id']}", change)
    key = api.post(f"{tenant.url}/api-keys", {"name": "ci"}).get_json()["key"]
    api.post("/providers", {"name": "p", "kind": "openai", "keys": [{"name": "a", "secret": "sk-canary-3"}]})
    text = api.get("/audit").text
    assert "canary" not in text
    assert key not in text
    assert tenant.key not in text


def test_tenants_key_sees_its_own_changes_only_and_no_address_of_the_operator(
    api: Api, tenant: Tenant
) -> None:
    other = api.post("/tenants", {"name": "Other", "subdomain": "other"}).get_json()
    api.call("PATCH", tenant.url, {"name": "Mine"}, key=tenant.key)
    for query in ("", f"?tenant={other['id']}", "?tenant=platform"):
        own = entries(api, query, key=tenant.key)
        assert {one["tenant_id"] for one in own} == {tenant.id}
        assert [(one["actor"] == "platform", one["address"]) for one in own] == [
            (False, "127.0.0.1"),
            (True, None),
        ]
    reader = api.post(f"{tenant.url}/api-keys", {"name": "r", "scopes": ["read"]}).get_json()["key"]
    assert api.get("/audit", key=reader).status_code == 403


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?operation=updateTenant", 2),
        ("?actor=platform", 3),
        ("?actor=key:none", 0),
        ("?tenant=platform", 0),
        ("?since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:01Z", 0),
        ("?until=9000-01-01T00:00:00Z", 3),
        ("?since=9000-01-01T00:00:00Z", 0),
    ],
)
def test_filters_select_entries(api: Api, tenant: Tenant, query: str, count: int) -> None:
    for name in "ab":
        api.patch(tenant.url, {"name": name})
    assert len(entries(api, query)) == count


def test_pages_follow_each_other_also_when_few_are_wanted(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        api.patch(tenant.url, {"name": f"n{number}"})
    monkeypatch.setattr(audit, "_MAX_LOOKED_AT", 2)
    monkeypatch.setattr(audit, "_AT_ONCE", 3)
    seen, cursor, pages = [], "", 0
    while True:
        page = api.get(f"/audit?operation=createTenant{cursor}").get_json()
        seen += page["entries"]
        pages += 1
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [one["operation"] for one in seen] == ["createTenant"]
    assert pages == 3


@pytest.mark.parametrize("cursor", ["x", "0-0", "00-000", "1-", "1-1-1"])
def test_wrong_cursor_is_rejected(api: Api, cursor: str) -> None:
    assert api.get(f"/audit?cursor={cursor}").status_code == 422
