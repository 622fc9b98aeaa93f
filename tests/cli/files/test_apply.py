"""`gw diff` and `gw apply`: what files would change, and all of it at once."""

import stat
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shared.cli.context import Gw
from tests.admin_app.world import Api, Tenant, World
from tests.cli.conftest import Shell

FILE = """\
_format_version: "1"
platform:
  providers:
    openai-main:
      kind: openai
      keys: [{name: a, secret: "${PROVIDER_KEY:-sk-hidden-0123456789}"}]
      shared: all
tenants:
  acme:
    name: Acme
    rules:
      chat: {path: /v1, ai: {providers: [openai-main]}}
      other: {path: /other, target: "https://api.openai.com"}
    api_keys:
      ci: {scopes: [proxy]}
"""
CREATED = "Summary: Created: 5 Updated: 0 Deleted: 0"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(FILE)
    return Path("gateway.yaml")


def apply(shell: Shell, file: Path, *options: object) -> Any:
    return shell.run("apply", "-f", file, "--yes", *options, "-o", "json").json


def test_diff_shows_each_thing_and_ends_with_2_until_the_file_is_applied(
    shell: Shell, file: Path, api: Api
) -> None:
    before = shell.run("diff", "-f", file)
    assert (before.code, before.out.splitlines()[-1]) == (2, CREATED)
    assert "+ tenants.acme.rules.chat\n" in before.out
    assert api.get("/tenants").get_json()["tenants"] == []
    applied = shell.run("apply", "-f", file, "--yes", "-m", "Begin with files.")
    assert (applied.code, CREATED in applied.err) == (0, True)
    after = shell.run("diff", "-f", file)
    assert (after.code, after.out) == (0, "Summary: Created: 0 Updated: 0 Deleted: 0\n")
    assert shell.run("apply", "-f", file).out == "Nothing was changed.\n"


def test_change_of_a_thing_is_shown_member_by_member(shell: Shell, file: Path) -> None:
    apply(shell, file)
    file.write_text(FILE.replace("path: /other", "path: /changed"))
    assert shell.run("diff", "-f", file).out == (
        '~ tenants.acme.rules.other\n    ~ /path: "/other" -> "/changed"\n'
        "Summary: Created: 0 Updated: 1 Deleted: 0\n"
    )
    assert shell.run("diff", "-f", file, "-o", "name").out == "/tenants/acme/rules/other\n"


def test_secret_of_a_new_key_is_printed_once_and_no_other_secret(shell: Shell, file: Path, api: Api) -> None:
    ended = shell.run("apply", "-f", file, "--yes")
    [key] = [line.split() for line in ended.out.splitlines() if line.startswith("acme ")]
    assert key[:2] == ["acme", "ci"]
    assert api.get("/me", key=key[2]).status_code == 403  # its scope is proxy
    assert key[2] not in ended.err
    assert "hidden" not in ended.out + ended.err
    assert key[2] not in shell.run("apply", "-f", file, "--yes").out


def test_secrets_of_new_keys_go_to_a_file_that_only_the_user_can_read(shell: Shell, file: Path) -> None:
    ended = shell.run("apply", "-f", file, "--yes", "--keys-out", "keys.yaml")
    assert stat.S_IMODE(Path("keys.yaml").stat().st_mode) == 0o600
    secret = YAML(typ="safe", pure=True).load(Path("keys.yaml"))["acme"]["ci"]
    assert secret.startswith("gwk_")
    assert secret not in ended.out + ended.err
    assert "keys.yaml cannot be made: File exists." in shell.fails(
        1, "apply", "-f", file, "--keys-out", "keys.yaml"
    )


def test_file_for_secrets_is_made_before_the_change_and_goes_if_that_fails(
    shell: Shell, file: Path, api: Api
) -> None:
    shell.fails(1, "apply", "-f", file, "--yes", "--keys-out", "nowhere/keys.yaml")
    shell.fails(1, "apply", "-f", file, "--keys-out", "keys.yaml")  # nobody can be asked
    assert not Path("keys.yaml").exists()
    assert api.get("/tenants").get_json()["tenants"] == []


def test_json_has_the_secrets_unless_a_file_gets_them(shell: Shell, file: Path) -> None:
    assert apply(shell, file)["api_keys"][0]["key"].startswith("gwk_")
    file.write_text(FILE.replace("ci: {", "second: {"))
    assert "key" not in apply(shell, file, "--keys-out", "more.yaml")["api_keys"][0]


def test_without_a_terminal_and_yes_nothing_is_changed(shell: Shell, file: Path, api: Api) -> None:
    assert "Nobody can be asked" in shell.fails(1, "apply", "-f", file)
    assert api.get("/tenants").get_json()["tenants"] == []


