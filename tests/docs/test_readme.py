"""The README and the pages of docs/: their JSON, tables and links are good."""

import json
import re
from pathlib import Path

import pytest

from shared.cli.files.yaml_text import read_text
from shared.documents.file.parse import parse_file
from shared.documents.rule import RuleInput
from shared.settings import load_settings
from tests.support.commands import ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The names of the headings of a page, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_settings_and_files_shown_on_any_page_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for page in DOCUMENTS:
        for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            if "_format_version" in text:
                parse_file(read_text(text, page.name, {}).value)
                continue
            file.write_text(text)
            load_settings(file, {})


@pytest.mark.parametrize("name", ["engines", "headers"])
def test_members_of_a_rule_shown_in_the_reference_are_accepted(name: str) -> None:
    page = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert shown
    assert [RuleInput(partial=True).validate(one) for one in shown] == [{}] * len(shown)


def test_readme_json_blocks_are_json() -> None:
    assert len([json.loads(block) for block in blocks("json")]) == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            page = document.parent / path if path else document
            assert page.exists(), target
            assert not anchor or anchor in anchors(page), target


def test_every_page_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)", index.read_text())}
    assert not [name_of(page) for page in ROOT.glob("docs/**/*.md") if page != index and page not in linked]


def test_every_command_named_is_there() -> None:
    for script in re.findall(r"\./(scripts/\w+\.sh)", README):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_table_cell_has_at_most_forty_words(document: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", " ", document.read_text(), flags=re.DOTALL)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert not [cell for row in rows for cell in row.split("|") if len(cell.split()) > 40]
