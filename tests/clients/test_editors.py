"""Editors complete and check our files: the YAML language server, unmodified, with the schemas of the admin API."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.language_server import LanguageServer
from tests.clients.test_clients import PROGRAMS
from tests.support.gateway import RunningGateway
from tests.support.packages import need_command

pytestmark = pytest.mark.slow

MODELINE = "# yaml-language-server: $schema={}/schemas/{}\n"
GATEWAY = """_format_version: "1"
tenants:
  acme:
    name: Acme
    rules:
      chat: {path: /v1, ai: {provider: openai-main}}
"""
CONFIG = """server:
  admin_prot: 9080
"""


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an admin API."""
    gateway = RunningGateway(tmp_path_factory.mktemp("editors") / "data")
    try:
        gateway.start_admin()
        yield gateway.admin
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    need_command("node", "nodejs")
    npm = need_command("npm", "npm")
    folder = tmp_path_factory.mktemp("editor")
    shutil.copytree(PROGRAMS / "editor", folder, dirs_exist_ok=True)
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    with LanguageServer(folder / "node_modules" / ".bin" / "yaml-language-server") as server:
        yield server


def places(problems: list[dict[str, Any]], text: str) -> dict[str, str]:
    """The texts that problems are marked at, each with its message."""
    lines = text.splitlines()
    marked = {}
    for problem in problems:
        start, end = problem["range"]["start"], problem["range"]["end"]
        marked[lines[start["line"]][start["character"] : end["character"]]] = problem["message"]
    return marked


def test_editor_completes_a_file_of_the_gateway_and_marks_a_wrong_field(
    admin: str, editor: LanguageServer
) -> None:
    text = f"{MODELINE.format(admin, 'gateway-1.json')}{GATEWAY}    \n"
    uri = "file:///gateway.yaml"
    marked = places(editor.opened(uri, text), text)
    assert marked == {"provider": "Property provider is not allowed."}
    assert {"plugin_chain", "budgets", "api_keys", "tier"} <= editor.completions(uri, 7, 4)
    assert "name" not in editor.completions(uri, 7, 4)  # it is there already


def test_editor_completes_the_settings_and_marks_a_wrong_name(admin: str, editor: LanguageServer) -> None:
    text = f"{MODELINE.format(admin, 'config-1.json')}{CONFIG}  \n"
    uri = "file:///config.yaml"
    marked = places(editor.opened(uri, text), text)
    assert marked == {"admin_prot": "Property admin_prot is not allowed."}
    assert {"admin_port", "proxy_port", "workers"} <= editor.completions(uri, 3, 2)
