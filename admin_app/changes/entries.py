"""The plugin entries of a request body, made complete for the store."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from flask import g

from admin_app.changes.secrets import keep_settings
from admin_app.context import services
from shared.core.errors import Problem
from shared.core.json_pointer import escape_step
from shared.documents.plugin_config import complete_entry
from shared.model.config import PluginConfig, Rule, Tenant
from shared.pipeline.chain import ParsedOnce


def parsed_once() -> ParsedOnce:
    """The parser of entries that all checks of this change share; it keeps the results."""
    if "parsed" not in g:
        g.parsed = ParsedOnce()
    return cast(ParsedOnce, g.parsed)


def forget_parsed() -> None:
    """Let go of the entries of a tenant, of which a plan may have thousands."""
    g.pop("parsed", None)


def sent_entries(sent: Mapping[str, Any], field: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The entries of `plugin_chain` or `required_plugins` in a body, each with its JSON pointer."""
    entries = sent.get(field, ())
    items = entries.items() if isinstance(entries, Mapping) else enumerate(entries)
    return [(f"/{field}/{escape_step(step)}", entry) for step, entry in items]


def read_entries(sent: Mapping[str, Any], stored: Tenant | Rule) -> tuple[dict[str, Any], list[Problem]]:
    """The chains of a body with complete entries and the secrets that stay, and their problems."""
    chains: dict[str, Any] = {}
    problems: list[Problem] = []
    if isinstance(stored, Tenant) and "required_plugins" in sent:
        required = tuple(stored.required_plugins.values())
        entries, found = _read(sent_entries(sent, "required_plugins"), required)
        chains["required_plugins"] = dict(zip(sent["required_plugins"], entries, strict=True))
        problems += found
    if "plugin_chain" in sent:
        chains["plugin_chain"], found = _read(sent_entries(sent, "plugin_chain"), stored.plugin_chain)
        problems += found
    return chains, problems


def _read(
    sent: Sequence[tuple[str, Mapping[str, Any]]], stored: Sequence[PluginConfig]
) -> tuple[tuple[PluginConfig, ...], list[Problem]]:
    entries = []
    problems: list[Problem] = []
    for i, (pointer, entry) in enumerate(sent):
        kept, found = keep_settings(complete_entry(entry, services().catalogue), stored, i, pointer)
        entries.append(kept)
        problems += found
    return tuple(entries), problems
