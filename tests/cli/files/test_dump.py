"""`gw dump` prints the configuration as a file, without secrets."""

import pytest
from ruamel.yaml import YAML

from shared.documents.file.parse import parse_file
from tests.admin_app.world import Api, Tenant
from tests.cli.conftest import Shell


@pytest.fixture
def configured(api: Api, tenant: Tenant) -> Tenant:
    """A tenant and a platform with tagged things and secrets."""
    key = {"name": "a", "secret": "sk-hidden-0123456789"}
    api.create("/providers", {"name": "openai", "kind": "openai", "keys": [key], "tags": ["eu"]})
    api.rule(tenant, "/chat", headers={"X-Key": "hidden"}, tags=["eu"])
    api.rule(tenant, "/other")
    return tenant


def test_dump_is_a_file_with_a_schema_and_what_is_to_be_filled_in(
    shell: Shell, configured: Tenant, url: str
) -> None:
    printed = shell.run("dump").out
    assert printed.startswith(f"# yaml-language-server: $schema={url}/schemas/gateway-1.json\n")
    assert "# To fill in on a new installation: platform.providers.openai.keys.0.secret\n" in printed
    assert "hidden" not in printed
    document = YAML(typ="safe", pure=True).load(printed)
    parse_file(document)
    assert {one["path"] for one in document["tenants"]["acme"]["rules"].values()} == {"/chat", "/other"}
    assert shell.run("dump", "-o", "json").json == document
    assert shell.run("dump", "-o", "name").out == "acme\n"


def test_dump_of_one_tenant_has_no_platform(
    shell: Shell, own_shell: Shell, configured: Tenant, api: Api
) -> None:
    api.tenant("other")
    for found in (shell.run("dump", "-t", "acme", "-o", "json"), own_shell.run("dump", "-o", "json")):
        assert [*found.json["tenants"]] == ["acme"]
        assert "platform" not in found.json
    shell.fails(4, "dump", "-t", "nobody")


def test_dump_by_tag_has_only_what_has_it(shell: Shell, configured: Tenant, api: Api) -> None:
    api.tenant("other")
    found = shell.run("dump", "--select-tag", "eu", "-o", "json").json
    assert [*found["platform"]["providers"]] == ["openai"]
    assert [one["path"] for one in found["tenants"]["acme"]["rules"].values()] == ["/chat"]
    assert [*found["tenants"]] == ["acme"]
    api.patch(configured.url, {"tags": ["whole"]})
    found = shell.run("dump", "--select-tag", "whole", "-o", "json").json
    assert len(found["tenants"]["acme"]["rules"]) == 2
