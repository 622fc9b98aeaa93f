"""The page of settings is what the plugins' classes say, and docs/reference/plugins.md works as it is printed."""

import json
import re
import sys

import pytest

from shared.plugin_tools.settings_page import settings_page
from shared.plugins import built_in_plugins, load_catalogue
from tests.support.commands import ROOT, run_command

SETTINGS = (ROOT / "docs" / "reference" / "plugin-settings.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "reference" / "plugins.md").read_text(encoding="utf-8")
GUARDS = (ROOT / "docs" / "how-to" / "guards.md").read_text(encoding="utf-8")
ENTRIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
SHORT_ENTRIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", GUARDS, re.DOTALL)]


def test_plugin_settings_page_is_up_to_date() -> None:
    """When this fails: python -m shared.plugins docs > docs/reference/plugin-settings.md"""
    assert settings_page(built_in_plugins()) == SETTINGS


def test_the_command_that_it_names_prints_it() -> None:
    assert "python -m shared.plugins docs" in SETTINGS
    assert run_command(sys.executable, "-m", "shared.plugins", "docs").stdout == SETTINGS


def test_settings_page_lists_every_setting() -> None:
    for plugin in built_in_plugins():
        for own, field in plugin.schema().fields.items():
            assert f"| `{field.data_key or own}` |" in SETTINGS


@pytest.mark.parametrize("entry", [*ENTRIES, *SHORT_ENTRIES], ids=lambda entry: entry["name"])
def test_every_entry_of_the_page_is_accepted(entry: dict[str, object]) -> None:
    load_catalogue()[str(entry["name"])].parse(entry["settings"])  # type: ignore[arg-type]


def test_page_shows_every_setting_of_the_built_in_validators() -> None:
    shown = {entry["name"]: {*entry["settings"]} for entry in ENTRIES}
    for name in ("content_validator", "external_validator", "security_validator"):
        fields = load_catalogue()[name].schema().fields
        assert shown[name] == {field.data_key or own for own, field in fields.items()}
