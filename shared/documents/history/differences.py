"""The differences between two states of an owner, as JSON pointers into the API's own documents.

Lists of things with ids are by id, so a pointer stays right when others are added: ``/rules/rule_1/target``.
A secret is never shown: ``{"set": true}``, with ``changed`` when another one was stored.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from shared.config_store.records.contents import Content, Document, PlatformContent, ids_of, unshared
from shared.core.json_pointer import escape_step, parse_path
from shared.documents.ai.budget import budget_document
from shared.documents.ai.model import model_document
from shared.documents.ai.provider import provider_document
from shared.documents.alerts.webhook import webhook_document
from shared.documents.api_key import api_key_document
from shared.documents.history.versions import settings_document
from shared.documents.rule import rule_document
from shared.model.config import Snapshot
from shared.model.sealed import Sealed

#: Members that differ with every change, or never.
_TIMES = frozenset({"id", "created_at", "updated_at", "version", "last_used_at", "status_at"})

#: One difference: `op` is ``add``, ``remove`` or ``change``; `path`; `before` and `after`, if they exist.
type Difference = dict[str, Any]
type _Dump = Callable[[Any], Mapping[str, Any]]


def content_differences(before: Content | None, after: Content | None) -> list[Difference]:
    """The differences between two versions; None stands for an empty one."""
    platform = isinstance(after or before, PlatformContent)
    found: list[Difference] = []
    if not platform:
        found += _differences("", _settings(before), _settings(after))
        found += _parts("rules", before, after, rule_document)
    for kind, document in (("providers", provider_document), ("models", model_document)):
        found += _parts(kind, before, after, partial(document, is_platforms=platform))
    found += _parts("webhooks", before, after, webhook_document)
    if not platform:
        found += _parts("budgets", before, after, budget_document)
    else:
        old, new = (one.prices if isinstance(one, PlatformContent) else {} for one in (before, after))
        found += _items("prices", old, new, lambda one: one)
    return found


def snapshot_differences(before: Snapshot | None, after: Snapshot | None, now: float) -> list[Difference]:
    """The differences between two states of a tenant, with its API keys, status and subdomain."""
    states = (before, after)
    old, new = ({key.id: key for key in one.keys} if one else {} for one in states)
    return [
        *content_differences(*(Document.of(one) if one else None for one in states)),
        *_differences("", *map(_state, states)),
        *_items("api_keys", old, new, partial(api_key_document, now=now)),
    ]


def _parts(kind: str, before: Content | None, after: Content | None, dump: _Dump) -> Iterator[Difference]:
    """The differences of the parts of a kind. Those that are the same objects are not looked at."""
    parts = unshared(*(one.parts(kind) if one else () for one in (before, after)))
    old, new = (dict(zip(ids_of(kind, some), some, strict=True)) for some in parts)
    return _items(kind, old, new, dump)


def _settings(content: Any) -> Mapping[str, Any]:
    if content is None:
        return {}
    compared: Mapping[str, Any] = _comparable(settings_document(content), content)
    return compared


def _state(snapshot: Snapshot | None) -> Mapping[str, Any]:
    tenant = snapshot and snapshot.tenant
    return {"status": tenant.status, "subdomain": tenant.subdomain} if tenant else {}


def _items(
    kind: str, before: Mapping[str, Any], after: Mapping[str, Any], dump: _Dump
) -> Iterator[Difference]:
    """The differences of things by their ids."""
    for one in {**before, **after}:
        old, new = before.get(one), after.get(one)
        if old == new:
            continue
        path = f"/{kind}/{escape_step(one)}"
        if old is None:
            yield {"op": "add", "path": path, "after": dump(new)}
        elif new is None:
            yield {"op": "remove", "path": path, "before": dump(old)}
        else:
            yield from _differences(path, _comparable(dump(old), old), _comparable(dump(new), new))


class _Secret:
    """A secret in a document that is compared: equal only to the same stored one. `mask` is shown for it."""

    def __init__(self, text: str, mask: Mapping[str, Any]) -> None:
        self.text = text
        self.mask = mask

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Secret) and other.text == self.text

    __hash__ = None  # type: ignore[assignment]  # it is only compared


def _comparable(document: Any, value: Any) -> Any:
    """A document that was made of `value`, with the secrets that it masks, so that it can be compared."""
    if isinstance(document, Mapping):
        if isinstance(value, Sealed):
            return _Secret(value.text, document)
        return {name: _comparable(one, _member(value, name)) for name, one in document.items()}
    if isinstance(document, list) and isinstance(value, list | tuple) and len(value) == len(document):
        return [_comparable(one, inner) for one, inner in zip(document, value, strict=True)]
    return document


def _member(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    is_record = is_dataclass(value) and any(one.name == name for one in fields(value))
    return getattr(value, name) if is_record else None


def _masked(value: Any) -> Any:
    """A value as it is shown, with secrets masked."""
    if isinstance(value, _Secret):
        return value.mask
    if isinstance(value, Mapping):
        return {name: _masked(one) for name, one in value.items()}
    return [_masked(one) for one in value] if isinstance(value, list) else value


def _differences(path: str, before: Any, after: Any) -> Iterator[Difference]:
    """The differences between two JSON values."""
    if before == after:
        return
    if isinstance(before, _Secret) and isinstance(after, _Secret):
        yield {
            "op": "change",
            "path": path,
            "before": before.mask,
            "after": {**after.mask, "changed": True},
        }
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in {**before, **after}:
            if name not in _TIMES or path.count("/") > 2:
                yield from _step(f"{path}/{escape_step(name)}", before, after, name)
    elif isinstance(before, list) and isinstance(after, list):
        old, new = dict(enumerate(before)), dict(enumerate(after))
        for at in range(max(len(old), len(new))):
            yield from _step(f"{path}/{at}", old, new, at)
    else:
        yield {"op": "change", "path": path, "before": _masked(before), "after": _masked(after)}


def _step(
    path: str, before: Mapping[Any, Any], after: Mapping[Any, Any], name: object
) -> Iterator[Difference]:
    if name not in before:
        yield {"op": "add", "path": path, "after": _masked(after[name])}
    elif name not in after:
        yield {"op": "remove", "path": path, "before": _masked(before[name])}
    else:
        yield from _differences(path, before[name], after[name])


#: The longest summary, in characters.
MAX_SUMMARY = 200
_VERBS = {"add": "added", "remove": "removed", "change": "changed"}
# The names of the members with ids.
_KINDS = {
    "rules": "rule",
    "providers": "provider",
    "models": "model",
    "budgets": "budget",
    "prices": "price",
    "api_keys": "API key",
    "tokens": "token",
    "webhooks": "webhook",
}


def summary(differences: Sequence[Difference], names: Mapping[str, str]) -> str:
    """The differences in one line: ``rule /v1 changed (target); provider a added``.

    A whole tenant is ``created``. `names` are those of things by their pointers, such as ``/rules/rule_1``.
    """
    found: dict[str, list[str]] = {}
    whole = {one["op"] for one in differences if one["path"] == "/name"}  # no tenant is without a name
    own = "created" if "add" in whole else "deleted" if "remove" in whole else ""
    for one in differences:
        kind, thing, member = (*parse_path(one["path"]), "", "")[:3]
        if kind not in _KINDS:
            found.setdefault(own or f"{kind} changed", [])
            continue
        name = names.get(f"/{kind}/{escape_step(thing)}", thing)
        verb = _VERBS["change" if member else one["op"]]
        members = found.setdefault(f"{_KINDS[kind]} {name} {verb}", [])
        if member and member not in members:
            members.append(member)
    text = "; ".join(f"{part} ({', '.join(members)})" if members else part for part, members in found.items())
    return text if len(text) <= MAX_SUMMARY else f"{text[: MAX_SUMMARY - 1]}…"


# The members whose names a summary shows, and the name.
_NAMES: Mapping[str, Callable[[Any], str]] = {
    "rules": attrgetter("path"),
    "providers": attrgetter("name"),
    "budgets": attrgetter("name"),
    "webhooks": attrgetter("name"),
    "api_keys": attrgetter("name"),
}


def names_of(differences: Iterable[Difference], *states: Snapshot | Content | None) -> Mapping[str, str]:
    """The names of the things that differ between some states, for `summary`."""
    changed = {tuple(parse_path(one["path"])[:2]) for one in differences}
    found: dict[str, str] = {}
    for kind, name_of in _NAMES.items():
        ids = {one[1] for one in changed if one[0] == kind and len(one) > 1}
        for state in states if ids else ():
            things = _things(state, kind)
            found |= {f"/{kind}/{escape_step(one.id)}": name_of(one) for one in things if one.id in ids}
    return found


def _things(state: Snapshot | Content | None, kind: str) -> Sequence[Any]:
    """The things of a kind with ids; none where a state has no such kind."""
    if isinstance(state, Snapshot):
        return state.keys if kind == "api_keys" else _things(Document.of(state), kind)
    things: Sequence[Any] = getattr(state, kind, ())
    return things
