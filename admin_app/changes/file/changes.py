"""What a plan changes, thing by thing, with places in the file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shared.core.json_pointer import escape_step, parse_path
from shared.documents.fields import READ_ONLY
from shared.documents.history.differences import Difference
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument

#: Members of an owner that have things by their names.
_KINDS: Final = frozenset({"rules", "providers", "models", "api_keys", "prices"})
# What a new thing has that is no part of a file.
_HIDDEN: Final = frozenset({*READ_ONLY, "name", "prefix", "last_used_at", "status", "subdomain"})
_OPS: Final = {"add": "create", "remove": "delete", "change": "update"}

type PlanChange = dict[str, Any]


def names_by_id(*states: Snapshot | PlatformDocument | None) -> Mapping[str, str]:
    """Pointers to things by their names, by those with ids: ``/rules/chat`` by ``/rules/rule_1``."""
    found: dict[str, str] = {}
    for state in states:
        if state is None:
            continue
        owned = state.tenant if isinstance(state, Snapshot) else state
        found |= {f"/providers/{one.id}": f"/providers/{one.name}" for one in owned.providers}
        if isinstance(state, Snapshot):
            found |= {f"/rules/{one.id}": f"/rules/{one.name}" for one in state.rules}
            found |= {f"/api_keys/{one.id}": f"/api_keys/{escape_step(one.name)}" for one in state.keys}
    return found


def named(pointer: str, names: Mapping[str, str], at: str) -> str:
    """A pointer with names in place of ids, into the file, in which the owner is `at`."""
    head = "/".join(pointer.split("/")[:3])
    return at + names.get(head, head) + pointer[len(head) :]


def plan_changes(
    differences: Sequence[Difference], names: Mapping[str, str], at: str, whole: str
) -> list[PlanChange]:
    """The changes of one owner. `whole` is its own change: ``create``, ``update`` or ``delete``."""
    groups: dict[str, list[Difference]] = {}
    for one in differences:
        steps = parse_path(one["path"])
        thing = "/".join(one["path"].split("/")[:3]) if steps[0] in _KINDS and len(steps) > 1 else ""
        groups.setdefault(thing, []).append(one)
    return [_change(thing, group, names, at, whole) for thing, group in groups.items()]


def _change(
    thing: str, group: Sequence[Difference], names: Mapping[str, str], at: str, whole: str
) -> PlanChange:
    is_whole = bool(thing) and len(group) == 1 and group[0]["path"] == thing
    op = (_OPS[group[0]["op"]] if is_whole else "update") if thing else whole
    differences = [{**one, "path": one["path"][len(thing) :]} for one in group]
    if is_whole:
        differences = [{name: _shown(value) for name, value in one.items()} for one in differences]
    return {"op": op, "path": named(thing, names, at) if thing else at, "differences": differences}


def _shown(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: one for name, one in value.items() if name not in _HIDDEN}


def summary_of(changes: Iterable[PlanChange]) -> dict[str, int]:
    """How many things are created, changed and removed."""
    counts = dict.fromkeys(("create", "update", "delete"), 0)
    for one in changes:
        counts[one["op"]] += 1
    return counts
