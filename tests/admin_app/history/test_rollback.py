"""A rollback makes a new version with the content of an old one, and is checked as any other change."""

from typing import Any

import pytest

from admin_app.changes.attempts import MESSAGE
from tests.admin_app.world import Api, Tenant, World, error_of, pointers


def rollback(api: Api, owner: str, version: int, body: Any = None, **kwargs: Any) -> Any:
    return api.post(f"{owner}/versions/{version}/rollback", body or {}, **kwargs)


def done(api: Api, owner: str, version: int, **kwargs: Any) -> dict[str, Any]:
    response = rollback(api, owner, version, **kwargs)
    assert response.status_code == 200, response.text
    assert "canary" not in response.text
    made: dict[str, Any] = response.get_json()
    return made


def document(api: Api, owner: str, version: int) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"{owner}/versions/{version}").get_json()["document"]
    return found


def version(api: Api, tenant: Tenant) -> int:
    number: int = api.get(tenant.url).get_json()["version"]
    return number


def test_rollback_makes_a_version_with_the_old_content(api: Api, tenant: Tenant) -> None:
    kept, gone = api.rule(tenant), api.rule(tenant, "/gone")
    old = version(api, tenant)
    before = document(api, tenant.url, old)
    api.delete(f"{tenant.url}/rules/{gone['id']}")
    api.patch(f"{tenant.url}/rules/{kept['id']}", {"active": False})
    api.rule(tenant, "/later")
    made = done(api, tenant.url, old, body={"message": "The new rules fail."})
    assert made["version"] == version(api, tenant) == old + 4
    assert (made["source"], made["restored"], made["message"]) == ("rollback", old, "The new rules fail.")
    assert made["summary"] == "rule /v1 changed (active); rule /later removed; rule /gone added"
    assert (made["unchanged"], made["warnings"]) == (False, [])
    assert document(api, tenant.url, made["version"]) | {"rules": {}} == before | {"rules": {}}
    assert list(document(api, tenant.url, made["version"])["rules"]) == [kept["id"], gone["id"]]
    entry = api.get("/audit?operation=rollbackTenant").get_json()["entries"][0]
    assert (entry["source"], entry["version"]) == ("rollback", made["version"])


def test_rollback_to_the_present_content_changes_nothing(api: Api, tenant: Tenant) -> None:
    rule = api.rule(tenant)
    old = version(api, tenant)
    api.patch(f"{tenant.url}/rules/{rule['id']}", {"active": False})
    api.patch(f"{tenant.url}/rules/{rule['id']}", {"active": True})
    entries = api.get("/audit").get_json()["entries"]
    for number in (old, old + 2):
        made = done(api, tenant.url, number)
        assert (made["unchanged"], made["version"], made["source"]) == (True, old + 2, "api")
    assert version(api, tenant) == old + 2
    assert api.get("/audit").get_json()["entries"] == entries


def test_rollback_never_changes_api_keys_status_and_subdomain(api: Api, tenant: Tenant) -> None:
    api.patch(tenant.url, {"name": "New", "subdomain": "moved", "status": "disabled"})
    api.created_key(tenant, name="new")
    api.post(f"{tenant.url}/api-keys/{api.first_key(tenant)}/revoke", {})
    keys = api.get(f"{tenant.url}/api-keys").get_json()["api_keys"]
    done(api, tenant.url, 1)
    now = api.get(tenant.url).get_json()
    assert (now["name"], now["subdomain"], now["status"]) == ("Acme", "moved", "disabled")
    assert api.get(f"{tenant.url}/api-keys").get_json()["api_keys"] == keys


