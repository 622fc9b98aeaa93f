"""Secrets in a rollback: the present one stays; one of a rule or plugin comes back; one of a provider never."""

from typing import Any

import pytest

from shared.secrets.context import header_context, provider_key_context, setting_context
from tests.admin_app.history.test_rollback import done, version
from tests.admin_app.world import Api, Tenant, World

TARGET = "https://api.openai.com"
OLD, NEW = {"Authorization": "Bearer canary-old"}, {"Authorization": "Bearer canary-new"}
KEEP = {"Authorization": {"set": True}}
PROVIDER = {"name": "main", "kind": "openai", "keys": [{"name": "a", "secret": "sk-canary-old"}]}


def stored_rule(world: World, tenant: Tenant, rule_id: str) -> Any:
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    return next(rule for rule in snapshot.rules if rule.id == rule_id)


def header_of(world: World, tenant: Tenant, rule_id: str, url: str = TARGET) -> str:
    sealed = stored_rule(world, tenant, rule_id).headers["Authorization"]
    return world.sealer.open(sealed.text, header_context(tenant.id, "Authorization", url))


def places(made: dict[str, Any]) -> list[str]:
    return [one["pointer"] for one in made["warnings"]]


def test_header_of_a_rule_that_is_still_stored_stays_as_it_is(api: Api, tenant: Tenant, world: World) -> None:
    rule = api.rule(tenant, headers=OLD)
    api.patch(f"{tenant.url}/rules/{rule['id']}", {"headers": NEW, "active": False})
    made = done(api, tenant.url, version(api, tenant) - 1)
    assert made["warnings"] == []
    assert header_of(world, tenant, rule["id"]) == NEW["Authorization"]


@pytest.mark.parametrize("change", ["removed", "deleted", "moved"])
def test_header_of_a_rule_that_only_the_old_version_has_comes_back_with_a_warning(
    api: Api, tenant: Tenant, world: World, change: str
) -> None:
    rule = api.rule(tenant, headers=OLD)
    old, url = version(api, tenant), f"{tenant.url}/rules/{rule['id']}"
    if change == "deleted":
        api.delete(url)
    else:
        moved = {"target": "https://checks.example", "headers": NEW}
        assert api.patch(url, {"headers": {}} if change == "removed" else moved).status_code == 200
    made = done(api, tenant.url, old)
    assert places(made) == [f"/rules/{rule['id']}/headers/Authorization"]
    assert header_of(world, tenant, rule["id"]) == OLD["Authorization"]


def test_headers_of_the_targets_of_a_pool_belong_to_their_origins(
    api: Api, tenant: Tenant, world: World
) -> None:
    first, second = "https://api.openai.com", "https://checks.example"
    targets = [{"url": url, "headers": OLD} for url in (first, second)]
    rule = api.rule(tenant, target=None, targets=targets)
    old, url = version(api, tenant), f"{tenant.url}/rules/{rule['id']}"
    api.patch(url, {"targets": [{"url": first, "headers": NEW}], "active": False})
    made = done(api, tenant.url, old)
    assert places(made) == [f"/rules/{rule['id']}/targets/1/headers/Authorization"]
    stored = stored_rule(world, tenant, rule["id"]).targets
    opened = [
        world.sealer.open(
            one.headers["Authorization"].text, header_context(tenant.id, "Authorization", one.url)
        )
        for one in stored
    ]
    assert opened == [NEW["Authorization"], OLD["Authorization"]]


def entry(headers: Any, endpoint: str = TARGET) -> dict[str, Any]:
    settings = {"endpoint": endpoint, "headers": headers}
    return {"name": "external_validator", "settings": settings}


