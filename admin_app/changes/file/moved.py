"""Stored things to which a file gives other names: they keep their ids, secrets and usage."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from shared.core.errors import Invalid, Problem
from shared.core.json_pointer import escape_step
from shared.documents.file.normal import file_keys
from shared.documents.file.parse import MOVED
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument

#: By section, the names that stored things have, with those that they get.
type Moved = Mapping[str, Mapping[str, str]]


def check_moved(moved: Moved, stored: Snapshot | PlatformDocument) -> list[Problem]:
    """Warnings about names that nothing has. Raises `Invalid` if both names are taken.

    No warning is about a name that was given already: the file can stay as it is.
    """
    names = _names(stored)
    both, neither = [], []
    for kind, at, old, new in _each(moved):
        is_old, is_new = old in names[kind], new in names[kind]
        if is_old and is_new:
            both.append(Problem(at, f"{old} and {new} are both stored. Delete one, or remove this line."))
        elif not is_old and not is_new:
            neither.append(Problem(at, f"There is no {old}, so {new} is a new one. Correct the old name."))
    if both:
        raise Invalid(both)
    return neither


def with_moved_keys(before: Snapshot, moved: Moved) -> Snapshot:
    """The tenant whose API keys have their new names; so do replaced ones that are still valid."""
    names = moved.get("api_keys")
    if not names:
        return before
    keys = [key if key.revoked else replace(key, name=names.get(key.name, key.name)) for key in before.keys]
    return replace(before, keys=tuple(keys))


def _each(moved: Moved) -> Iterator[tuple[str, str, str, str]]:
    """Each section, pointer, old name and new name."""
    for kind, names in moved.items():
        for old, new in names.items():
            yield kind, f"/{MOVED}/{kind}/{escape_step(old)}", old, new


def _names(stored: Snapshot | PlatformDocument) -> Mapping[str, Collection[str]]:
    owner = stored.tenant if isinstance(stored, Snapshot) else stored
    found = {
        "providers": {one.name for one in owner.providers},
        "webhooks": {one.name for one in owner.webhooks},
    }
    if isinstance(stored, Snapshot):
        found["rules"] = {one.name for one in stored.rules}
        found["budgets"] = {one.name for one in stored.tenant.budgets}
        found["api_keys"] = {one.name for one in file_keys(stored.keys)}
    return found
