"""`gw validate` and `gw schema` need no gateway."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from shared.cli.files.merge import Document
from shared.cli.files.offline import check_offline
from shared.cli.files.yaml_text import read_text
from shared.cli.output import as_yaml
from shared.core.json_pointer import Path as Steps
from tests.cli.conftest import Shell
from tests.support.ports import free_port

FILE = """\
_format_version: "1"
platform:
  providers:
    openai-main: {kind: openai, keys: [{name: a, secret: {env: OPENAI_API_KEY}}], shared: all}
  models:
    fast:
      targets:
        - {provider: openai-main, model: gpt-a}
tenants:
  acme:
    name: Acme
    rules:
      chat:
        path: /v1
        ai:
          providers: [openai-main]
        plugin_chain:
          - name: rate_limiter
            settings: {limit: 600, window: 1m}
    api_keys:
      ci: {scopes: [proxy], models: ["gpt-*"]}
"""


@pytest.fixture
def file(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, in the folder of a shell without a gateway."""
    shell.variables["GW_URL"] = f"http://127.0.0.1:{free_port()}"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(FILE)
    return Path("gateway.yaml")


def test_right_file_is_valid(shell: Shell, file: Path) -> None:
    assert shell.run("validate", "-f", file).out == "The files are valid.\n"
    assert shell.run("validate", "-f", file, "-o", "json").json == {"valid": True, "tenants": 1}


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("providers: [openai-main]", "provider: openai-main", "16:11: tenants.acme.rules.chat.ai.provider: "),
        ("path: /v1", "path: v1", "14:9: tenants.acme.rules.chat.path: "),
        ("window: 1m", "window: soon", "19:36: tenants.acme.rules.chat.plugin_chain.0.settings.window: "),
        ("name: rate_limiter", "name: rate_limited", "18:13: tenants.acme.rules.chat.plugin_chain.0.name: "),
        ("scopes: [proxy]", "scopes: [all]", "21:21: tenants.acme.api_keys.ci.scopes.0: "),
        ('_format_version: "1"', '_format_version: "2"', "1:1: _format_version: "),
        ("kind: openai,", "kind: none,", "4:19: platform.providers.openai-main.kind: "),
        ("{env: OPENAI_API_KEY}", "${NO_SUCH_VARIABLE}", "4:"),
        ("    fast:", "    fast: fast:", "6:"),
    ],
)
def test_each_wrong_value_is_told_with_its_place(
    shell: Shell, file: Path, right: str, wrong: str, error: str
) -> None:
    assert right in FILE
    file.write_text(FILE.replace(right, wrong))
    assert f"gateway.yaml:{error}" in shell.fails(1, "validate", "-f", file)


def test_unknown_member_is_told_with_the_one_that_was_meant(shell: Shell, file: Path) -> None:
    file.write_text(FILE.replace("plugin_chain:", "plugin_chian:"))
    error = shell.fails(1, "validate", "-f", file)
    assert "17:9: tenants.acme.rules.chat.plugin_chian: " in error
    assert "plugin_chain" in error.replace("plugin_chian", "")


def test_all_problems_are_told_at_once(shell: Shell, file: Path) -> None:
    file.write_text(FILE.replace("scopes: [proxy]", "scopes: [all]").replace("kind: openai", "kind: none"))
    lines = [line for line in shell.fails(1, "validate", "-f", file).splitlines() if "gateway.yaml:" in line]
    assert len(lines) == 2


def test_file_comes_from_standard_input(shell: Shell, file: Path) -> None:
    assert shell.run("validate", "-f", "-", stdin=FILE).code == 0
    assert "<stdin>:14:9: " in shell.fails(1, "validate", "-f", "-", stdin=FILE.replace("/v1", "v1"))


def test_schema_judges_files_as_the_check_does(shell: Shell, file: Path) -> None:
    validator = jsonschema_rs.validator_for(shell.run("schema", "-o", "json").json)
    document = YAML(typ="safe", pure=True).load(FILE)
    assert [error.message for error in validator.iter_errors(document)] == []
    document["tenants"]["acme"]["rules"]["chat"]["nothing"] = 1
    assert not validator.is_valid(document)


def nodes(value: Any, path: Steps = ()) -> Iterator[Steps]:
    """The paths of all values below a value."""
    for step, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, str(step))
        if isinstance(one, dict | list):
            yield from nodes(one, (*path, str(step)))


def broken_at(path: Steps) -> dict[str, Any]:
    """The file with a value of a wrong type at a path."""
    document: Any = YAML(typ="safe", pure=True).load(FILE)
    node = document
    for step in path[:-1]:
        node = node[int(step)] if isinstance(node, list) else node[step]
    node[int(path[-1]) if isinstance(node, list) else path[-1]] = {"wrong": [1]}
    return dict(document)


@pytest.mark.parametrize("path", [*nodes(YAML(typ="safe", pure=True).load(FILE))], ids=".".join)
def test_wrong_value_at_any_place_of_the_file_is_told_with_its_line(path: Steps) -> None:
    text = as_yaml(broken_at(path))
    read = read_text(text, "f.yaml", {})
    document = Document(read.value, read.places, [])
    check_offline(document)
    assert document.faults
    for fault in document.faults:
        shared = min(len(fault.path), len(path))
        assert fault.path[:shared] == path[:shared], fault
        assert fault.place.line >= read.places[path[: len(fault.path)]].line
        assert fault.detail.endswith(".")
