"""Whether what a plugin returned is a verdict that it may give at its stage."""

import re
from collections.abc import Mapping

from shared.core.model import Stage
from shared.core.plugin import Continue, Patch, Plugin, Reject, Respond

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")


def faulty(outcome: object, stage: Stage | None, plugin: Plugin) -> str | None:
    """Why `outcome` is no verdict that `plugin` may give at `stage`; None when it is one.

    `stage` is None for a plugin's answer headers.
    """
    match outcome:
        case Continue():
            return None
        case Reject():
            return _faulty_reject(outcome, stage)
        case Respond():
            if stage is not Stage.PRE_REQUEST:
                return f"Respond is not possible at {stage}"
            return _faulty_headers(dict(outcome.response.headers))
        case Patch():
            return _faulty_patch(outcome, stage, plugin)
    return getattr(outcome, "why", None) or f"it returned {type(outcome).__name__}, not a verdict"


def _faulty_reject(verdict: Reject, stage: Stage | None) -> str | None:
    if stage is Stage.POST_RESPONSE:
        return "Reject is not possible at post_response"
    if not isinstance(verdict.status, int) or not 400 <= verdict.status <= 599:
        return f"it rejected with the status {verdict.status!r}, not with one from 400 to 599"
    return _faulty_headers(verdict.headers)


def _faulty_patch(verdict: Patch, stage: Stage | None, plugin: Plugin) -> str | None:
    if stage is Stage.POST_RESPONSE:
        return "Patch is not possible at post_response"
    used = set()
    if verdict.set_headers or verdict.remove_headers:
        used.add("headers")
    if verdict.body is not None:
        used.add("body")
    if verdict.status is not None:
        used.add("status")
    if stage is not None and used - plugin.changes:
        return f"it changed the {' and '.join(sorted(used - plugin.changes))}, which it does not declare"
    if "status" in used and (stage is Stage.PRE_REQUEST or not 200 <= (verdict.status or 0) <= 599):
        return f"it set the status {verdict.status!r}"
    if "body" in used and (stage is Stage.POST_REQUEST or not isinstance(verdict.body, bytes)):
        return (
            f"a body cannot be changed at {stage}" if stage is Stage.POST_REQUEST else "its body is not bytes"
        )
    return _faulty_headers(verdict.set_headers)


def _faulty_headers(headers: Mapping[str, str]) -> str | None:
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return f"it set a header with the name {name!r}"
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            return f"it set the header {name} to a value that cannot be sent"
    return None
