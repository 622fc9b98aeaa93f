"""The lists and searches of `gw get`, in every format."""

import pytest
from ruamel.yaml import YAML

from tests.admin_app.world import Api, Tenant
from tests.cli.conftest import Shell


def test_tenants_are_a_table_for_readers(shell: Shell, tenant: Tenant) -> None:
    head, line = shell.run("get", "tenants").out.splitlines()
    assert head.split() == ["SUBDOMAIN", "NAME", "TIER", "STATUS", "ID"]
    assert line.split() == ["acme", "Acme", "basic", "active", tenant.id]


def test_same_list_is_json_yaml_and_names(shell: Shell, tenant: Tenant) -> None:
    found = shell.run("get", "tenants", "-o", "json").json
    assert [one["id"] for one in found["tenants"]] == [tenant.id]
    assert YAML(typ="safe", pure=True).load(shell.run("get", "tenants", "-o", "yaml").out) == found
    assert shell.run("get", "tenants", "-o", "name").out == "acme\n"


def test_platform_names_the_tenant_by_subdomain_or_id(shell: Shell, api: Api, tenant: Tenant) -> None:
    api.tenant("acme-too")
    rule = api.rule(tenant)
    for named in ("acme", tenant.id):
        found = shell.run("get", "rules", "-t", named, "-o", "json").json
        assert [one["id"] for one in found["rules"]] == [rule["id"]]
    shell.variables["GW_TENANT"] = "acme"
    assert shell.run("get", "rules", "-o", "json").json == found


def test_tenants_key_needs_no_name(own_shell: Shell, api: Api, tenant: Tenant) -> None:
    api.rule(tenant, "/chat")
    assert "/chat" in own_shell.run("get", "rules").out
    assert "/chat" in own_shell.run("get", "rules", "-t", "acme").out
    assert "There is no tenant other." in own_shell.fails(4, "get", "rules", "-t", "other")


def test_platform_without_a_tenant_is_asked_for_one(shell: Shell) -> None:
    assert "This command needs a tenant." in shell.fails(1, "get", "rules")


def test_one_thing_is_found_by_each_of_its_names(shell: Shell, api: Api, tenant: Tenant) -> None:
    made = api.rule(tenant, "/chat")
    rule = api.get(f"{tenant.url}/rules/{made['id']}").get_json()
    for name in ("/chat", rule["id"]):
        assert shell.run("get", "rules", name, "-t", "acme", "-o", "json").json == rule
    assert "target" in shell.run("get", "rules", "/chat", "-t", "acme").out


@pytest.mark.parametrize("kind", ["rules", "keys", "providers", "models"])
def test_thing_that_is_not_there_ends_with_4(shell: Shell, tenant: Tenant, kind: str) -> None:
    error = shell.fails(4, "get", kind, "nothing", "-t", "acme")
    assert error == (
        f"gw: There is no {kind.removesuffix('s')} nothing.\nhint: `gw get {kind}` lists them.\n"
    )


def test_name_of_several_things_asks_for_an_id(shell: Shell, api: Api, tenant: Tenant) -> None:
    for _ in range(2):
        api.create(f"{tenant.url}/api-keys", {"name": "ci"})
    error = shell.fails(1, "get", "keys", "ci", "-t", "acme")
    assert "2 keys are called ci." in error
    assert error.count("key_") == 2


def test_list_of_many_pages_is_whole(shell: Shell, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.cli.client._PAGE", 2)
    names = [f"t{number}" for number in range(5)]
    for name in names:
        api.tenant(name)
    assert shell.run("get", "tenants", "-o", "name").out.split() == names


def test_plugins_and_platform_objects_need_no_tenant(shell: Shell, api: Api) -> None:
    api.create("/providers", {"name": "openai", "kind": "openai"})
    assert "rate_limiter" in shell.run("get", "plugins").out
    assert shell.run("get", "providers", "-o", "name").out == "openai\n"
    assert shell.run("get", "models", "-o", "json").json == {"models": []}


def test_webhooks_of_a_tenant_and_of_the_platform_are_listed_without_their_secrets(
    shell: Shell, api: Api, tenant: Tenant
) -> None:
    secret = "canary-of-a-webhook"
    hook = {"url": "https://hooks.test/a", "events": ["key.rejected"], "secret": secret}
    api.create(f"{tenant.url}/webhooks", {**hook, "name": "on-call"})
    api.create("/webhooks", {**hook, "name": "ops"})
    own = shell.run("get", "webhooks", "-t", "acme").out
    assert "on-call" in own
    assert "https://hooks.test/a" in own
    shown = shell.run("get", "webhooks", "ops", "-o", "yaml").out + shell.run("dump").out
    for name in ("name: ops", "ops:", "on-call:"):
        assert name in shown
    assert secret not in own + shown
