"""A config.yaml that a test writes and loads."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.settings import Settings, SettingsError, load_settings


class File:
    """A config.yaml of a test."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.yaml"

    def load(self, text: str = "", /, flags: Mapping[str, object] | None = None, **environ: str) -> Settings:
        self.path.write_text(text)
        return load_settings(self.path, environ, flags or {})

    def rejection(self, text: str = "", /, **environ: str) -> str:
        with pytest.raises(SettingsError) as raised:
            self.load(text, **environ)
        return str(raised.value)


@pytest.fixture
def config(tmp_path: Path) -> File:
    return File(tmp_path)
