"""Things that a file does not name stay, or `prune` removes them."""

from shared.core.fields import timestamp_text
from tests.admin_app.file.test_plans import RULE, acme, applied, ops, planned
from tests.admin_app.world import Api, Tenant, World


def test_what_the_file_does_not_name_stays_without_prune(api: Api, tenant: Tenant) -> None:
    api.rule(tenant, "/old", name="old")
    sent = acme(rules={"chat": RULE})
    assert ops(planned(api, sent)) == {"/tenants/acme/rules/chat": "create"}
    pruned = planned(api, sent, prune=True)
    assert ops(pruned) == {"/tenants/acme/rules/old": "delete", "/tenants/acme/rules/chat": "create"}
    assert applied(api, sent, prune=True)["summary"] == {"create": 1, "update": 0, "delete": 1}
    assert list(api.get("/document").get_json()["tenants"]["acme"]["rules"]) == ["chat"]


def test_a_thing_that_may_have_been_renamed_has_a_warning(api: Api) -> None:
    applied(api, acme(rules={"chat": RULE, "other": {**RULE, "path": "/other"}}))
    plan = planned(api, acme(rules={"talk": RULE, "fresh": {**RULE, "path": "/fresh"}}), prune=True)
    [warning] = plan["warnings"]
    assert warning["pointer"] == "/document/tenants/acme/rules/talk"
    assert warning["detail"].startswith("Renamed? It is like chat, which is deleted")


def test_keys_are_revoked_only_if_the_file_has_a_section_for_them(api: Api, tenant: Tenant) -> None:
    assert planned(api, acme(), prune=True)["changes"] == []
    pruned = planned(api, acme(api_keys={}), prune=True)
    assert ops(pruned) == {"/tenants/acme/api_keys/first key": "update"}
    applied(api, acme(api_keys={}), prune=True)
    assert api.get(tenant.url, key=tenant.key).status_code == 401


def test_keys_in_use_are_revoked_only_if_that_is_demanded(api: Api, tenant: Tenant, world: World) -> None:
    key = api.get(f"{tenant.url}/api-keys").get_json()["api_keys"][0]
    used = world.clock.now() - 24 * 3600 + 1
    world.store.touch({(tenant.id, key["id"]): used})
    sent = acme(api_keys={})
    kept = planned(api, sent, prune=True)
    assert (kept["changes"], kept["warnings"][0]["pointer"]) == ([], "/document/tenants/acme/api_keys")
    told = f"The API key first key, last used at {timestamp_text(used)}, is not in the file. It "
    assert kept["warnings"][0]["detail"] == f"{told}stays: it is in use. prune_keys revokes it."
    pruned = planned(api, sent, prune=True, prune_keys=True)
    assert ops(pruned) == {"/tenants/acme/api_keys/first key": "update"}
    assert pruned["warnings"][0]["detail"] == f"{told}is revoked."
    world.clock.time += 1
    unused = planned(api, sent, prune=True)
    assert (len(unused["changes"]), unused["warnings"]) == (1, [])


def test_tenants_are_deleted_only_if_that_is_allowed(api: Api, tenant: Tenant) -> None:
    api.tenant("globex")
    kept = planned(api, acme(), prune=True)
    assert kept["changes"] == []
    assert kept["warnings"][0]["detail"].startswith("Tenants that the file does not name stay: 1.")
    applied(api, acme(), prune=True, allow_delete_tenants=True)
    assert [one["subdomain"] for one in api.get("/tenants").get_json()["tenants"]] == ["acme"]


def test_deletion_of_a_tenant_whose_keys_are_in_use_has_a_warning(
    api: Api, tenant: Tenant, world: World
) -> None:
    globex = api.tenant("globex")
    [key] = api.get(f"{globex.url}/api-keys").get_json()["api_keys"]
    used = world.clock.now() - 60
    world.store.touch({(globex.id, key["id"]): used})
    [warning] = planned(api, acme(), prune=True, allow_delete_tenants=True)["warnings"]
    told = f"globex is deleted, and its API keys were last used at {timestamp_text(used)}."
    assert warning == {"pointer": "/document/tenants", "detail": told}
