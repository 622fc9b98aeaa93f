"""docs/plugin-settings.md is what the plugins' classes say."""

import subprocess
import sys
from pathlib import Path

from shared.plugin_tools.settings_page import settings_page
from shared.plugins import built_in_plugins

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugin-settings.md").read_text(encoding="utf-8")


def test_plugin_settings_page_is_up_to_date() -> None:
    """When this fails: python -m shared.plugins docs > docs/plugin-settings.md"""
    assert settings_page(built_in_plugins()) == PAGE


def test_the_command_that_it_names_prints_it() -> None:
    assert "python -m shared.plugins docs" in PAGE
    command = [sys.executable, "-m", "shared.plugins", "docs"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout == PAGE


def test_every_setting_stands_on_it() -> None:
    for plugin in built_in_plugins():
        for own, field in plugin.schema().fields.items():
            assert f"| `{field.data_key or own}` |" in PAGE
