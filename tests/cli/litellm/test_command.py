"""`gw import litellm` prints a file, and lists what is lost on standard error."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.cli.conftest import Shell

MODELS = "model_list: [{model_name: a, litellm_params: {model: openai/b}}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_file_is_printed_and_notes_go_elsewhere(shell: Shell, file: Path) -> None:
    file.write_text(MODELS)
    ended = shell.run("import", "litellm", file, "--tenant", "acme")
    assert ended.code == 0
    document = YAML(typ="safe", pure=True).load(ended.out)
    assert [*document["tenants"]] == ["acme"]
    assert ended.err.startswith("note: Open these variables")
    assert (
        shell.run("import", "litellm", file, "-o", "json").json["document"]["platform"]
        == document["platform"]
    )


def test_loss_is_listed_and_ends_with_2(shell: Shell, file: Path) -> None:
    file.write_text(MODELS + "litellm_settings: {cache: true}\n")
    ended = shell.run("import", "litellm", file)
    assert ended.code == 2
    assert "left out: litellm_settings.cache: The gateway does not keep responses.\n" in ended.err


def test_file_that_is_no_configuration_is_told_with_its_place(shell: Shell, file: Path) -> None:
    assert "cannot be read" in shell.fails(1, "import", "litellm", file)
    file.write_text("a: [\n")
    assert f"{file}:2: it is not YAML" in shell.fails(1, "import", "litellm", file)
    file.write_text("a: 1\n")
    assert "no list `model_list`" in shell.fails(1, "import", "litellm", file)


def test_file_comes_from_a_pipe_and_is_no_trap(shell: Shell, file: Path) -> None:
    ended = shell.run("import", "litellm", "-", stdin=MODELS)
    assert "openai" in ended.out
    assert ended.code == 0
    file.write_text("a: " + "[" * 5_000)
    assert "nested too deep" in shell.fails(1, "import", "litellm", file)
    file.write_text("a: \0")
    error = shell.fails(1, "import", "litellm", file)
    assert error.count("\n") == 1