def test_only_what_a_rollback_changes_has_a_new_time(api: Api, tenant: Tenant, world: World) -> None:
    same, changed, gone = (api.rule(tenant, path) for path in ("/same", "/changed", "/gone"))
    old = version(api, tenant)
    api.patch(f"{tenant.url}/rules/{changed['id']}", {"active": False})
    api.delete(f"{tenant.url}/rules/{gone['id']}")
    world.clock.time += 3600
    done(api, tenant.url, old)
    rules = [api.get(f"{tenant.url}/rules/{one['id']}").get_json() for one in (same, changed, gone)]
    assert [rule["created_at"] for rule in rules] == [same["created_at"]] * 3
    assert rules[0]["updated_at"] == same["updated_at"]
    assert rules[1]["updated_at"] == rules[2]["updated_at"] == api.get(tenant.url).get_json()["updated_at"]
    assert rules[1]["updated_at"] > same["updated_at"]


def test_etag_that_no_longer_matches_prevents_a_rollback(api: Api, tenant: Tenant) -> None:
    etag = api.get(tenant.url).headers["ETag"]
    api.patch(tenant.url, {"name": "New"})
    stale = rollback(api, tenant.url, 1, headers={"If-Match": etag})
    assert error_of(stale) == (412, "precondition_failed")
    etag = api.get(tenant.url).headers["ETag"]
    assert rollback(api, tenant.url, 1, headers={"If-Match": etag}).status_code == 200


def test_reason_of_a_rollback_is_in_the_body_or_in_the_header(api: Api, tenant: Tenant) -> None:
    api.patch(tenant.url, {"name": "New"})
    assert done(api, tenant.url, 1, headers={MESSAGE: "Header."})["message"] == "Header."
    both = done(api, tenant.url, 2, body={"message": "Body."}, headers={MESSAGE: "Header."})
    assert both["message"] == "Body."
    assert pointers(rollback(api, tenant.url, 1, {"message": "x" * 501})) == ["/message"]
    assert pointers(rollback(api, tenant.url, 1, {"reason": "x"})) == ["/reason"]


def test_rollback_needs_the_rights_of_a_change(api: Api, tenant: Tenant) -> None:
    api.patch(tenant.url, {"name": "New"})
    reader = api.created_key(tenant, name="r", scopes=["read"])
    assert error_of(rollback(api, tenant.url, 1, key=reader)) == (403, "forbidden")
    assert error_of(rollback(api, tenant.url, 1, key=api.tenant("other").key)) == (404, "not_found")
    assert error_of(rollback(api, "/platform", 1, key=tenant.key)) == (403, "forbidden")
    assert error_of(rollback(api, tenant.url, 99)) == (404, "not_found")
    assert done(api, tenant.url, 1, key=tenant.key)["actor"].startswith("key:")


def test_change_between_the_reading_and_the_writing_of_a_rollback_is_not_lost(
    api: Api, tenant: Tenant, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, other = api.rule(tenant), api.rule(tenant, "/other")
    old, check = version(api, tenant), world.check_target
    api.patch(f"{tenant.url}/rules/{rule['id']}", {"target": "https://checks.example"})
    meanwhile = [{"headers": {"X-Key": "canary"}, "active": False}]

    def slowly(url: str, **kwargs: Any) -> Any:
        if meanwhile:
            api.patch(f"{tenant.url}/rules/{other['id']}", meanwhile.pop())
        return check(url, **kwargs)

    monkeypatch.setattr(world, "check_target", slowly)
    made = done(api, tenant.url, old)
    assert made["version"] == old + 3
    assert document(api, tenant.url, made["version"])["rules"][other["id"]]["active"] is True
    assert "/other" in made["summary"]


def test_etag_that_no_longer_matches_prevents_a_rollback_of_the_platform(api: Api) -> None:
    for price in ("1", "2"):
        assert (
            api.patch(
                "/prices", {"prices": {"openai/gpt-5.6": {"input": price, "output": price}}}
            ).status_code
            == 200
        )
    url = "/platform/versions/{}"
    etag = api.get(url.format(2)).headers["ETag"]
    stale = rollback(api, "/platform", 1, headers={"If-Match": api.get(url.format(1)).headers["ETag"]})
    assert error_of(stale) == (412, "precondition_failed")
    assert rollback(api, "/platform", 1, headers={"If-Match": etag}).status_code == 200
    assert error_of(rollback(api, "/platform", 1, headers={"If-Match": etag})) == (412, "precondition_failed")
