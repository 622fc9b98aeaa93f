"""API keys over HTTP: create, list, revoke, rotate, expire."""

import pytest

from admin_app.views.api_keys import MAX_INACTIVE_KEYS
from shared.documents import examples
from tests.admin_app.world import Api, Tenant, World, error_of, pointers


@pytest.fixture
def keys(tenant: Tenant) -> str:
    return f"{tenant.url}/api-keys"


class TestCreate:
    def test_the_key_is_shown_this_once(self, api: Api, keys: str) -> None:
        response = api.post(keys, examples.API_KEY)
        made = response.get_json()
        assert response.status_code == 201
        secret = made.pop("key")
        assert made.pop("api_key") == secret
        assert secret.startswith(made["prefix"])
        shown = api.get(response.headers["Location"])
        assert shown.get_json() == made
        assert secret not in shown.text
        assert "hash" not in shown.text
        assert made["scopes"] == ["proxy"]
        assert (made["status"], made["expires_at"], made["last_used_at"]) == ("active", None, None)

    def test_key_expires_in_the_future(self, api: Api, keys: str) -> None:
        assert pointers(api.post(keys, {"expires_at": "2027-01-15T08:00:00Z"})) == ["/expires_at"]
        made = api.post(keys, {"expires_at": "2027-01-15T09:00:01+01:00"}).get_json()
        assert made["expires_at"] == "2027-01-15T08:00:01.000Z"

    def test_the_tier_caps_those_that_live(self, api: Api, keys: str, world: World) -> None:
        most = world.settings.tiers["basic"].max_keys or 0
        made = [api.post(keys, {}).get_json()["id"] for _ in range(most - 1)]
        assert api.post(keys, {}).get_json()["code"] == "limit_reached"
        api.delete(f"{keys}/{made[0]}")
        assert api.post(keys, {}).status_code == 201

    def test_inactive_keys_are_kept_up_to_a_maximum(self, api: Api, keys: str) -> None:
        for _ in range(MAX_INACTIVE_KEYS + 3):
            api.delete(f"{keys}/{api.post(keys, {}).get_json()['id']}")
        assert api.get(f"{keys}?limit=500").get_json()["count"] == MAX_INACTIVE_KEYS + 2


class TestRevoke:
    def test_revoked_key_is_rejected_and_stays_visible(self, api: Api, tenant: Tenant, keys: str) -> None:
        made = api.post(keys, {"scopes": ["read"]}).get_json()
        assert api.get(tenant.url, key=made["key"]).status_code == 200
        assert api.delete(f"{keys}/{made['id']}").status_code == 204
        rejected = api.get(tenant.url, key=made["key"])
        assert error_of(rejected) == (401, "api_key_revoked")
        assert api.get(f"{keys}/{made['id']}").get_json()["status"] == "revoked"
        assert api.delete(f"{keys}/{made['id']}").status_code == 204

    def test_revoke_with_an_old_entity_tag_is_rejected(self, api: Api, keys: str) -> None:
        made = api.post(keys, {})
        url = f"{keys}/{made.get_json()['id']}"
        assert api.delete(url, headers={"If-Match": '"other"'}).status_code == 412
        assert api.delete(url, headers={"If-Match": made.headers["ETag"]}).status_code == 204


def test_an_expired_key_is_rejected(api: Api, tenant: Tenant, keys: str, world: World) -> None:
    made = api.post(keys, {"scopes": ["admin"], "expires_at": "2027-01-15T08:01:00Z"}).get_json()
    assert api.get(tenant.url, key=made["key"]).status_code == 200
    world.clock.time += 60
    rejected = api.get(tenant.url, key=made["key"])
    assert error_of(rejected) == (401, "api_key_expired")
    assert made["key"] not in rejected.text