@pytest.mark.parametrize("place", ["rule", "tenant", "required"])
@pytest.mark.parametrize("change", ["rotated", "removed", "moved"])
def test_header_of_a_plugin_stays_for_its_origin_or_comes_back(
    api: Api, tenant: Tenant, world: World, place: str, change: str
) -> None:
    def body(one: dict[str, Any] | None) -> dict[str, Any]:
        chain = [one] if one else []
        return {"required_plugins": chain} if place == "required" else {"plugin_chain": chain}

    rule = api.rule(tenant)
    url = f"{tenant.url}/rules/{rule['id']}" if place == "rule" else tenant.url
    assert api.patch(url, body(entry(OLD))).status_code == 200
    old = version(api, tenant)
    changed = {"rotated": {**entry(NEW), "priority": 7}, "moved": entry(NEW, "https://checks.example")}
    assert api.patch(url, body(changed.get(change))).status_code == 200
    made = done(api, tenant.url, old)
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    found = {
        "rule": (f"/rules/{rule['id']}/plugin_chain/0", stored_rule(world, tenant, rule["id"]).plugin_chain),
        "tenant": ("/plugin_chain/0", snapshot.tenant.plugin_chain),
        "required": (
            "/required_plugins/external_validator",
            tuple(snapshot.tenant.required_plugins.values()),
        ),
    }
    pointer, [stored] = found[place]
    context = setting_context(tenant.id, stored.name, "headers", "Authorization", stored.settings)
    opened = world.sealer.open(stored.settings["headers"]["Authorization"].text, context)
    if change == "rotated":
        assert (opened, made["warnings"]) == (NEW["Authorization"], [])
    else:
        assert opened == OLD["Authorization"]
        assert places(made) == [f"{pointer}/settings/headers/Authorization"]


def owner_of(tenant: Tenant, owner: str) -> tuple[str, str]:
    """The address of the versions, and that of what they are of."""
    return ("/platform", "") if owner == "platform" else (tenant.url, tenant.url)


@pytest.mark.parametrize("owner", ["tenant", "platform"])
def test_key_of_a_provider_that_is_still_stored_stays_as_it_is(
    api: Api, tenant: Tenant, world: World, owner: str
) -> None:
    history, url = owner_of(tenant, owner)
    made = api.create(f"{url}/providers", PROVIDER)
    [key] = made["keys"]
    change = {"enabled": False, "keys": [{"id": key["id"], "name": "b", "secret": "sk-canary-new"}]}
    api.patch(f"{url}/providers/{made['id']}", change)
    newest = api.get(f"{history}/versions").get_json()["versions"][0]["version"]
    assert done(api, history, newest - 1)["warnings"] == []
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    owned = world.store.read_platform() if owner == "platform" else snapshot.tenant
    [provider] = owned.providers
    [stored] = provider.keys
    assert (stored.id, stored.name, provider.enabled) == (key["id"], "a", True)
    assert stored.secret is not None
    name = "platform" if owner == "platform" else tenant.id
    context = provider_key_context(name, provider.id, stored.id, "https://api.openai.com:443")
    assert world.sealer.open(stored.secret.text, context) == "sk-canary-new"


@pytest.mark.parametrize("owner", ["tenant", "platform"])
@pytest.mark.parametrize("change", ["replaced", "deleted", "moved"])
def test_secret_of_a_provider_never_comes_back(api: Api, tenant: Tenant, owner: str, change: str) -> None:
    history, url = owner_of(tenant, owner)
    body = {**PROVIDER, "headers": {"X-Team": "canary"}, "query": {"team": "canary"}}
    made = api.create(f"{url}/providers", body)
    old = api.get(f"{history}/versions").get_json()["versions"][0]["version"]
    one, key = f"{url}/providers/{made['id']}", {"name": "a", "secret": "sk-canary-new"}
    moved = {"base_url": "https://checks.example/v1", "headers": {}, "query": {}, "keys": [key]}
    replaced = {"headers": {}, "query": {}, "keys": [key]}
    if change == "deleted":
        assert api.delete(one).status_code == 204
    else:
        assert api.patch(one, moved if change == "moved" else replaced).status_code == 200
    at = f"/providers/{made['id']}"
    found = done(api, history, old)
    assert places(found) == [f"{at}/keys", f"{at}/headers/X-Team", f"{at}/query/team", f"{at}/keys"]
    assert "the key a is left out" in found["warnings"][0]["detail"]
    after = api.get(one).get_json()
    assert (after["keys"], after["headers"], after["query"]) == ([], {}, {})
    assert (after["base_url"], after["created_at"]) == (made["base_url"], made["created_at"])


