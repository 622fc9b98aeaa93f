"""Tokens of the platform are made, replaced and revoked; a secret is printed once, alone on standard output."""

import pytest

from tests.admin_app.world import NOW, Api, Tenant, World
from tests.cli.conftest import Shell


def test_new_token_is_alone_on_standard_output(shell: Shell, api: Api) -> None:
    ended = shell.run("tokens", "create", "ci", "--scope", "write", "-m", "For the build.")
    secret = ended.out.removesuffix("\n")
    assert secret.startswith("gwk_")
    assert secret not in ended.err
    assert "Created the token ci (gwk_" in ended.err
    [token] = api.get("/platform/tokens").get_json()["tokens"]
    assert (token["name"], token["scopes"], token["expires_at"]) == ("ci", ["write"], None)
    assert api.get("/tenants", key=secret).status_code == 200
    entry = api.get("/audit").get_json()["entries"][0]
    assert (entry["message"], entry["source"]) == ("For the build.", "gw")


def test_new_token_with_json_is_the_whole_document(shell: Shell) -> None:
    made = shell.run("tokens", "create", "ci", "--expires-in", "365000d", "-o", "json").json
    assert made["token"].startswith("gwk_")
    assert (made["scopes"], made["expires_at"] > "2090") == (["read"], True)


@pytest.mark.parametrize("format", ["table", "json", "yaml", "name"])
def test_list_of_tokens_has_no_secrets(shell: Shell, format: str) -> None:
    secret = shell.run("tokens", "create", "ci").out.strip()
    for command in ("tokens list", "get tokens"):
        listed = shell.run(*command.split(), "-o", format).out
        assert "ci" in listed
        assert secret not in listed


def test_rotated_token_is_the_active_one_of_its_name(shell: Shell, api: Api, world: World) -> None:
    old = shell.run("tokens", "create", "ci").out.strip()
    new = shell.run("tokens", "rotate", "ci", "--overlap", "1h").out.strip()
    assert {api.get("/me", key=key).status_code for key in (old, new)} == {200}
    world.clock.time = NOW + 3601
    assert [api.get("/me", key=key).status_code for key in (old, new)] == [401, 200]
    assert shell.run("tokens", "rotate", "ci").out.strip() not in (old, new)


def test_revoked_token_is_told_and_no_longer_valid(shell: Shell, api: Api) -> None:
    secret = shell.run("tokens", "create", "ci").out.strip()
    assert "Nobody can be asked" in shell.fails(1, "tokens", "revoke", "ci")
    ended = shell.run("tokens", "revoke", "ci", "--yes")
    assert ended.out.startswith("The token ci (gwk_")
    assert secret not in ended.out + ended.err
    assert api.get("/me", key=secret).status_code == 401
    shell.fails(4, "tokens", "revoke", "ci", "--yes")


def test_key_of_a_tenant_makes_no_tokens(shell: Shell, tenant: Tenant) -> None:
    shell.variables["GW_TOKEN"] = tenant.key
    assert "This operation requires the platform key" in shell.fails(1, "tokens", "create", "ci")
