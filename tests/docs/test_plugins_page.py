"""What docs/plugins.md shows works as it is printed."""

import json
import re
from pathlib import Path

import pytest

from shared.plugins import load_catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
ENTRIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_every_entry_of_the_page_is_accepted(entry: dict[str, object]) -> None:
    load_catalogue()[str(entry["name"])].parse(entry["settings"])  # type: ignore[arg-type]


def test_every_setting_of_the_built_in_validators_stands_on_the_page() -> None:
    shown = {entry["name"]: {*entry["settings"]} for entry in ENTRIES}
    for name in ("content_validator", "external_validator", "security_validator"):
        fields = load_catalogue()[name].schema().fields
        assert shown[name] == {field.data_key or own for own, field in fields.items()}
