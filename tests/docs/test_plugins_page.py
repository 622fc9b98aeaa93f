"""What docs/plugins.md shows works as it is printed."""

import doctest
import json
import re
import sys
from pathlib import Path

import pytest

from shared.core.plugin import CONTINUE, Reject
from shared.plugins import load_catalogue
from tests.plugins.exchanges import exchange

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ENTRIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's own plugin."""
    [code] = CODE
    (tmp_path / "max_prompt.py").write_text(code, encoding="utf-8")
    return tmp_path


def test_the_plugin_of_the_page_works(folder: Path) -> None:
    kind = load_catalogue([folder])["max_prompt"]
    plugin = kind.parse({"max_bytes": 3})
    assert plugin.pre_request(exchange(b"123")) == CONTINUE  # type: ignore[attr-defined]
    assert isinstance(plugin.pre_request(exchange(b"1234")), Reject)  # type: ignore[attr-defined]
    assert doctest.testmod(sys.modules[kind.__module__]).failed == 0


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_every_entry_of_the_page_is_accepted(folder: Path, entry: dict[str, object]) -> None:
    load_catalogue([folder])[str(entry["name"])].parse(entry["settings"])  # type: ignore[arg-type]


def test_every_setting_of_the_built_in_validators_stands_on_the_page() -> None:
    shown = {entry["name"]: {*entry["settings"]} for entry in ENTRIES}
    for name in ("content_validator", "external_validator", "security_validator"):
        fields = load_catalogue()[name].schema().fields
        assert shown[name] == {field.data_key or own for own, field in fields.items()}
