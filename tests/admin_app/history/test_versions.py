"""Every change makes a version: it is listed, shown and compared, and it never changes."""

from typing import Any

import pytest

from admin_app.changes.attempts import MESSAGE
from shared.config_store.history.edit import MAX_MESSAGE, MAX_PINNED
from shared.config_store.history.reader import RedisHistory
from shared.testing.memory_history import MemoryHistory
from tests.admin_app.world import Api, Tenant, World, error_of


def rule(api: Api, tenant: Tenant, **members: Any) -> dict[str, Any]:
    body = {"path": "/v1", "target": "https://upstream.example", **members}
    made: dict[str, Any] = api.post(f"{tenant.url}/rules", body).get_json()
    return made


def versions(api: Api, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"{url}/versions").get_json()["versions"]
    return found


def test_every_change_of_a_document_makes_a_version_with_its_author_reason_and_summary(
    api: Api, tenant: Tenant
) -> None:
    made = rule(api, tenant)
    change = {"target": "https://other.example"}
    api.call("PATCH", f"{tenant.url}/rules/{made['id']}", change, headers={MESSAGE: "Move."}, key=tenant.key)
    api.post(f"{tenant.url}/api-keys", {"name": "no version"})
    found = versions(api, tenant.url)
    assert [(one["version"], one["summary"], one["message"]) for one in found] == [
        (3, "rule /v1 changed (target)", "Move."),
        (2, "rule /v1 added", None),
        (1, "created; API key first key added", None),
    ]
    assert found[0]["actor"].startswith("key:")
    assert found[1]["actor"] == "platform"


def test_version_shows_the_document_as_it_was_without_its_secrets(api: Api, tenant: Tenant) -> None:
    made = rule(api, tenant, headers={"Authorization": "Bearer canary-secret"})
    api.patch(f"{tenant.url}/rules/{made['id']}", {"path": "/v2"})
    old = api.get(f"{tenant.url}/versions/2")
    assert old.get_json()["document"]["rules"][made["id"]]["path"] == "/v1"
    assert old.get_json()["document"]["rules"][made["id"]]["headers"] == {"Authorization": {"set": True}}
    assert "canary" not in old.text
    new = api.get(f"{tenant.url}/versions/3").get_json()
    assert new["document"]["rules"][made["id"]]["path"] == "/v2"


def test_versions_are_compared_with_the_one_before_or_with_any_other(api: Api, tenant: Tenant) -> None:
    made = rule(api, tenant, headers={"Authorization": "Bearer canary-secret"})
    url = f"{tenant.url}/rules/{made['id']}"
    api.patch(url, {"path": "/v2"})
    api.patch(url, {"headers": {"Authorization": "Bearer canary-other"}})
    path = f"/rules/{made['id']}"
    assert api.get(f"{tenant.url}/versions/3/diff").get_json() == {
        "version": 3,
        "against": 2,
        "summary": "rule /v2 changed (path)",
        "differences": [{"op": "change", "path": f"{path}/path", "before": "/v1", "after": "/v2"}],
        "cut": False,
    }
    both = api.get(f"{tenant.url}/versions/4/diff?against=2")
    assert [one["path"] for one in both.get_json()["differences"]] == [
        f"{path}/path",
        f"{path}/headers/Authorization",
    ]
    assert "canary" not in both.text
    first = api.get(f"{tenant.url}/versions/1/diff").get_json()
    assert first["against"] is None
    assert {one["op"] for one in first["differences"]} == {"add"}


