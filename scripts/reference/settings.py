"""The page of all settings."""

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.reference.page import page, table
from shared.settings.declare import declared
from shared.settings.sections import Settings
from shared.settings.sources import PREFIX


def settings_page() -> str:
    """Every setting, with its default and its variable."""
    rows = [
        (f"`{name}`", _default(default), help_text) for name, default, help_text in _settings(Settings, "")
    ]
    return page(
        "Settings",
        "Each setting of `config.yaml` can also be set by a variable: `server.admin_port` by "
        f"`{PREFIX}SERVER__ADMIN_PORT`. The variable has precedence over the file. [config.yaml]"
        "(../../config.yaml) is the same list as a file.",
        table(("setting", "default", "meaning"), rows),
    )


def _settings(kind: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    for field, described in declared(kind):
        if section := described.get("section"):
            yield from _settings(section, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}", described["default"], described["description"]


def _default(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"`{name}`" for name in value)
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return "`null`" if value is None else f"`{value}`" if value != "" else "empty"
