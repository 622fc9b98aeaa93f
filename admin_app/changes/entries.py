"""Plugin entries of a body into entries to store."""

from collections.abc import Mapping, Sequence
from typing import Any

from admin_app.changes.secrets import keep_settings
from admin_app.services import current
from shared.core.errors import Invalid, Problem
from shared.documents import complete_entry
from shared.model.config import PluginConfig


def read_chain(sent: Sequence[Mapping[str, Any]], stored: Sequence[PluginConfig]) -> tuple[PluginConfig, ...]:
    """A plugin_chain as it was sent, complete; secrets that stay are those of `stored`. Raises `Invalid`."""
    places = [(f"/plugin_chain/{i}", entry) for i, entry in enumerate(sent)]
    return _read(places, stored)


def read_required(
    sent: Mapping[str, Mapping[str, Any]], stored: Mapping[str, PluginConfig]
) -> dict[str, PluginConfig]:
    """required_plugins as they were sent, complete. Raises `Invalid`."""
    places = [(f"/required_plugins/{name}", entry) for name, entry in sent.items()]
    return {entry.name: entry for entry in _read(places, tuple(stored.values()))}


def _read(
    places: Sequence[tuple[str, Mapping[str, Any]]], stored: Sequence[PluginConfig]
) -> tuple[PluginConfig, ...]:
    entries = []
    problems: list[Problem] = []
    for i, (pointer, entry) in enumerate(places):
        kept, wrong = keep_settings(complete_entry(entry, current().catalogue), stored, i, pointer)
        entries.append(kept)
        problems += wrong
    if problems:
        raise Invalid(problems)
    return tuple(entries)
