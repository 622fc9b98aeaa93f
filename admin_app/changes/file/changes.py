"""The changes of a plan, one by one, each with its place in the file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from shared.core.errors import Problem
from shared.core.json_pointer import escape_step, parse_path
from shared.documents.fields import READ_ONLY
from shared.documents.file.normal import NormalForm
from shared.documents.file.parse import MOVED
from shared.documents.history.differences import Difference
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument

#: Members of an owner that have things by their names.
_KINDS: Final = frozenset({"rules", "providers", "models", "budgets", "webhooks", "api_keys", "prices"})
# Fields of a new object that are not part of a file.
_HIDDEN: Final = frozenset({*READ_ONLY, "name", "prefix", "last_used_at", "status", "subdomain"})
# So much of a new thing is equal to one that goes, if it may have been renamed.
_ALIKE: Final = 0.8
#: So many things of a kind are compared with so many others: each pair takes a few microseconds.
COMPARED: Final = 200
_OPS: Final = {"add": "create", "remove": "delete", "change": "update"}

type PlanChange = dict[str, Any]
type _Compared = tuple[str, Sequence[Any], Sequence[Any], Callable[[Any], Mapping[str, Any]]]


def names_by_id(*states: Snapshot | PlatformDocument | None) -> Mapping[str, str]:
    """Pointers to things by their names, by those with ids: ``/rules/chat`` by ``/rules/rule_1``."""
    found: dict[str, str] = {}
    for state in states:
        if state is None:
            continue
        owned = state.tenant if isinstance(state, Snapshot) else state
        found |= {f"/providers/{one.id}": f"/providers/{one.name}" for one in owned.providers}
        found |= {f"/webhooks/{one.id}": f"/webhooks/{one.name}" for one in owned.webhooks}
        if isinstance(state, Snapshot):
            found |= {f"/rules/{one.id}": f"/rules/{one.name}" for one in state.rules}
            found |= {
                f"/budgets/{one.id}": f"/budgets/{escape_step(one.name)}" for one in state.tenant.budgets
            }
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
        differences = [{name: _without_hidden(value) for name, value in one.items()} for one in differences]
    return {"op": op, "path": named(thing, names, at) if thing else at, "differences": differences}


def _without_hidden(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: one for name, one in value.items() if name not in _HIDDEN}


def summary_of(changes: Iterable[PlanChange]) -> dict[str, int]:
    """How many things are created, changed and removed."""
    counts = dict.fromkeys(("create", "update", "delete"), 0)
    for one in changes:
        counts[one["op"]] += 1
    return counts


def renamed[Owner: (Snapshot, PlatformDocument)](
    before: Owner, after: Owner, form: NormalForm, at: str
) -> Iterator[Problem]:
    """A warning for each new thing of an owner that is like one that goes: a name is what identifies it."""
    for kind, old, new, shown in _compared(before, after, form):
        stored, wanted = {one.id for one in old}, {one.id for one in new}
        gone = [one for one in old if one.id not in wanted]
        made = [one for one in new if one.id not in stored] if gone else []
        known = {one.name: shown(one) for one in gone[:COMPARED]}
        for one in made[:COMPARED]:
            own = shown(one)
            likeness, name = max((_likeness(other, own), name) for name, other in known.items())
            if likeness >= _ALIKE:
                detail = f"Renamed? It is like {name}, which is deleted"
                if kind != "models":  # which have no id
                    line = f"{MOVED}: {{{kind}: {{{name}: {one.name}}}}}"
                    detail += f" with its id, secrets and usage. {line} keeps them"
                yield Problem(f"{at}/{kind}/{escape_step(one.name)}", f"{detail}.")


def _compared(before: Any, after: Any, form: NormalForm) -> Iterator[_Compared]:
    """The sections of an owner that are compared."""
    if isinstance(before, PlatformDocument):
        provider, model = partial(form.provider, is_platforms=True), partial(form.model, is_platforms=True)
        yield "providers", before.providers, after.providers, provider
        yield "models", before.models, after.models, model
        return
    old, new = before.tenant, after.tenant
    yield "rules", before.rules, after.rules, form.rule
    yield "providers", old.providers, new.providers, form.provider
    yield "models", old.models, new.models, form.model
    yield "budgets", old.budgets, new.budgets, partial(form.budget, snapshot=after)


def _likeness(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The part of the members of both that are equal."""
    names = {*one, *other}
    equal = [name for name in names if one.get(name) == other.get(name)]
    return len(equal) / len(names)
