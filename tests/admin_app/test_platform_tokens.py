"""Tokens of the platform: their scopes, their life, and what the audit log says of them."""

import orjson
import pytest

from admin_app.auth.failed_logins import MAX_FAILURES
from shared.model.config import PlatformTokens
from tests.admin_app.world import TOKEN, Api, Tenant, World, error_of, pointers

URL = "/platform/tokens"


def made(api: Api, name: str = "ci", *scopes: str, **fields: object) -> dict[str, str]:
    token: dict[str, str] = api.create(URL, {"name": name, "scopes": scopes or ["write"], **fields})
    return token


def test_token_is_shown_once_and_stored_as_a_hash(api: Api, world: World) -> None:
    token = made(api)
    assert token["token"].startswith(token["prefix"])
    [listed] = api.get(URL).get_json()["tokens"]
    assert listed == {name: value for name, value in token.items() if name != "token"}
    assert api.get(f"{URL}/{token['id']}").get_json() == listed
    assert token["token"] not in repr(world.store.tokens.all())
    assert token["token"].encode() not in b"".join(one.text for one in world.store.history.entries(10))


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("admin", {"read", "write", "tokens"}), ("write", {"read", "write"}), ("read", {"read"})],
)
def test_token_may_do_what_its_scope_says(api: Api, tenant: Tenant, scope: str, allowed: set[str]) -> None:
    key = made(api, "some", scope)["token"]
    calls = {
        "read": [("GET", "/tenants", None), ("GET", "/audit", None), ("GET", URL, None)],
        "write": [
            ("PATCH", tenant.url, {"name": "B"}),
            ("POST", "/tenants", {"name": "C", "subdomain": "c"}),
        ],
        "tokens": [("POST", URL, {"name": "other", "scopes": ["read"]})],
    }
    for kind, them in calls.items():
        for method, url, body in them:
            response = api.call(method, url, body, key=key)
            assert (response.status_code < 300) is (kind in allowed), response.text
            assert kind in allowed or error_of(response) == (403, "forbidden")
    me = api.get("/me", key=key).get_json()
    assert (me["is_platform"], me["actor"], me["scopes"]) == (True, "token:some", [scope])


def test_rejection_names_the_scope_that_is_needed(api: Api) -> None:
    key = made(api, "some", "read")["token"]
    detail = api.post("/tenants", {}, key=key).get_json()["detail"]
    assert detail == "This operation requires a platform token with the scope write or admin."
    detail = api.post(URL, {}, key=key).get_json()["detail"]
    assert detail == "This operation requires the platform key, or a platform token with the scope admin."


def test_revoked_token_is_worth_nothing_at_once(api: Api) -> None:
    token = made(api)
    assert api.get("/tenants", key=token["token"]).status_code == 200
    assert api.delete(f"{URL}/{token['id']}").status_code == 204
    assert error_of(api.get("/tenants", key=token["token"])) == (401, "invalid_api_key")
    assert api.delete(f"{URL}/{token['id']}").status_code == 404


def test_program_with_a_revoked_token_locks_out_nobody_behind_its_address(api: Api) -> None:
    token = made(api)
    api.delete(f"{URL}/{token['id']}")
    for _ in range(MAX_FAILURES + 1):
        assert error_of(api.get("/tenants", key=token["token"])) == (401, "invalid_api_key")
    assert api.get("/tenants").status_code == 200
    mistyped = token["token"][:-1] + ("a" if token["token"][-1] != "a" else "b")
    for _ in range(MAX_FAILURES):
        api.get("/tenants", key=mistyped)
    assert error_of(api.get("/tenants")) == (429, "too_many_failed_logins")


def test_expired_token_is_rejected_and_its_name_is_free(api: Api, world: World) -> None:
    token = made(api, expires_at="2033-05-18T03:34:20Z")
    assert error_of(api.post(URL, {"name": "ci", "scopes": ["read"]})) == (409, "name_taken")
    world.clock.time += 61 * 24 * 3600 * 365
    assert error_of(api.get("/tenants", key=token["token"])) == (401, "api_key_expired")
    assert api.get(URL).get_json()["tokens"][0]["status"] == "expired"
    assert error_of(api.post(f"{URL}/{token['id']}/rotate", {})) == (409, "api_key_not_active")
    made(api)


