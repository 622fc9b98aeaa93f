"""API keys are made, replaced and revoked; a secret is printed once, alone on standard output."""

import pytest

from tests.admin_app.world import NOW, Api, Tenant, World
from tests.cli.conftest import Shell


@pytest.fixture
def at(shell: Shell, tenant: Tenant) -> Shell:
    """A shell in which the tenant is named."""
    shell.variables["GW_TENANT"] = "acme"
    return shell


def test_new_key_is_alone_on_standard_output(at: Shell, api: Api, tenant: Tenant) -> None:
    ended = at.run("keys", "create", "ci", "--scope", "read", "--scope", "proxy", "--model", "gpt-*")
    secret = ended.out.removesuffix("\n")
    assert secret.startswith("gwk_")
    assert secret not in ended.err
    assert "its secret is shown only now." in ended.err.lower()
    keys = api.get(f"{tenant.url}/api-keys").get_json()["api_keys"]
    [key] = [one for one in keys if one["name"] == "ci"]
    assert (key["name"], key["scopes"], key["models"]) == ("ci", ["read", "proxy"], ["gpt-*"])
    assert api.get("/me", key=secret).status_code == 200


def test_new_key_with_json_is_the_whole_document(at: Shell) -> None:
    made = at.run("keys", "create", "ci", "--expires-in", "365000d", "-o", "json").json
    assert made["key"].startswith("gwk_")
    assert made["expires_at"] > "2090"


def test_list_has_no_secrets(at: Shell) -> None:
    secret = at.run("keys", "create", "ci").out.strip()
    for format in ("table", "json", "yaml", "name"):
        listed = at.run("keys", "list", "-o", format).out
        assert "ci" in listed
        assert secret not in listed


def test_rotated_key_is_the_active_one_of_its_name(at: Shell, api: Api, tenant: Tenant, world: World) -> None:
    old = at.run("keys", "create", "ci").out.strip()
    new = at.run("keys", "rotate", "ci", "--overlap", "1h").out.strip()
    assert (api.get("/me", key=old).status_code, api.get("/me", key=new).status_code) == (403, 403)
    world.clock.time = NOW + 3601
    assert api.get("/me", key=old).status_code == 401
    third = at.run("keys", "rotate", "ci").out.strip()
    assert third not in (old, new)


def test_revoked_key_is_told_and_no_longer_valid(at: Shell, api: Api) -> None:
    secret = at.run("keys", "create", "ci").out.strip()
    assert "Nobody can be asked" in at.fails(1, "keys", "revoke", "ci")
    ended = at.run("keys", "revoke", "ci", "--yes")
    assert ended.out.startswith("The key ci (gwk_")
    assert secret not in ended.out + ended.err
    assert api.get("/me", key=secret).status_code == 401


def test_last_admin_key_is_revoked_with_a_warning(at: Shell) -> None:
    ended = at.run("keys", "revoke", "first key", "--yes")
    assert "warning: No active key with scope admin is left." in ended.err


def test_reason_is_kept_and_the_change_is_known_as_made_by_gw(at: Shell, api: Api) -> None:
    at.run("keys", "create", "ci", "-m", "For the naïve build.")
    entry = api.get("/audit").get_json()["entries"][0]
    assert (entry["message"], entry["source"]) == ("For the naïve build.", "gw")


def test_wrong_lifetime_names_the_option(at: Shell) -> None:
    assert "Must be a duration" in at.fails(1, "keys", "create", "ci", "--expires-in", "soon")


def test_each_wrong_field_has_a_line(at: Shell) -> None:
    error = at.fails(1, "keys", "create", "x" * 300, "--model", "")
    assert "/name: " in error
    assert "/models/0: " in error
