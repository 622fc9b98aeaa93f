"""Secrets of rules and plugins in a change: kept, or sealed for the store.

A body has new secrets in plain text, and ``{"set": true}`` where the stored secret stays. First the stored
secrets are filled in (`keep_…`), then everything is checked, then the new secrets are sealed (`seal_…`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from admin_app.context import services
from shared.core.errors import Problem
from shared.core.json_pointer import escape_step
from shared.documents.fields import KEEP, is_set
from shared.model.config import PluginConfig
from shared.model.sealed import Sealed
from shared.secrets.context import endpoint_origin, header_context, setting_context
from shared.settings.provider_secrets import env_secret, file_secret

#: The problem of a secret to keep that is not there, or is for another origin.
NO_STORED_VALUE = '{"set": true} keeps a stored value, but there is none. Send the value.'
OTHER_ORIGIN = (
    '{{"set": true}} keeps the stored value only for {origin}. Send the value again to use it elsewhere.'
)
_AMBIGUOUS = 'Several entries store such a value, so {"set": true} is ambiguous. Send the value.'


def keep_values(
    sent: Mapping[str, Any],
    stored: Mapping[str, Sealed],
    pointer: str,
    *,
    moved_from: str | None = None,
    has_case: bool = False,
) -> tuple[dict[str, Any], list[Problem]]:
    """A map of secrets with the stored values in place of `KEEP`, and its problems.

    `pointer` is that of the map. `moved_from` is the origin that the stored values are for, if the new ones
    are for another; None: it is the same. Names that have no case may not differ by it alone.
    """
    fold = str if has_case else str.lower
    values: dict[str, Any] = {}
    problems = []
    known = {fold(name): value for name, value in stored.items()}
    for name, value in sent.items():
        at = f"{pointer}/{escape_step(name)}"
        if fold(name) in map(fold, values):
            problems.append(Problem(at, "Duplicate header name (names are case-insensitive)."))
        elif value is not KEEP:
            values[name] = value
        elif fold(name) not in known:
            problems.append(Problem(at, NO_STORED_VALUE))
        elif moved_from is not None:
            problems.append(Problem(at, OTHER_ORIGIN.format(origin=moved_from)))
        else:
            values[name] = known[fold(name)]
    return values, problems


def outside_problems(pointer: str, env: str | None, file: str | None) -> list[Problem]:
    """The problem of a secret in a variable or file that the operator has not opened."""
    opened = services().settings.secrets
    if env is not None and env not in opened.env:
        allowed = ", ".join(opened.env) or "none"
        detail = f"The variable {env} is not in the setting secrets.env. Allowed: {allowed}."
        return [Problem(pointer, detail)]
    if file is not None and opened.folder is None:
        detail = "The setting secrets.folder names no folder. Set it, or send the secret as text."
        return [Problem(pointer, detail)]
    return []


def outside_warnings(pointer: str, env: str | None, file: str | None) -> list[Problem]:
    """A warning if a secret that is kept outside the store is not there."""
    name = env_secret(env) if env else file_secret(file) if file else None
    if name is None or name in services().opened:
        return []
    return [Problem(pointer, "It is missing or empty on this machine, so it is not used.")]


def seal(value: str | Sealed, context: str) -> Sealed:
    """`value`, sealed if it is new."""
    return value if isinstance(value, Sealed) else Sealed(services().sealer.seal(value, context))


def seal_headers(tenant_id: str, headers: Mapping[str, Any], target: str) -> dict[str, Sealed]:
    """The headers with every value sealed for the tenant and the origin of the target."""
    return {name: seal(value, header_context(tenant_id, name, target)) for name, value in headers.items()}


def keep_settings(
    entry: PluginConfig, stored: Sequence[PluginConfig], index: int, pointer: str
) -> tuple[PluginConfig, list[Problem]]:
    """An entry with its stored secrets in place of ``{"set": true}``, and its problems.

    `stored` is the chain that is replaced, `index` the position of the entry in the new one.
    """
    settings = dict(entry.settings)
    problems = []
    for setting in secret_maps(entry):
        values = dict(settings[setting])
        for name in [name for name, value in values.items() if is_set(value)]:
            found = stored_secret(entry, stored, index, setting, name)
            if isinstance(found, Sealed):
                values[name] = found
            else:
                problems.append(Problem(f"{pointer}/settings/{setting}/{escape_step(name)}", found))
        settings[setting] = values
    return replace(entry, settings=settings), problems


def seal_entries(tenant_id: str, entries: Iterable[PluginConfig]) -> tuple[PluginConfig, ...]:
    """The entries with their secret settings sealed, each for its tenant and endpoint."""
    return tuple(_seal_settings(tenant_id, entry) for entry in entries)


def _seal_settings(tenant_id: str, entry: PluginConfig) -> PluginConfig:
    """The entry itself if it has no secrets: so it is known to be the one that was checked."""
    if not (secrets := secret_maps(entry)):
        return entry
    settings = dict(entry.settings)
    for setting in secrets:
        settings[setting] = {
            name: seal(value, setting_context(tenant_id, entry.name, setting, name, entry.settings))
            for name, value in settings[setting].items()
        }
    return replace(entry, settings=settings)


def secret_maps(entry: PluginConfig) -> list[str]:
    """The secret settings of an entry that are maps; the plugin's schema rejects other types."""
    kind = services().catalogue.get(entry.name)
    secrets = kind.secrets if kind else frozenset()
    return [name for name in sorted(secrets) if isinstance(entry.settings.get(name), Mapping)]


def stored_secret(
    entry: PluginConfig, stored: Sequence[PluginConfig], index: int, setting: str, name: str
) -> Sealed | str:
    """The stored secret to keep, or the problem. Never one that was saved for another origin."""
    found = [
        (i, one, one.settings[setting][name])
        for i, one in enumerate(stored)
        if one.name == entry.name and name in one.settings.get(setting, {})
    ]
    if not found:
        return NO_STORED_VALUE
    same_origin = [item for item in found if _origin(item[1]) == _origin(entry)]
    if not same_origin:
        return OTHER_ORIGIN.format(origin=_origin(found[0][1]))
    endpoint = entry.settings.get("endpoint")
    same_endpoint = [item for item in same_origin if item[1].settings.get("endpoint") == endpoint]
    candidates = same_endpoint or same_origin
    same_index = [item for item in candidates if item[0] == index]
    if len(candidates) > 1 and not same_index:
        return _AMBIGUOUS
    sealed: Sealed = (same_index or candidates)[0][2]
    return sealed


def _origin(entry: PluginConfig) -> str:
    try:
        return endpoint_origin(entry.settings)
    except ValueError:  # the plugin's schema reports it with the right pointer
        return "no address"