def test_rotation_gives_the_same_rights_and_ends_the_old_token_after_the_overlap(
    api: Api, world: World
) -> None:
    old = made(api, "ci", "read")
    new = api.create(f"{URL}/{old['id']}/rotate", {"overlap": "1h"})
    assert (new["name"], new["scopes"]) == ("ci", ["read"])
    assert [api.get("/tenants", key=one["token"]).status_code for one in (old, new)] == [200, 200]
    world.clock.time += 3601
    assert [api.get("/tenants", key=one["token"]).status_code for one in (old, new)] == [401, 200]


def test_last_use_is_noted_once_per_minute(api: Api, world: World) -> None:
    token = made(api)
    api.get("/tenants", key=token["token"])
    first = api.get(f"{URL}/{token['id']}").get_json()["last_used_at"]
    world.clock.time += 59
    api.get("/tenants", key=token["token"])
    assert api.get(f"{URL}/{token['id']}").get_json()["last_used_at"] == first
    world.clock.time += 1
    api.get("/tenants", key=token["token"])
    assert api.get(f"{URL}/{token['id']}").get_json()["last_used_at"] > first


def test_audit_log_names_the_token_and_what_became_of_tokens(api: Api, tenant: Tenant) -> None:
    token = made(api)
    api.patch(tenant.url, {"name": "B"}, key=token["token"])
    api.delete(f"{URL}/{token['id']}")
    entries = api.get("/audit?limit=3").get_json()["entries"]
    assert [(one["operation"], one["actor"], one["tenant_id"]) for one in entries] == [
        ("deletePlatformToken", "platform", None),
        ("updateTenant", "token:ci", tenant.id),
        ("createPlatformToken", "platform", None),
    ]
    assert [one["summary"] for one in entries][::2] == ["token ci removed", "token ci added"]
    assert token["token"] not in str(entries)
    seen = api.get("/audit?tenant=platform").get_json()["entries"]
    assert [one["operation"] for one in seen] == ["deletePlatformToken", "createPlatformToken"]
    [own] = api.get("/audit?limit=1", key=tenant.key).get_json()["entries"]
    assert (own["actor"], own["address"]) == ("token:ci", None)  # the address of an operator


def test_repeated_call_creates_one_token(api: Api) -> None:
    headers = {"Idempotency-Key": "one"}
    body = {"name": "ci", "scopes": ["read"]}
    first, second = (api.post(URL, body, headers=headers) for _ in range(2))
    assert first.get_json() == second.get_json()
    assert len(api.get(URL).get_json()["tokens"]) == 1


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": "With space"}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["proxy"]}, "/scopes/0"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
    ],
)
def test_wrong_field_is_named(api: Api, fields: dict[str, object], pointer: str) -> None:
    assert pointers(api.post(URL, {"name": "ci", "scopes": ["read"], **fields})) == [pointer]


def test_number_of_tokens_is_bounded(api: Api, world: World) -> None:
    token = made(api)
    [stored] = world.store.tokens.all().tokens
    tokens = world.store.tokens
    world.store.tokens._stored = PlatformTokens((stored,) * 100, tokens.all().revision)  # type: ignore[attr-defined]
    assert error_of(api.post(URL, {"name": "more", "scopes": ["read"]})) == (422, "limit_reached")
    assert token["id"] == stored.id


def test_session_of_a_token_ends_with_it(api: Api) -> None:
    token, own = made(api), {"Sec-Fetch-Site": "same-origin"}
    assert api.client.post("/ui/session", json={"key": token["token"]}, headers=own).status_code == 204
    assert api.client.get("/api/v1/me").get_json()["actor"] == "token:ci"
    api.delete(f"{URL}/{token['id']}")
    assert api.client.get("/api/v1/me").status_code == 401


def test_token_of_the_settings_stays_valid_beside_others(api: Api) -> None:
    made(api)
    assert api.get("/tenants", key=TOKEN).status_code == 200


def test_keys_of_tenants_neither_see_nor_make_tokens(api: Api, tenant: Tenant) -> None:
    assert error_of(api.get(URL, key=tenant.key)) == (403, "forbidden")
    assert error_of(api.post(URL, {"name": "a", "scopes": ["admin"]}, key=tenant.key)) == (403, "forbidden")
    assert orjson.loads(api.get(URL).data)["tokens"] == []