def test_key_that_was_rotated_stays_until_its_end(api: Api, tenant: Tenant, world: World) -> None:
    made = api.create(f"{tenant.url}/providers", PROVIDER)
    old, [key] = version(api, tenant), made["keys"]
    url = f"{tenant.url}/providers/{made['id']}"
    api.create(f"{url}/keys/{key['id']}/rotate", {"secret": "sk-canary-new", "overlap": "1h"})
    done(api, tenant.url, old)
    [stays] = api.get(url).get_json()["keys"]
    assert stays["id"] == key["id"]
    assert stays["expires_at"] is not None
    api.create(f"{url}/keys", {"name": "b", "secret": "sk-canary-new"})
    world.clock.time += 7200
    assert places(done(api, tenant.url, old))[0] == f"/providers/{made['id']}/keys"
    assert api.get(url).get_json()["keys"] == []


def test_reference_to_a_secret_outside_comes_back(tmp_path: Any, api: Api, world: World) -> None:
    object.__setattr__(world.settings.secrets, "env", ("CANARY_KEY",))
    body = {**PROVIDER, "keys": [{"name": "a", "secret": {"env": "CANARY_KEY"}}]}
    made = api.create("/providers", body)
    api.delete(f"/providers/{made['id']}")
    rollback = api.post("/platform/versions/1/rollback", {}).get_json()
    assert [one["detail"] for one in rollback["warnings"]] == [
        "It is missing or empty on this machine, so it is not used."
    ]
    after = api.get(f"/providers/{made['id']}").get_json()
    assert [(key["id"], key["secret"]) for key in after["keys"]] == [
        (made["keys"][0]["id"], {"env": "CANARY_KEY"})
    ]


def test_entries_of_one_plugin_keep_their_own_secrets(api: Api, tenant: Tenant, world: World) -> None:
    def chain(*values: str) -> dict[str, Any]:
        return {"plugin_chain": [entry({"Authorization": value}) for value in values]}

    api.patch(tenant.url, chain("canary-a", "canary-b"))
    old = version(api, tenant)
    [first, _] = api.get(tenant.url).get_json()["plugin_chain"]
    assert api.patch(tenant.url, {"plugin_chain": [first]}).status_code == 200
    made = done(api, tenant.url, old)
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    opened = [
        world.sealer.open(
            one.settings["headers"]["Authorization"].text,
            setting_context(tenant.id, one.name, "headers", "Authorization", one.settings),
        )
        for one in snapshot.tenant.plugin_chain
    ]
    assert opened == ["canary-a", "canary-b"]
    assert places(made) == ["/plugin_chain/1/settings/headers/Authorization"]


def test_secret_of_a_provider_is_not_kept_for_another_origin(api: Api, tenant: Tenant) -> None:
    made = api.create(f"{tenant.url}/providers", {**PROVIDER, "headers": {"X-Team": "canary"}})
    old, url = version(api, tenant), f"{tenant.url}/providers/{made['id']}"
    key = {"id": made["keys"][0]["id"], "name": "a", "secret": "sk-canary-new"}
    moved = {"base_url": "https://checks.example/v1", "headers": {"X-Team": "canary-new"}, "keys": [key]}
    assert api.patch(url, moved).status_code == 200
    at = f"/providers/{made['id']}"
    assert places(done(api, tenant.url, old)) == [f"{at}/keys", f"{at}/headers/X-Team", f"{at}/keys"]
    assert api.get(url).get_json()["keys"] == []
