"""The settings as they were read, for operators to see: each with its value, its origin and no secret."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from shared.settings.declare import declared
from shared.settings.sources import PREFIX, SHORT, Steps, Written


class Source(StrEnum):
    """Where the value of a setting comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInForce:
    """One setting.

    Attributes:
        name: such as ``server.admin_port``.
        value: as it was written; a path is absolute. None for a secret.
        is_set: whether there is a value, which may be a default.
        is_changed: whether the value is not the default.
        source: where the value comes from.
        origin: the line of the file, the variable or the flag; None for a default.
        help_text: what the setting does.
        is_secret: whether the value is withheld.
    """

    name: str
    value: Any
    is_set: bool
    is_changed: bool
    source: Source
    origin: str | None
    help_text: str
    is_secret: bool


def settings_in_force(settings: Any, written: Written, before: Steps = ()) -> Iterator[SettingInForce]:
    """Yield all settings in the order of config.yaml."""
    for field, description in declared(type(settings)):
        steps, value = (*before, field.name), getattr(settings, field.name)
        if description.get("section"):
            yield from settings_in_force(value, written, steps)
            continue
        origin, given = _origin(steps, written), _given(steps, written)
        is_secret, declaration = not field.repr, field.metadata["field"]
        shown = str(value) if isinstance(value, Path) else description["default"] if given is None else given
        yield SettingInForce(
            name=".".join(steps),
            value=None if is_secret else shown,
            is_set=value not in (None, ""),
            is_changed=given not in (None, "") and declaration.read(given) != declaration.load_default,
            source=_source(origin),
            origin=origin,
            help_text=description["description"],
            is_secret=is_secret,
        )


def _origin(steps: Steps, written: Written) -> str | None:
    """Where the setting was written; None when it was not. A section around it does not count."""
    path = written.path(steps)
    return written.origins.get(path) if path[: len(steps)] == steps else None


def _source(origin: str | None) -> Source:
    if origin is None:
        return Source.DEFAULT
    if origin.startswith("--"):
        return Source.FLAG
    return Source.ENVIRONMENT if origin.startswith(PREFIX) or origin in SHORT else Source.FILE


def _given(steps: Steps, written: Written) -> Any:
    """The value as it was written; None when it was not."""
    node: Any = written.values
    for step in steps:
        node = node.get(step) if isinstance(node, dict) else None
    return node