def test_very_large_difference_is_cut_and_says_so(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin_app.views.history.versions._MAX_DIFFERENCES_BYTES", 2_000)
    for number in range(20):
        rule(api, tenant, path=f"/{number}")
    found = api.get(f"{tenant.url}/versions/21/diff?against=1")
    assert found.get_json()["cut"] is True
    assert 0 < len(found.get_json()["differences"]) < 20
    whole = api.get(f"{tenant.url}/versions/2/diff?against=1").get_json()
    assert (whole["cut"], len(whole["differences"])) == (False, 1)


def test_versions_come_in_pages_the_newest_first(api: Api, tenant: Tenant) -> None:
    for number in range(4):
        api.patch(tenant.url, {"name": f"Acme {number}"})
    page = api.get(f"{tenant.url}/versions?limit=3").get_json()
    assert [one["version"] for one in page["versions"]] == [5, 4, 3]
    rest = api.get(f"{tenant.url}/versions?limit=3&cursor={page['next_cursor']}").get_json()
    assert [one["version"] for one in rest["versions"]] == [2, 1]
    assert rest["next_cursor"] is None
    assert api.get(f"{tenant.url}/versions?cursor=x").status_code == 422


def test_pinned_version_stays_when_it_is_old(api: Api, tenant: Tenant, world: World) -> None:
    history: Any = world.store.history
    history.kept_versions = 2
    assert api.post(f"{tenant.url}/versions/1/pin", {}).get_json()["pinned"] is True
    for number in range(4):
        api.patch(tenant.url, {"name": f"Acme {number}"})
    assert [one["version"] for one in versions(api, tenant.url)] == [5, 4, 1]
    assert api.post(f"{tenant.url}/versions/1/pin", {"pinned": False}).get_json()["pinned"] is False
    api.patch(tenant.url, {"name": "Last"})
    assert [one["version"] for one in versions(api, tenant.url)] == [6, 5]
    assert error_of(api.get(f"{tenant.url}/versions/1")) == (404, "not_found")


def test_pinned_version_is_in_the_audit_log(api: Api, tenant: Tenant) -> None:
    for pinned in (True, False):
        said = api.call(
            "POST",
            f"{tenant.url}/versions/1/pin",
            {"pinned": pinned},
            key=tenant.key,
            headers={MESSAGE: "why"},
        )
        assert said.status_code == 200
    entries = api.get("/audit?operation=pinTenantVersion", key=tenant.key).get_json()["entries"]
    assert [one["summary"] for one in entries] == ["version 1 unpinned", "version 1 pinned"]
    assert {one["message"] for one in entries} == {"why"}
    assert {one["version"] for one in entries} == {1}


def test_pinned_version_of_the_platform_is_in_the_audit_log(api: Api) -> None:
    body = {"name": "main", "kind": "openai", "keys": [{"name": "a", "secret": "sk-x"}]}
    assert api.post("/providers", body).status_code == 201
    assert api.post("/platform/versions/1/pin", {}).status_code == 200
    [entry] = api.get("/audit?operation=pinPlatformVersion&tenant=platform").get_json()["entries"]
    assert (entry["actor"], entry["summary"]) == ("platform", "version 1 pinned")
    assert [one["version"] for one in versions(api, "/platform")] == [1]


def test_more_pinned_versions_than_the_maximum_are_rejected(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (MemoryHistory, RedisHistory):
        monkeypatch.setattr(f"{module.__module__}.MAX_PINNED", 1)
    rule(api, tenant)
    assert api.post(f"{tenant.url}/versions/1/pin", {}).status_code == 200
    full = api.post(f"{tenant.url}/versions/2/pin", {})
    assert full.get_json()["code"] == "limit_reached"
    assert f"{MAX_PINNED} versions are pinned" in full.get_json()["detail"]


@pytest.mark.parametrize("version", ["99", "0", "x", "²", "9" * 40])
def test_version_that_is_not_kept_is_not_found(api: Api, tenant: Tenant, version: str) -> None:
    for path in ("", "/diff", "/diff?against=1"):
        assert api.get(f"{tenant.url}/versions/{version}{path}").status_code == 404
    assert api.get(f"{tenant.url}/versions/1/diff?against=99").status_code == 404


def test_platform_has_versions_of_its_own(api: Api) -> None:
    body = {"name": "main", "kind": "openai", "keys": [{"name": "a", "secret": "sk-canary-platform"}]}
    provider = api.post("/providers", body).get_json()
    api.patch(f"/providers/{provider['id']}", {"enabled": False})
    found = versions(api, "/platform")
    assert [one["summary"] for one in found] == ["provider main changed (enabled)", "provider main added"]
    detail = api.get("/platform/versions/1")
    assert detail.get_json()["document"]["providers"][provider["id"]]["enabled"] is True
    assert "canary" not in detail.text + api.get("/platform/versions/2/diff").text
    assert api.post("/platform/versions/1/pin", {}).get_json()["pinned"] is True
    assert api.post("/platform/versions/1/pin", {"pinned": False}).get_json()["pinned"] is False


@pytest.mark.parametrize("message", ["\x1b[31mred", "a\x7f", "a\x85b", "a\x00"])
def test_message_with_control_characters_is_rejected(api: Api, tenant: Tenant, message: str) -> None:
    rejected = api.call("PATCH", tenant.url, {"name": "New"}, headers={MESSAGE: message})
    assert error_of(rejected) == (400, "bad_request")
    assert len(versions(api, tenant.url)) == 1


def test_message_that_is_too_long_is_rejected(api: Api, tenant: Tenant) -> None:
    headers = {MESSAGE: "x" * (MAX_MESSAGE + 1)}
    rejected = api.call("PATCH", tenant.url, {"name": "New"}, headers=headers)
    assert rejected.status_code == 400
    assert len(versions(api, tenant.url)) == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("Größe 大".encode(), "Größe 大"), (b"Gr\xf6\xdfe", "Größe"), (b"plain", "plain"), (b"", None)],
)
def test_message_is_read_as_utf_8_or_else_as_latin_1(
    api: Api, tenant: Tenant, sent: bytes, kept: str | None
) -> None:
    api.call("PATCH", tenant.url, {"name": "New"}, headers={MESSAGE: sent.decode("latin-1")})
    assert versions(api, tenant.url)[0]["message"] == kept


def test_keys_of_other_tenants_see_no_version_and_readers_pin_none(api: Api, tenant: Tenant) -> None:
    other = api.post("/tenants", {"name": "Other", "subdomain": "other"}).get_json()
    assert api.get(f"{tenant.url}/versions", key=other["key"]).status_code == 404
    assert api.get("/platform/versions", key=tenant.key).status_code == 403
    reader = api.post(f"{tenant.url}/api-keys", {"name": "r", "scopes": ["read"]}).get_json()["key"]
    assert api.get(f"{tenant.url}/versions/1", key=reader).status_code == 200
    assert api.post(f"{tenant.url}/versions/1/pin", {}, key=reader).status_code == 403