class TestRotate:
    def test_old_key_works_for_the_overlap(self, api: Api, tenant: Tenant, keys: str, world: World) -> None:
        old = api.post(keys, {"name": "ci", "scopes": ["read", "proxy"]}).get_json()
        response = api.post(f"{keys}/{old['id']}/rotate", {"overlap": "1h"})
        new = response.get_json()
        assert response.status_code == 201
        assert (new["name"], new["scopes"]) == (old["name"], old["scopes"])
        assert (old["first"], new["first"]) == (None, old["id"])
        assert new["key"] != old["key"]
        for key in (old["key"], new["key"]):
            assert api.get(tenant.url, key=key).status_code == 200
        world.clock.time += 3600
        assert api.get(tenant.url, key=old["key"]).status_code == 401
        assert api.get(tenant.url, key=new["key"]).status_code == 200

    def test_rotated_key_expires_after_a_day_by_default(self, api: Api, keys: str) -> None:
        old = api.post(keys, {}).get_json()
        api.post(f"{keys}/{old['id']}/rotate", {})
        assert api.get(f"{keys}/{old['id']}").get_json()["expires_at"] == "2027-01-16T08:00:00.000Z"

    def test_rotation_prolongs_no_key_and_copies_its_life(self, api: Api, keys: str, world: World) -> None:
        old = api.post(keys, {"expires_at": "2027-01-15T10:00:00Z"}).get_json()
        world.clock.time += 3600
        new = api.post(f"{keys}/{old['id']}/rotate", {}).get_json()
        assert new["expires_at"] == "2027-01-15T11:00:00.000Z"
        assert api.get(f"{keys}/{old['id']}").get_json()["expires_at"] == "2027-01-15T10:00:00.000Z"

    def test_inactive_key_is_not_rotated(self, api: Api, keys: str) -> None:
        old = api.post(keys, {}).get_json()
        api.delete(f"{keys}/{old['id']}")
        response = api.post(f"{keys}/{old['id']}/rotate", {})
        assert error_of(response) == (409, "api_key_not_active")

    def test_rotation_counts_towards_the_maximum_of_keys(self, api: Api, keys: str, world: World) -> None:
        most = world.settings.tiers["basic"].max_keys or 0
        first = api.get(keys).get_json()["api_keys"][0]["id"]
        responses = [api.post(f"{keys}/{first}/rotate", {}).status_code for _ in range(2 * most)]
        assert responses.count(201) == 2 * most - 1


def test_lists_come_in_pages(api: Api, keys: str) -> None:
    made = {api.post(keys, {}).get_json()["id"] for _ in range(2)}
    first = api.get(f"{keys}?limit=2").get_json()
    second = api.get(f"{keys}?limit=2&cursor={first['next_cursor']}").get_json()
    shown = {key["id"] for key in first["api_keys"] + second["api_keys"]}
    assert made < shown
    assert (first["count"], second["count"], second["next_cursor"]) == (2, 1, None)


def test_an_unknown_key_is_404(api: Api, keys: str) -> None:
    assert api.get(f"{keys}/key_0").status_code == 404
    assert api.delete(f"{keys}/key_0").status_code == 404
    assert api.post(f"{keys}/key_0/rotate", {}).status_code == 404


def test_models_user_and_metadata_of_a_key_are_kept_when_it_is_rotated(api: Api, tenant: Tenant) -> None:
    sent = {
        "models": ["gpt-*", "gpt-*"],
        "deny_models": ["*-pro"],
        "providers": ["openai-main"],
        "user": "ann",
        "metadata": {"project": "search"},
    }
    made = api.create(f"{tenant.url}/api-keys", sent)
    shown = {name: made[name] for name in sent}
    assert shown == sent | {"models": ["gpt-*"]}
    rotated = api.create(f"{tenant.url}/api-keys/{made['id']}/rotate", {})
    assert {name: rotated[name] for name in sent} == shown
    snapshot = api.get(f"{tenant.url}/api-keys/{rotated['id']}").get_json()
    assert {name: snapshot[name] for name in sent} == shown


def test_keys_that_replaced_each_other_have_one_line(api: Api, tenant: Tenant, world: World) -> None:
    first = api.create(f"{tenant.url}/api-keys", {})["id"]
    second = api.create(f"{tenant.url}/api-keys/{first}/rotate", {})["id"]
    third = api.create(f"{tenant.url}/api-keys/{second}/rotate", {})["id"]
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    assert {key.id: key.line for key in snapshot.keys[-3:]} == dict.fromkeys([first, second, third], first)
