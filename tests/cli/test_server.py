"""Which gateway is called with which key, and what is said when it cannot be called."""

import os
import re
import stat
from pathlib import Path
from unittest.mock import Mock

import pytest

from shared.cli.profiles import profiles_file
from shared.core.errors import StoreDown
from tests.admin_app.world import TOKEN, Tenant, World
from tests.cli.conftest import Shell
from tests.support.ports import free_port
from tests.support.upstream import Upstream, responding, sized


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_version_tells_both_programs(shell: Shell, url: str) -> None:
    assert shell.run("version", "-o", "json").json == {"gw": "0.1.0", "gateway": "0.1.0", "url": url}


def test_version_without_a_gateway_tells_its_own(shell: Shell) -> None:
    shell.variables["GW_URL"] = f"http://127.0.0.1:{free_port()}"
    assert shell.run("version", "-o", "json").json["gateway"] is None


def test_gateway_that_does_not_run_is_one_sentence_and_a_hint(shell: Shell) -> None:
    shell.variables["GW_URL"] = address = f"http://127.0.0.1:{free_port()}"
    sentence, hint = shell.fails(1, "get", "tenants").splitlines()
    assert sentence == f"gw: {address} cannot be called: Connection refused."
    assert hint.startswith("hint: Start the gateway (`gw up`)")


def test_status_shows_the_platform_all_and_a_tenant_its_own_key(
    shell: Shell, own_shell: Shell, url: str
) -> None:
    platform, own = shell.run("status"), own_shell.run("status")
    assert (platform.code, own.code) == (0, 0)
    lines = dict(re.split(" {2,}", line) for line in platform.out.splitlines())
    assert (lines["gateway"], lines["ready"], lines["caller"]) == (url, "yes", "the platform")
    assert lines["store address"] == "memory (external)"
    assert "of acme (admin, proxy)" in own.out
    assert "store address" not in own.out


def test_status_of_a_gateway_without_its_store_ends_with_1(
    shell: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.store, "ping", Mock(side_effect=StoreDown("")))
    ended = shell.run("status")
    assert (ended.code, "store    unavailable\n" in ended.out) == (1, True)
    assert "tried" not in ended.err


