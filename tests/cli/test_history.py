"""Changes are listed and compared, and an old version comes back."""

import pytest

from tests.admin_app.world import Api, Tenant
from tests.cli.conftest import Shell


@pytest.fixture
def renamed(api: Api, tenant: Tenant) -> Tenant:
    """A tenant with two versions."""
    api.patch(tenant.url, {"name": "Acme Research"}, headers={"X-Gateway-Message": "It was renamed."})
    return tenant


def test_versions_are_listed_with_their_reasons(shell: Shell, renamed: Tenant) -> None:
    head, newest, oldest = shell.run("versions", "acme").out.splitlines()
    assert head.split()[:3] == ["VERSION", "TIME", "AUTHOR"]
    assert "It was renamed." in newest
    assert newest.split()[0] == "2"
    assert oldest.split()[0] == "1"


def test_version_shows_what_it_has_changed(shell: Shell, renamed: Tenant) -> None:
    assert shell.run("versions", "acme", 2).out == ('name changed\n~ /name: "Acme" -> "Acme Research"\n')
    assert shell.run("versions", "acme", 1, "--against", 2, "-o", "json").json["differences"] == [
        {"op": "change", "path": "/name", "before": "Acme Research", "after": "Acme"}
    ]


def test_rollback_shows_the_differences_and_makes_a_version(shell: Shell, api: Api, renamed: Tenant) -> None:
    ended = shell.run("rollback", "acme", "--yes", "-m", "It kept its name.")
    assert ended.out == "Version 3 has the content of version 1.\n"
    assert '~ /name: "Acme Research" -> "Acme"' in ended.err
    assert api.get(renamed.url).get_json()["name"] == "Acme"
    assert api.get(f"{renamed.url}/versions").get_json()["versions"][0]["message"] == "It kept its name."


def test_rollback_without_a_terminal_needs_yes(shell: Shell, api: Api, renamed: Tenant) -> None:
    assert "Nobody can be asked" in shell.fails(1, "rollback", "acme")
    assert api.get(renamed.url).get_json()["name"] == "Acme Research"


def test_rollback_to_the_present_content_changes_nothing(shell: Shell, renamed: Tenant) -> None:
    assert shell.run("rollback", "acme", 2, "--yes").out.startswith("Nothing was changed")


def test_version_that_is_not_kept_ends_with_4(shell: Shell, renamed: Tenant) -> None:
    shell.fails(4, "versions", "acme", 9)
    shell.fails(4, "rollback", "acme", 9, "--yes")


def test_only_version_has_none_before_it(shell: Shell, tenant: Tenant) -> None:
    assert "There is no version before 1." in shell.fails(1, "rollback", "acme", "--yes")


def test_platform_has_versions_of_its_own(shell: Shell, api: Api) -> None:
    api.create("/providers", {"name": "openai", "kind": "openai"})
    for arguments in (("versions", "platform"), ("versions",)):
        assert "provider openai" in shell.run(*arguments).out


def test_audit_lists_the_newest_changes_of_all_or_of_one(shell: Shell, api: Api, renamed: Tenant) -> None:
    api.tenant("other")
    found = shell.run("audit", "-o", "json").json["entries"]
    assert [one["operation"] for one in found] == ["createTenant", "updateTenant", "createTenant"]
    assert "updateTenant" in shell.run("audit", "-t", "acme", "-n", 1).out
    assert shell.run("audit", "-t", "platform", "-o", "json").json == {"entries": []}


def test_tenants_key_sees_its_own_changes(own_shell: Shell, api: Api, renamed: Tenant) -> None:
    api.tenant("other")
    found = own_shell.run("audit", "-o", "json").json["entries"]
    assert {one["tenant_id"] for one in found} == {renamed.id}
