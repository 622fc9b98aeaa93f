"""A request record as it is stored: `event` is what lists show, `trace` the rest, which one request shows.

Both are JSON of bounded length. They are made of the line of the access log and of the decision, so they have
no body, no query and no credential.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from shared.core.empty import EMPTY
from shared.log_lines import ACCESS, KINDS, fields_of
from shared.logs import dump_line
from shared.records.line import SAME, SHOWN, SHOWN_FROM, SHOWN_TO, AccessLine

#: The longest parts of a record, in bytes.
MAX_EVENT: Final = 700
MAX_TRACE: Final = 3_072
#: The member of a trace that was shortened.
CUT: Final = "cut"
# Members of `ai` that the event has under these names.
_AI: Final = (
    ("model", "model"),
    ("provider", "provider"),
    ("input", "input"),
    ("input_cached", "cached"),
    ("output", "output"),
    ("usage_source", "usage_source"),
    ("cost", "cost"),
)
_IN_EVENT: Final = frozenset((*SAME, *SHOWN))
# They are never cut: requests are found by them. All are short.
_IDS: Final = frozenset({"request_id", "tenant", "rule", "key"})
# Texts of at most so many bytes and lists of at most so many items, until a part is short enough.
_CUTS: Final = ((160, 20), (60, 8), (24, 3), (6, 1))
_LINE: Final = tuple(
    field.name
    for kind in KINDS
    if kind.logger == ACCESS
    for field in fields_of(kind)
    if field.is_always_there
)
#: How a request was decided, as far as JSON has it.
Decision = dict[str, Any]


def encoded(at: float, line: AccessLine, decision: Decision) -> tuple[bytes, bytes]:
    """The event and the trace of a request that ended `at`, in seconds since the epoch.

    It is called for each request, so it makes few calls itself.
    """
    members = line.members
    ai = members["ai"]
    calls = members["targets"] if ai is None else ai["attempts"]
    more = {"time": at, "attempts": members["attempts"] if not calls else len(calls) if calls[1:] else 1}
    if members["retry_count"] is not None:  # requests of one SDK call are told by their length
        more["length"] = decision.get("length", 0)
    if ai is not None:
        for inner, name in _AI:
            if (value := ai[inner]) is not None:
                more[name] = value
    end = line.json.index(SHOWN_TO)
    try:
        event = b"".join((b"{", line.json[SHOWN_FROM : end + 1], orjson.dumps(more)[1:]))
        trace = b"".join((b'{"line":{', line.json[end + 1 :], b',"decision":', orjson.dumps(decision), b"}"))
    except TypeError:  # half a surrogate pair, an integer of over 64 bits
        event = trace = b" " * (MAX_TRACE + 1)
    if event[MAX_EVENT:]:
        event = _shortened(_known({**{name: members[name] for name in SHOWN}, **more}), MAX_EVENT)
    if trace[MAX_TRACE:]:
        rest_of_line = {name: value for name, value in members.items() if name not in _IN_EVENT}
        trace = _shortened({"line": _known(rest_of_line), "decision": decision}, MAX_TRACE)
    return event, trace


def _known(members: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in members.items() if value or value == 0}


def whole_line(event: Mapping[str, Any], trace: Mapping[str, Any]) -> dict[str, Any]:
    """The line of the log as it was, as far as it was kept. `time` is in seconds since the epoch."""
    known = {**SAME, "faults": [], "shadow": [], "time": event["time"]}
    known |= {name: event[name] for name in SHOWN if name in event}
    return {**dict.fromkeys(_LINE), **known, **trace.get("line", EMPTY)}


def _shortened(members: Mapping[str, Any], most: int) -> bytes:
    """The JSON of the members, with shorter texts and lists and a mark if it would be too long."""
    found = dump_line(members)
    for length, items in _CUTS:
        if len(found) <= most:
            return found
        found = dump_line({**_cut(members, length, items), CUT: True})
    return found if len(found) <= most else dump_line({CUT: True})


def _cut(value: Any, length: int, items: int) -> Any:
    match value:  # the usual types first
        case None | bool() | int() | float():
            return value
        case str() if len(whole := value.encode(errors="replace")) > length:
            return whole[:length].decode(errors="ignore") + "…"
        case list() | tuple():
            return [_cut(inner, length, items) for inner in value[:items]]
        case dict() | Mapping():
            return {
                name: inner if name in _IDS else _cut(inner, length, items) for name, inner in value.items()
            }
    return value