def test_login_saves_what_works_so_that_only_this_user_can_read_it(shell: Shell, url: str) -> None:
    shell.variables |= {"GW_URL": None, "GW_TOKEN": None}
    ended = shell.run("login", "--url", url, "--token-stdin", stdin=f"{TOKEN}\n")
    assert (ended.code, ended.out) == (0, f"Logged in to {url} as the platform.\n")
    assert TOKEN not in ended.out + ended.err
    assert stat.S_IMODE(profiles_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(profiles_file().parent.stat().st_mode) == 0o700
    assert shell.run("get", "tenants").code == 0


def test_login_with_a_wrong_key_saves_nothing(shell: Shell, url: str) -> None:
    error = shell.fails(1, "login", "--url", url, "--token-stdin", stdin="wrong")
    assert "The API key is invalid." in error
    assert not profiles_file().exists()


def test_named_logins_stand_side_by_side(shell: Shell, url: str, tenant: Tenant) -> None:
    shell.variables |= {"GW_URL": None, "GW_TOKEN": None}
    shell.run("--profile", "acme", "login", "--url", url, "--token-stdin", stdin=tenant.key)
    shell.run("login", "--url", url, "--token-stdin", stdin=TOKEN)
    assert "of acme" in shell.run("--profile", "acme", "status").out
    assert "the platform" in shell.run("status").out
    assert "There is no profile other; there is acme, default." in shell.fails(
        1, "--profile", "other", "status"
    )


def test_key_of_a_profile_is_not_sent_to_another_address(shell: Shell, url: str) -> None:
    shell.variables |= {"GW_URL": None, "GW_TOKEN": None}
    shell.run("login", "--url", url, "--token-stdin", stdin=TOKEN)
    other = url.replace("127.0.0.1", "localhost")
    assert "The API key is missing." in shell.fails(1, "--url", other, "get", "tenants")


def test_variables_win_over_the_profile(shell: Shell, url: str, tenant: Tenant) -> None:
    shell.variables |= {"GW_URL": None, "GW_TOKEN": None}
    shell.run("login", "--url", url, "--token-stdin", stdin=TOKEN)
    shell.variables["GW_TOKEN"] = tenant.key
    assert "of acme" in shell.run("status").out


def test_profile_of_a_command_wins_over_the_variables(shell: Shell, url: str, tenant: Tenant) -> None:
    shell.variables |= {"GW_URL": "http://127.0.0.1:1", "GW_TOKEN": "wrong"}
    shell.run("--profile", "acme", "login", "--url", url, "--token-stdin", stdin=tenant.key)
    assert "of acme" in shell.run("--profile", "acme", "status").out
    assert "There is no profile other" in shell.fails(1, "--profile", "other", "get", "tenants")
    shell.variables |= {"GW_TOKEN": TOKEN}
    assert "the platform" in shell.run("--profile", "acme", "--url", url, "status").out


def test_gw_without_a_command_says_how_it_is_used(shell: Shell) -> None:
    assert shell.fails(1).startswith("Usage: gw ")
    assert shell.fails(1, "keys").startswith("Usage: gw keys ")


def test_profiles_that_others_may_read_are_not_used(shell: Shell, url: str) -> None:
    shell.variables |= {"GW_URL": None, "GW_TOKEN": None}
    shell.run("login", "--url", url, "--token-stdin", stdin=TOKEN)
    os.chmod(profiles_file(), 0o640)
    error = shell.fails(1, "status")
    assert f"hint: Run: chmod 600 {profiles_file()}\n" in error


@pytest.mark.parametrize(
    "text", ["- a list", "default: {url: a, secret: sk-hidden}", "default: [sk-hidden", "\x00"]
)
def test_damaged_profiles_are_told_without_their_text(shell: Shell, text: str) -> None:
    shell.variables |= {"GW_URL": None, "GW_TOKEN": None}
    profiles_file().parent.mkdir(parents=True)
    profiles_file().touch(0o600)
    profiles_file().write_text(text)
    error = shell.fails(1, "status")
    assert "does not have profiles" in error
    assert "sk-hidden" not in error


@pytest.mark.parametrize("address", ["acme", "ftp://acme.example", "https://user:pw@acme.example"])
def test_login_takes_only_addresses(shell: Shell, address: str) -> None:
    assert "is not an address." in shell.fails(1, "login", "--url", address, "--token-stdin", stdin="")


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "502 Bad Gateway"])
def test_server_that_is_no_gateway_is_told(shell: Shell, status: str) -> None:
    with Upstream(responding(sized(b"<html>", status))) as server:
        shell.variables["GW_URL"] = server.url
        assert "not as the admin API does" in shell.fails(1, "get", "tenants")


def test_read_is_tried_three_times_and_a_change_once(shell: Shell) -> None:
    problem = b'{"detail": "The configuration store does not respond. Retry later."}'
    with Upstream(responding(sized(problem, "503 Service Unavailable"))) as server:
        shell.variables["GW_URL"] = server.url
        assert "does not respond. Retry later." in shell.fails(1, "get", "tenants")
        shell.fails(1, "keys", "create", "ci", "-t", "tenant_1")
        assert [one.method for one in server.received] == ["GET", "GET", "GET", "POST"]


def test_error_of_a_server_cannot_control_the_terminal(shell: Shell) -> None:
    problem = sized(b'{"detail": "a\\u001b[31m\\r\\nb"}', "400 Bad Request")
    with Upstream(responding(problem)) as server:
        shell.variables["GW_URL"] = server.url
        assert shell.fails(1, "get", "tenants") == "gw: a\\x1b[31m\\r\nb\n"


def test_redirect_is_told_and_not_followed(shell: Shell) -> None:
    away = sized(b"", "302 Found", "Location: https://elsewhere.example/")
    with Upstream(responding(away)) as server:
        shell.variables["GW_URL"] = server.url
        assert "sends to another address: https://elsewhere.example/" in shell.fails(1, "get", "tenants")


def test_wrong_option_names_the_help(shell: Shell) -> None:
    assert shell.fails(1, "get", "tenants", "--wrong").endswith("hint: See `gw get --help`.\n")
