"""The README and its sisters tell the truth: their calls work, their JSON and links are good."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import load_settings
from tests.support.gateway import ROOT, RunningGateway

README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_first_calls_give_201_201_and_200(tmp_path: Path) -> None:
    (calls,) = blocks("bash")
    command = [sys.executable, "-m", "examples.demo_upstream", "--port", "0"]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo,
        RunningGateway(tmp_path / "data") as gateway,
    ):
        assert demo.stdout is not None
        ports = {8080: gateway.admin_port, 8081: gateway.proxy_port, 8082: demo.stdout.readline().split()[-1]}
        for written, real in ports.items():
            calls = calls.replace(f":{written}", f":{real}")
        ended = subprocess.run(["bash", "-c", calls], capture_output=True, text=True, timeout=60)
        demo.terminate()
    assert ended.stderr.split() == ["201"]
    assert ended.stdout.split()[0] == "201"
    assert ended.stdout.split()[-1] == "200"
    assert json.loads(ended.stdout.splitlines()[1]) == json.loads(blocks("json")[0])


def test_the_configuration_shown_starts_the_gateway(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert load_settings(file, {}).server.base_domain == "example.com"


def test_readme_json_blocks_are_json() -> None:
    assert len([json.loads(block) for block in blocks("json")]) == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_command_named_is_there() -> None:
    for script in re.findall(r"\./(scripts/\w+\.sh)", README):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_table_cell_has_at_most_forty_words(document: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", " ", document.read_text(), flags=re.DOTALL)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert not [cell for row in rows for cell in row.split("|") if len(cell.split()) > 40]
