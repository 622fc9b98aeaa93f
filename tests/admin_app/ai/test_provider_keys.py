"""Keys of providers over HTTP, one at a time."""

from dataclasses import replace
from typing import Any

import pytest

from shared.config_store.history.edit import Edit
from shared.documents.ai.provider_key import MAX_KEYS
from shared.model.providers import Provider
from shared.secrets.context import PLATFORM, provider_key_context
from tests.admin_app.world import Api, Tenant, World, error_of, pointers

OLD, NEW = "sk-old-0123456789abcdef", "sk-new-0123456789abcdef"
ORIGIN = "https://api.openai.com:443"


@pytest.fixture
def one(api: Api) -> str:
    """A provider of the platform with one key."""
    sent = {"name": "openai-main", "kind": "openai", "keys": [{"name": "a", "secret": OLD, "weight": 3}]}
    return f"/providers/{api.create('/providers', sent)['id']}"


def keys(api: Api, one: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(one).get_json()["keys"]
    return found


def opened(world: World) -> dict[str, str]:
    """The secrets that a proxy would open, by the ids of the keys."""
    [provider] = world.store.read_platform().providers
    return {
        key.id: world.sealer.open(key.secret.text, context_of(provider, key.id))
        for key in provider.keys
        if key.secret
    }


def context_of(provider: Provider, key_id: str) -> str:
    return provider_key_context(PLATFORM, provider.id, key_id, ORIGIN)


def test_added_key_is_shown_without_its_secret(api: Api, world: World, one: str) -> None:
    response = api.post(f"{one}/keys", {"name": "b", "secret": NEW, "models": ["gpt-*", "gpt-*"]})
    assert response.status_code == 201, response.text
    made = response.get_json()
    assert made["secret"] == {"set": True, "hint": "sk-…cdef"}
    assert made["models"] == ["gpt-*"]
    assert [key["name"] for key in keys(api, one)] == ["a", "b"]
    assert opened(world)[made["id"]] == NEW
    assert api.get(one).get_json()["version"] == 2


def test_secret_that_is_not_there_cannot_be_kept(api: Api, one: str) -> None:
    assert pointers(api.post(f"{one}/keys", {"secret": {"set": True}})) == ["/secret"]
    assert pointers(api.post(f"{one}/keys", {"secret": {"env": "PATH"}})) == ["/secret"]


def test_deleted_key_is_gone(api: Api, one: str) -> None:
    [key] = keys(api, one)
    assert api.delete(f"{one}/keys/{key['id']}").status_code == 204
    assert keys(api, one) == []
    assert error_of(api.delete(f"{one}/keys/{key['id']}")) == (404, "not_found")


def test_rotated_key_is_used_for_an_hour_beside_the_new_one(api: Api, world: World, one: str) -> None:
    [old] = keys(api, one)
    response = api.post(f"{one}/keys/{old['id']}/rotate", {"secret": NEW})
    assert response.status_code == 201, response.text
    new = response.get_json()
    assert (new["name"], new["weight"], new["expires_at"]) == ("a", 3, None)
    first, second = keys(api, one)
    assert first == old | {"expires_at": "2027-01-15T09:00:00.000Z"}
    assert second["id"] == new["id"]
    assert opened(world) == {old["id"]: OLD, new["id"]: NEW}


def test_ended_key_leaves_with_the_next_change_of_keys(api: Api, world: World, one: str) -> None:
    [old] = keys(api, one)
    new = api.post(f"{one}/keys/{old['id']}/rotate", {"secret": NEW, "overlap": "1m"}).get_json()
    world.clock.time += 61
    third = api.create(f"{one}/keys", {"secret": NEW})
    assert [key["id"] for key in keys(api, one)] == [new["id"], third["id"]]


def test_rotated_key_is_not_rotated_again(api: Api, one: str) -> None:
    [old] = keys(api, one)
    api.create(f"{one}/keys/{old['id']}/rotate", {"secret": NEW})
    assert api.post(f"{one}/keys/{old['id']}/rotate", {"secret": NEW}).status_code == 409


def test_the_same_call_again_adds_one_key(api: Api, one: str) -> None:
    once = {"Idempotency-Key": "once"}
    first = api.post(f"{one}/keys", {"secret": NEW}, headers=once)
    assert api.post(f"{one}/keys", {"secret": NEW}, headers=once).get_json() == first.get_json()
    assert len(keys(api, one)) == 2


def test_keys_of_one_provider_are_bounded(api: Api, one: str) -> None:
    many = [{"name": str(i), "secret": NEW} for i in range(MAX_KEYS)]
    assert api.patch(one, {"keys": many}).status_code == 200
    assert error_of(api.post(f"{one}/keys", {"secret": NEW})) == (422, "limit_reached")


def test_a_tenant_adds_keys_to_its_own_providers_only(api: Api, tenant: Tenant, one: str) -> None:
    own = api.create(f"{tenant.url}/providers", {"name": "p", "kind": "openai"})
    url = f"{tenant.url}/providers/{own['id']}/keys"
    assert api.post(url, {"secret": NEW}, key=tenant.key).status_code == 201
    assert api.post(f"{one}/keys", {"secret": NEW}, key=tenant.key).status_code == 403
    assert api.post(url, {"secret": NEW}, key=api.tenant("other").key).status_code == 404


def test_ciphertext_that_was_moved_to_another_key_does_not_open(api: Api, world: World, one: str) -> None:
    api.create(f"{one}/keys", {"secret": NEW})
    before = world.store.read_platform()
    [provider] = before.providers
    first, second = provider.keys
    moved = replace(provider, keys=(replace(first, secret=second.secret), second))
    world.store.write_platform(before, replace(before, providers=(moved,)), edit=Edit(actor="platform"))
    with pytest.raises(ValueError, match="cannot be opened"):
        opened(world)
