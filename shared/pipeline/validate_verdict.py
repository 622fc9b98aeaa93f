"""Whether a plugin returned a verdict that is allowed at its stage."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeGuard

from shared.core.http_tokens import TOKEN
from shared.core.memo import BoundedDict, Memo
from shared.model.config import Stage
from shared.model.messages import Headers, Response
from shared.pipeline.plugin import CONTINUE, Continue, Patch, Plugin, Reject, Respond

_NAME = re.compile(TOKEN)
# Text that can be sent: no control characters, no lone surrogates.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\ud7ff\ue000-\U0010ffff]*")
_TEXT = re.compile(r"[^\ud800-\udfff]*")
_DEEPEST = 100  # levels of an error body; the bound of orjson is 254
# The gateway frames messages itself: a response with the wrong frame would be read as two.
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})
# Names repeat, so each is judged once. isinstance of an abstract class is slow for the usual maps.
_IS_NAME: Memo[str, bool] = Memo(lambda name: _NAME.fullmatch(name) is not None)
_IS_FRAMING: Memo[str, bool] = Memo(lambda name: name.lower() in _FRAMING)
_MAPS = (dict, MappingProxyType)


def invalid_reason(outcome: object, stage: Stage, plugin: Plugin) -> str | None:
    """Why `outcome` is not a verdict that `plugin` may return at `stage`; None if it is one."""
    if outcome is CONTINUE or (type(outcome) is Continue and type(outcome.notes) in _MAPS):
        return None  # the usual case
    if isinstance(outcome, Continue | Reject | Respond | Patch):
        if not _is_map(outcome.notes):
            return "its notes are not a map"
        if stage is Stage.POST_RESPONSE and not isinstance(outcome, Continue):
            return f"{type(outcome).__name__} is not possible at post_response"
    match outcome:
        case Continue():
            return None
        case Reject():
            return _faulty_reject(outcome)
        case Respond():
            return _faulty_respond(outcome, stage)
        case Patch():
            return _faulty_patch(outcome, stage, plugin)
    return f"it returned {type(outcome).__name__}, not a verdict"


def _faulty_reject(verdict: Reject) -> str | None:
    if not _is_status(verdict.status, 400):
        return f"it rejected with the status {verdict.status!r}, not with one from 400 to 599"
    if not isinstance(verdict.code, str) or not isinstance(verdict.message, str):
        return "it rejected with a code or a message that is not text"
    details = verdict.details
    if not isinstance(details, Mapping) or not _is_json([verdict.code, verdict.message, dict(details)]):
        return "it rejected with a message or details that cannot be written as JSON"
    if not _is_map(verdict.headers):
        return "its headers are not a map"
    return _faulty_headers([*verdict.headers.items()])


def _faulty_respond(verdict: Respond, stage: Stage) -> str | None:
    response = verdict.response
    if stage is not Stage.PRE_REQUEST:
        return f"Respond is not possible at {stage}"
    if not isinstance(response, Response) or not isinstance(response.headers, Headers):
        return "its response is not a Response"
    if not _is_status(response.status, 200):
        return f"it responded with the status {response.status!r}, not with one from 200 to 599"
    if not isinstance(response.body, bytes | None):
        return "its body is not bytes"
    return _faulty_headers(response.headers.items)


def _faulty_patch(verdict: Patch, stage: Stage, plugin: Plugin) -> str | None:
    if not _is_map(verdict.set_headers):
        return "its headers are not a map"
    used = {
        "headers": bool(verdict.set_headers or verdict.remove_headers),
        "body": verdict.body is not None,
        "status": verdict.status is not None,
    }
    undeclared = [part for part, touched in used.items() if touched and part not in plugin.changes]
    if undeclared:
        return f"it changed the {' and '.join(undeclared)}, which it does not declare"
    if used["status"] and (stage is Stage.PRE_REQUEST or not _is_status(verdict.status, 200)):
        return f"it set the status {verdict.status!r}"
    if used["body"] and stage is Stage.POST_REQUEST:
        return "a body cannot be changed at post_request"
    if not isinstance(verdict.body, bytes | None):
        return "its body is not bytes"
    removed = verdict.remove_headers
    if isinstance(removed, str) or not isinstance(removed, Collection):
        return "the headers that it removed are not a list of names"
    return _faulty_changes([*[(name, "") for name in removed], *verdict.set_headers.items()])


def invalid_headers_reason(headers: object) -> str | None:
    """Why a plugin may not set these headers on a response; None if it may."""
    if not _is_map(headers):
        return "its headers are not a map"
    return None if _are_plain(headers) else _faulty_changes([*headers.items()])


def _faulty_changes(headers: Collection[tuple[Any, Any]]) -> str | None:
    if why := _faulty_headers(headers):
        return why
    framing = sorted({name.lower() for name, _ in headers if _IS_FRAMING[name]})
    return f"it changed {' and '.join(framing)}, which the gateway sets itself" if framing else None


def _are_plain(headers: Mapping[Any, Any]) -> bool:
    """Whether all names are allowed and all values printable ASCII: a quick check of the usual case."""
    try:
        values = "".join(headers.values())
        return values.isascii() and values.isprintable() and _ALLOWED[tuple(headers)]
    except TypeError:
        return False  # one of them is not text


class _AllowedNames(BoundedDict[tuple[Any, ...], bool]):
    """Whether a plugin may set headers of those names. The same plugin sets the same ones again."""

    def __missing__(self, names: tuple[Any, ...]) -> bool:
        return self.keep(names, _faulty_changes([(name, "") for name in names]) is None)


_ALLOWED = _AllowedNames(256)


def _is_map(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return type(value) in _MAPS or isinstance(value, Mapping)


def _is_json(value: object, depth: int = 0) -> bool:
    """Whether orjson can write the value. It writes no subclass of tuple or float."""
    if isinstance(value, str):
        return _TEXT.fullmatch(value) is not None
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and _is_json([*value, *value.values()], depth)
    if isinstance(value, list) or type(value) is tuple:
        return depth < _DEEPEST and all(_is_json(inner, depth + 1) for inner in value)
    return value is None or type(value) is float


def _is_status(status: object, least: int) -> bool:
    return isinstance(status, int) and least <= status <= 599


def _faulty_headers(headers: Collection[tuple[Any, Any]]) -> str | None:
    for name, value in headers:
        if not isinstance(name, str) or not _IS_NAME[name]:
            return f"it named a header {name!r}"
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            return f"it set the header {name} to a value that cannot be sent"
    return None