def test_other_change_between_plan_and_apply_ends_with_3(
    shell: Shell, file: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(shell, file)
    file.write_text(FILE.replace("path: /other", "path: /changed"))
    [tenant] = api.get("/tenants").get_json()["tenants"]

    def change(*_: object, **__: object) -> None:
        assert api.patch(f"/tenants/{tenant['id']}", {"name": "Other"}).status_code == 200

    monkeypatch.setattr(Gw, "confirm", change)
    assert "acme" in shell.fails(3, "apply", "-f", file)
    assert '"/other"' in shell.run("diff", "-f", file).out


def test_prune_deletes_what_files_do_not_name(shell: Shell, file: Path) -> None:
    apply(shell, file)
    file.write_text("".join(line for line in FILE.splitlines(True) if "other:" not in line))
    assert shell.run("diff", "-f", file).code == 0
    pruned = shell.run("diff", "-f", file, "--prune")
    assert (pruned.code, "- tenants.acme.rules.other\n" in pruned.out) == (2, True)
    assert apply(shell, file, "--prune")["summary"] == {"create": 0, "update": 0, "delete": 1}


def test_thing_under_another_name_is_told_as_probably_renamed(shell: Shell, file: Path) -> None:
    apply(shell, file)
    file.write_text(FILE.replace("other: {", "another: {"))
    warned = shell.run("diff", "-f", file, "--prune").err
    assert "warning: gateway.yaml:13:7: tenants.acme.rules.another: Renamed? It is like other" in warned
    assert "moved: {rules: {other: another}} keeps them." in warned


def test_thing_that_is_moved_to_another_name_keeps_its_id(shell: Shell, file: Path, api: Api) -> None:
    apply(shell, file)
    ids = [one["id"] for one in shell.run("get", "rules", "-t", "acme", "-o", "json").json["rules"]]
    moved = "    moved: {rules: {other: another}}\n    rules:\n"
    file.write_text(FILE.replace("other: {", "another: {").replace("    rules:\n", moved))
    diff = shell.run("diff", "-f", file, "--prune")
    assert (diff.code, diff.err) == (2, "")
    assert '~ tenants.acme.rules.another\n    ~ /name: "other" -> "another"\n' in diff.out
    assert apply(shell, file, "--prune")["summary"] == {"create": 0, "update": 1, "delete": 0}
    assert [one["id"] for one in shell.run("get", "rules", "-t", "acme", "-o", "json").json["rules"]] == ids
    assert shell.run("diff", "-f", file, "--prune").code == 0


def test_keys_in_use_are_revoked_only_on_demand(shell: Shell, file: Path, api: Api, world: World) -> None:
    [key] = apply(shell, file)["api_keys"]
    [tenant] = api.get("/tenants").get_json()["tenants"]
    world.store.touch({(tenant["id"], key["id"]): world.clock.now()})
    file.write_text(FILE.replace("      ci: {scopes: [proxy]}", "      {}"))
    kept = shell.run("diff", "-f", file, "--prune")
    assert (kept.code, "warning: gateway.yaml:14:5: tenants.acme.api_keys: The API key ci, " in kept.err) == (
        0,
        True,
    )
    pruned = shell.run("diff", "-f", file, "--prune", "--prune-keys")
    assert (pruned.code, "is revoked" in pruned.err) == (2, True)


def test_tenants_are_deleted_only_on_demand(shell: Shell, file: Path, api: Api) -> None:
    apply(shell, file)
    api.tenant("globex")
    assert shell.run("diff", "-f", file, "--prune").code == 0
    assert "- tenants.globex\n" in shell.run("diff", "-f", file, "--prune", "--allow-delete-tenants").out


def test_problems_that_the_gateway_finds_have_their_places(shell: Shell, file: Path) -> None:
    file.write_text(
        FILE.replace("providers: [openai-main]", "providers: [nobody]").replace("tenants:", "tenants:\n", 1)
    )
    error = shell.fails(1, "apply", "-f", file, "--yes")
    assert "gateway.yaml:13:" in error
    assert "tenants.acme.rules.chat.ai.providers" in error


def test_tenants_key_applies_its_own_tenant(own_shell: Shell, file: Path, tenant: Tenant) -> None:
    file.write_text(
        '_format_version: "1"\ntenants: {acme: {name: Acme, rules: {a: {path: /a, target: "https://api.openai.com"}}}}\n'
    )
    assert apply(own_shell, file)["summary"]["create"] == 1
    file.write_text('_format_version: "1"\nplatform: {models: {}}\n')
    assert "gateway.yaml:2:1: platform" in own_shell.fails(1, "diff", "-f", file)


def test_dump_of_what_was_applied_is_no_change(shell: Shell, file: Path) -> None:
    apply(shell, file)
    Path("dumped.yaml").write_text(shell.run("dump").out)
    assert shell.run("diff", "-f", "dumped.yaml", "--prune").code == 0


def test_only_some_tenants_of_files_are_applied(shell: Shell, file: Path) -> None:
    more = Path("more.yaml")
    more.write_text("tenants: {globex: {name: Globex}}\n")
    found = shell.run("diff", "-f", file, "-f", more, "-t", "globex", "-o", "name")
    assert "/tenants/globex" in found.out
    assert "/tenants/acme" not in found.out
