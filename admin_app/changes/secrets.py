"""Secrets of rules and plugins on their way into the store: kept, refused or sealed.

A body holds new values in the clear, and ``{"set": true}`` where the stored one stays. First what stays
is put in (`keep_…`), then everything is checked, and last what is new is sealed (`seal_…`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from admin_app.services import current
from shared.core.errors import Problem
from shared.core.json_pointer import escape_step
from shared.documents import KEEP, is_set
from shared.model.config import PluginConfig, Rule, Sealed
from shared.model.targets import parse_target
from shared.secrets.context import endpoint_origin, header_context, setting_context

_NOTHING = 'There is no stored value that {"set": true} could keep. Send the value.'
_MOVED = (
    "The stored value belongs to {origin} and is sent nowhere else. "
    'Send the value again to use it here; {{"set": true}} keeps it only for that address.'
)


def keep_headers(
    sent: Mapping[str, Any], stored: Rule | None, target: str
) -> tuple[dict[str, Any], list[Problem]]:
    """The headers of a rule with what was stored in the place of `KEEP`, and what is wrong with them."""
    headers: dict[str, Any] = {}
    problems = []
    known = {name.lower(): value for name, value in stored.headers.items()} if stored else {}
    moved = stored is not None and parse_target(stored.target).origin != parse_target(target).origin
    for name, value in sent.items():
        pointer = f"/headers/{escape_step(name)}"
        if name.lower() in {other.lower() for other in headers}:
            problems.append(Problem(pointer, "This header stands here twice; case makes no difference."))
        elif value is not KEEP:
            headers[name] = value
        elif name.lower() not in known:
            problems.append(Problem(pointer, _NOTHING))
        elif stored is not None and moved:
            origin = parse_target(stored.target).origin
            problems.append(Problem(pointer, _MOVED.format(origin=origin)))
        else:
            headers[name] = known[name.lower()]
    return headers, problems


def seal_headers(tenant_id: str, rule: Rule) -> Rule:
    """The rule with every header value sealed for its tenant and the origin of its target."""
    sealed = {
        name: _seal(value, header_context(tenant_id, name, rule.target))
        for name, value in rule.headers.items()
    }
    return replace(rule, headers=sealed)


def keep_settings(
    entry: PluginConfig, stored: Sequence[PluginConfig], place: int, pointer: str
) -> tuple[PluginConfig, list[Problem]]:
    """An entry with its stored secrets in the place of ``{"set": true}``, and what is wrong with it.

    `stored` is the chain that this one replaces, and `place` where the entry stands in the new one.
    """
    settings = dict(entry.settings)
    problems = []
    for setting in _secret_maps(entry):
        values = dict(settings[setting])
        for name in [name for name, value in values.items() if is_set(value)]:
            found = _stored_secret(entry, stored, place, setting, name)
            if isinstance(found, Sealed):
                values[name] = found
            else:
                problems.append(Problem(f"{pointer}/settings/{setting}/{escape_step(name)}", found))
        settings[setting] = values
    return replace(entry, settings=settings), problems


def seal_settings(tenant_id: str, entry: PluginConfig) -> PluginConfig:
    """The entry with the values of its secret settings sealed for its tenant and its endpoint."""
    settings = dict(entry.settings)
    for setting in _secret_maps(entry):
        settings[setting] = {
            name: _seal(value, setting_context(tenant_id, entry.name, setting, name, entry.settings))
            for name, value in settings[setting].items()
        }
    return replace(entry, settings=settings)


def _secret_maps(entry: PluginConfig) -> list[str]:
    """The secret settings of an entry that are maps; others the plugin's own check refuses."""
    kind = current().catalogue.get(entry.name)
    secrets = kind.secrets if kind else frozenset()
    return [name for name in sorted(secrets) if isinstance(entry.settings.get(name), Mapping)]


def _stored_secret(
    entry: PluginConfig, stored: Sequence[PluginConfig], place: int, setting: str, name: str
) -> Sealed | str:
    """The one secret that is meant, or why there is none. Never one that was saved for another origin."""
    found = [
        (i, one, one.settings[setting][name])
        for i, one in enumerate(stored)
        if one.name == entry.name and name in one.settings.get(setting, {})
    ]
    if not found:
        return _NOTHING
    here = [item for item in found if _origin(item[1]) == _origin(entry)]
    if not here:
        return _MOVED.format(origin=_origin(found[0][1]))
    endpoint = entry.settings.get("endpoint")
    same = [item for item in here if item[1].settings.get("endpoint") == endpoint] or here
    at_place = [item for item in same if item[0] == place]
    if len(same) > 1 and not at_place:
        return "Several entries hold such a value; it is not clear which one is meant. Send the value."
    sealed: Sealed = (at_place or same)[0][2]
    return sealed


def _origin(entry: PluginConfig) -> str:
    try:
        return endpoint_origin(entry.settings)
    except ValueError:  # the plugin's own check says so with the right pointer
        return "no address"


def _seal(value: str | Sealed, context: str) -> Sealed:
    return value if isinstance(value, Sealed) else Sealed(current().sealer.seal(value, context))
