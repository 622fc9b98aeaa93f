"""The spans of a request that is over, as plain values: made of its line of the log and of its decision.

    SERVER    {method} {path of the rule}
      INTERNAL  plugin {name}            each, if the steps of the request were traced
      CLIENT    {operation} {model}      each attempt

Nothing here has a body, a query or a credential: the line and the decision have none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from shared.metrics import names

SERVER, CLIENT, INTERNAL = "server", "client", "internal"
#: The span of a plugin or of an attempt has at most so many siblings.
MAX_CHILDREN: Final = 64
# The spans of plugins follow those of attempts.
_PLUGINS_FROM: Final = 1_000

_PORT: Final = re.compile(r":[0-9]*$")

#: The value of an attribute.
Value = str | int | float | bool | tuple[str, ...]
Attributes = dict[str, Value]


class Called(NamedTuple):
    """A target of a request to a model: the kind and the name of its provider, and its model there."""

    kind: str
    provider: str
    model: str


class Finished(NamedTuple):
    """A request that is over.

    Attributes:
        at: when it ended, in seconds since the epoch.
        line: its line of the log.
        decision: how it was decided, with times of one monotonic clock.
        route: the path of its rule; empty without one.
        trace_id, parent: of its trace, and the client's span; empty if the trace begins here.
        span: the id of its own span; the attempts have the ids that follow.
        attempts: how many attempts were begun.
        called: the targets of a request to a model, by their ids; the last one also by the empty id.
    """

    at: float
    line: Mapping[str, Any]
    decision: Mapping[str, Any]
    route: str
    trace_id: str
    parent: str
    span: int
    attempts: int
    called: Mapping[str, Called]


class Span(NamedTuple):
    """A span. Times are in seconds since the epoch.

    Attributes:
        name: its name, such as ``GET /v1`` or ``chat gpt-5.6``.
        kind: server, client or internal.
        trace_id: the id of the trace.
        id, parent: the ids of the span, and of the one above it; None at the beginning of a trace.
        started, ended: its times.
        attributes: those that are known.
        events: names and times.
        is_error: whether it failed.
    """

    name: str
    kind: str
    trace_id: str
    id: int
    parent: int | None
    started: float
    ended: float
    attributes: Attributes
    events: Sequence[tuple[str, float]] = ()
    is_error: bool = False


class _Times:
    """The times of a request since the epoch, made of those of its monotonic clock."""

    def __init__(self, one: Finished) -> None:
        self.ended = one.at
        self.started = one.at - one.line["milliseconds"] / 1000
        self._shift = self.started - one.decision["started"]

    def of(self, monotonic: float | None) -> float | None:
        return None if monotonic is None else min(monotonic + self._shift, self.ended)


def spans_of(one: Finished) -> list[Span]:
    """The spans of a request, its own first."""
    times = _Times(one)
    return [_server(one, times), *_attempts(one, times), *_plugins(one, times)][: 1 + 2 * MAX_CHILDREN]


def _server(one: Finished, times: _Times) -> Span:
    line, decision = one.line, one.decision
    attributes: dict[str, Any] = {
        names.HTTP_METHOD: line["method"],
        names.HTTP_ROUTE: one.route,
        names.URL_PATH: line["path"],
        names.HTTP_STATUS: line["status"],
        names.SERVER_ADDRESS: _PORT.sub("", line["host"] or ""),
        names.ERROR_TYPE: line["code"],
        **{attribute: line[name] for name, attribute in names.OWN_ATTRIBUTES.items()},
        names.COST_USD: float(cost) if line["ai"] and (cost := line["ai"]["cost"]) else None,
        names.LIMIT_VIOLATED: _limit(decision.get("reached")),
    }
    events = []
    if (first := times.of(decision["first"])) is not None:
        events.append(("first_token", first))
        if line["code"]:
            events.append(("cut", times.ended))
    status = line["status"]
    return Span(
        name=f"{line['method']} {one.route}".rstrip(),
        kind=SERVER,
        trace_id=one.trace_id,
        id=one.span,
        parent=int(one.parent, 16) if one.parent else None,
        started=times.started,
        ended=times.ended,
        attributes=_known(attributes),
        events=events,
        is_error=status is None or status >= 500,
    )


def _limit(reached: Mapping[str, Any] | None) -> str | None:
    return None if reached is None else f"{reached.get('scope')} {reached.get('name')}"


def _attempts(one: Finished, times: _Times) -> Iterator[Span]:
    line, decision = one.line, one.decision
    forwarded, ended = times.of(decision["forwarded"]), times.of(decision["ended"]) or times.ended
    if forwarded is None:
        return
    ai = line["ai"]
    calls: Sequence[Mapping[str, Any]] = (line["targets"] if ai is None else ai["attempts"]) or ()
    began = [times.of(at) or forwarded for at in decision.get("began", ())]
    for number, (call, start) in enumerate(zip(calls[:MAX_CHILDREN], began, strict=False), 1):
        is_last = number == one.attempts
        end = ended if is_last and not call["why"] else start + call["ms"] / 1000
        yield _attempt(one, number, (start, end), call, is_last=is_last)
    if one.attempts > len(calls):  # what a rule with one target calls, and a call that was cut
        status, is_cut = line["upstream_status"], bool(line["cause"])
        call = {"status": status or 0, "why": line["cause"] if is_cut else "" if status else "cut"}
        yield _attempt(one, one.attempts, (forwarded, ended), call, is_last=True)


def _attempt(
    one: Finished, number: int, times: tuple[float, float], call: Mapping[str, Any], *, is_last: bool
) -> Span:
    """The span of the attempt with that number. `call` is as in the log; `times` are its start and end."""
    started, ended = times
    line, ai = one.line, one.line["ai"]
    target = call.get("target") or ""
    called = one.called.get(target)
    host, _, port = (line["upstream"] or "").rpartition(":") if is_last else ("", "", "")
    attributes: dict[str, Any] = {
        names.HTTP_METHOD: line["method"],
        names.HTTP_STATUS: call["status"] or None,
        names.SERVER_ADDRESS: (host or port) or None,
        names.SERVER_PORT: int(port) if host and port.isdecimal() else None,
        names.ERROR_TYPE: call["why"] or None,
        names.TARGET: target or None if ai is None else None,
    }
    name = str(line["method"])
    if ai is not None:
        operation = names.OPERATIONS.get(ai["api"], ai["api"])
        attributes |= {
            names.OPERATION: operation,
            names.PROVIDER_KEY: call.get("key") or (ai["provider_key"] if is_last else None),
            names.REQUEST_STREAM: line["stream"] or None,
        }
        name = operation
        if called is not None:
            name = f"{operation} {called.model}"
            attributes |= {
                names.PROVIDER: names.PROVIDERS.get(called.kind, called.kind),
                names.PROVIDER_NAME: called.provider,
                names.REQUEST_MODEL: called.model,
            }
        if is_last and not call["why"]:
            attributes |= _use(one, ai, started)
    return Span(
        name=name,
        kind=CLIENT,
        trace_id=one.trace_id,
        id=one.span + number,
        parent=one.span,
        started=started,
        ended=ended,
        attributes=_known(attributes),
        is_error=bool(call["why"]) or (call["status"] or 0) >= 400,
    )


def _use(one: Finished, ai: Mapping[str, Any], started: float) -> dict[str, Any]:
    """The attributes of the use of a model by a call that `started` then."""
    found: dict[str, Any] = {attribute: ai.get(name) for name, attribute in names.USAGE_ATTRIBUTES.items()}
    if ai.get("finish"):
        found[names.FINISH_REASONS] = (ai["finish"],)
    first = _Times(one).of(one.decision["first"])
    if one.line["stream"] and first is not None:
        found[names.FIRST_CHUNK] = max(first - started, 0.0)
    return found


def _plugins(one: Finished, times: _Times) -> Iterator[Span]:
    """The spans of plugins, as far as their times are known."""
    steps = [step for step in one.decision.get("steps", ()) if step.get("seconds") is not None]
    for number, step in enumerate(steps[:MAX_CHILDREN], _PLUGINS_FROM):
        started = times.of(step["started"]) or times.started
        attributes: dict[str, Any] = {
            names.PLUGIN: step["plugin"],
            names.PLUGIN_STAGE: step["stage"],
            names.PLUGIN_VERDICT: step["verdict"],
            names.ERROR_TYPE: step.get("code") or ("fault" if step.get("fault") else None),
        }
        yield Span(
            name=f"plugin {step['plugin']}",
            kind=INTERNAL,
            trace_id=one.trace_id,
            id=one.span + number,
            parent=one.span,
            started=started,
            ended=started + step["seconds"],
            attributes=_known(attributes),
            is_error=bool(step.get("fault")),
        )


def _known(attributes: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None and value != ""}
