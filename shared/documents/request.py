"""Request records as JSON: a line of a list, and one request with its decision."""

from collections.abc import Container, Mapping
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.empty import EMPTY
from shared.core.fields import Pattern, Strict, Timestamp
from shared.records.reader import Filter, Record
from shared.records.record import CUT, whole_line

MAX_PAGE: Final = 200
_ID: Final = r"[0-9]{1,19}(-[0-9]{1,19})?"
# Of the log of a call of a provider: they may be the platform's own addresses.
_PLATFORMS_OWN: Final = ("upstream", "detail")


def _text(description: str, *checks: Any) -> fields.String:
    return fields.String(
        load_default=None, validate=[validate.Length(max=200), *checks], metadata={"description": description}
    )


class RequestsQuery(Strict):
    """The requests that are wanted."""

    after = _text(
        "The `id` of a request, or milliseconds since 1970: only newer ones.",
        Pattern(f"^{_ID}$", "Must be the id of a request, or milliseconds since 1970."),
    )
    before = _text(
        "The same: only older ones. `next_cursor` of the previous page.",
        Pattern(f"^{_ID}$", "Must be the id of a request, or milliseconds since 1970."),
    )
    status = _text(
        "A status such as 429, or a class such as 4xx.",
        Pattern(r"^[1-9][0-9]{2}$|^[1-9]xx$", "Must be a status such as 429, or a class such as 4xx."),
    )
    source = _text(
        "The origin of the response: gateway, plugin, upstream, or plugin:<name>.",
        Pattern(r"^(gateway|upstream|plugin(:\w+)?)$", "Must be gateway, upstream, or plugin:<name>."),
    )
    rule = _text("The id of a rule.")
    key = _text("The id of an API key.")
    model = _text("The name of a model, as it was asked for or as the provider knows it.")
    q = _text("A part of the path, the id of the request, the error code or the model, in any case.")
    limit = fields.Integer(
        load_default=50,
        validate=validate.Range(1, MAX_PAGE),
        metadata={"description": "Maximum number of requests."},
    )


def filter_of(query: Mapping[str, Any]) -> Filter:
    """The filter of a query."""
    names = ("status", "source", "rule", "key", "model")
    return Filter(**{name: query[name] for name in names}, text=query["q"])


def _maybe(description: str = "") -> dict[str, Any]:
    return {"required": True, "allow_none": True, "metadata": {"description": description}}


class RequestUsage(Schema):
    """What a call of a model used, in tokens."""

    input = fields.Integer(required=True)
    cached = fields.Integer(required=True)
    output = fields.Integer(required=True)
    source = fields.String(required=True, metadata={"description": "reported, estimated or mixed."})


class RequestSummary(Schema):
    """A request that is over."""

    id = fields.String(required=True, metadata={"description": "The id of the record."})
    request_id = fields.String(required=True, metadata={"description": "X-Request-ID of the response."})
    time = Timestamp("The end of the request.", required=True)
    tenant_id = fields.String(**_maybe("null if the request led to no tenant."))
    method = fields.String(required=True)
    path = fields.String(required=True, metadata={"description": "Without the query."})
    status = fields.Integer(**_maybe("null if the client got none."))
    source = fields.String(required=True, metadata={"description": "The origin of the response."})
    code = fields.String(**_maybe("The error code."))
    rule_id = fields.String(**_maybe())
    key_id = fields.String(**_maybe())
    model_asked = fields.String(**_maybe())
    model = fields.String(**_maybe("The name that the provider knows."))
    provider = fields.String(**_maybe())
    usage = fields.Nested(RequestUsage, **_maybe("null if no model was called."))
    cost_usd = fields.String(**_maybe("Decimal text; null if the price is not known."))
    stream = fields.Boolean(required=True)
    ttft_ms = fields.Float(**_maybe("Until the first byte of the body for the client."))
    milliseconds = fields.Float(required=True)
    attempts = fields.Integer(required=True, metadata={"description": "Calls of upstreams."})


class RequestList(Schema):
    """Requests, the newest first."""

    requests = fields.List(fields.Nested(RequestSummary), required=True)
    next_cursor = fields.String(**_maybe("`before` of the next page; null on the last."))


class RequestStep(Schema):
    """A step of the rule's plugins."""

    plugin = fields.String(required=True)
    stage = fields.String(**_maybe("null if the request was not traced."))
    verdict = fields.String(
        required=True,
        validate=validate.OneOf(["continue", "reject", "respond", "patch", "fault", "cancelled"]),
    )
    code = fields.String(**_maybe("Of a rejection."))
    fault = fields.String(**_maybe("Why the plugin failed."))
    at_ms = fields.Float(**_maybe("From the beginning of the request; null if it was not traced."))
    milliseconds = fields.Float(**_maybe("null if the request was not traced."))


class RequestLimit(Schema):
    """A limit that the request was charged to. `before` and `after` are what was left of it."""

    scope = fields.String(required=True)
    name = fields.String(required=True)
    unit = fields.String(required=True)
    limit = fields.Integer(required=True)
    window = fields.String(**_maybe("null for concurrent requests."))
    cost = fields.Integer(required=True)
    before = fields.Integer(required=True)
    after = fields.Integer(required=True)
    reset_after_ms = fields.Integer(**_maybe())


class RequestAttempt(Schema):
    """A call of a target. `milliseconds` end with its failure, or with the first content."""

    target = fields.String(required=True)
    key_id = fields.String(**_maybe("The key of the provider; null if it is the platform's."))
    status = fields.Integer(required=True, metadata={"description": "0: no response."})
    why = fields.String(required=True, metadata={"description": "Why it failed; empty if it was served."})
    milliseconds = fields.Float(required=True)


class RequestDecision(Schema):
    """How a request was decided. Times are in milliseconds since it arrived."""

    traced = fields.Boolean(
        required=True,
        metadata={"description": "true: `steps` are all. Otherwise only those that did more than continue."},
    )
    cut = fields.Boolean(required=True, metadata={"description": "Texts or lists were shortened."})
    steps = fields.List(fields.Nested(RequestStep), required=True)
    limits = fields.List(fields.Nested(RequestLimit), required=True)
    limit_reached = fields.Dict(**_maybe("The limit for which the request was rejected, as in its 429."))
    attempts = fields.List(fields.Nested(RequestAttempt), required=True)
    forwarded_ms = fields.Float(**_maybe("When the upstream was called; null if it was not."))
    first_byte_ms = fields.Float(**_maybe("When the client got the first byte of the body."))
    upstream_end_ms = fields.Float(**_maybe("When the response of the upstream was complete."))


class RequestDetail(RequestSummary):
    """A request with its decision. `log` is its line in the access log."""

    decision = fields.Nested(RequestDecision, required=True)
    log = fields.Dict(required=True)


def request_document(record: Record, tenant_id: str | None = None) -> dict[str, Any]:
    """The JSON of a line of a list."""
    event = record.event
    names = ("request_id", "method", "path", "status", "source", "code", "model_asked", "model", "provider")
    usage = {name: event.get(name, 0) for name in ("input", "cached", "output")}
    document: dict[str, Any] = RequestSummary().dump(
        {
            "id": record.id,
            **{name: event.get(name) for name in (*names, "stream", "ttft_ms", "milliseconds", "attempts")},
            "time": event["time"],
            "tenant_id": event.get("tenant", tenant_id),
            "rule_id": event.get("rule"),
            "key_id": event.get("key"),
            "usage": {**usage, "source": event["usage_source"]} if "usage_source" in event else None,
            "cost_usd": event.get("cost"),
        }
    )
    return document


def detail_document(record: Record, provider_keys: Container[str] | None = None) -> dict[str, Any]:
    """The JSON of one request. Tenants do not see where the providers of the platform are, and its keys.

    `provider_keys` are those of the tenant that reads it; None: the platform does.
    """
    line = whole_line(record.event, record.trace)
    if line["ai"] is not None and provider_keys is not None:
        line |= {**dict.fromkeys(_PLATFORMS_OWN), "ai": _without_others(line["ai"], provider_keys)}
    line["time"] = Timestamp("")._serialize(record.event["time"], None, None)
    decision = _decision(record.trace, line)
    return {**request_document(record), "decision": decision, "log": line}


def _without_others(ai: Mapping[str, Any], provider_keys: Container[str]) -> dict[str, Any]:
    """The call of a model in the log without the ids of keys of the platform."""

    def own(key: str | None) -> str | None:
        return key if key in provider_keys else None

    attempts = [{**call, "key": own(call.get("key"))} for call in ai.get("attempts") or ()]
    return {**ai, "provider_key": own(ai.get("provider_key")), "attempts": attempts}


def _decision(trace: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    found = trace.get("decision", EMPTY)
    started, reached = found.get("started", 0.0), found.get("reached")
    calls = line["targets"] if line["ai"] is None else line["ai"]["attempts"]
    return {
        "traced": found.get("traced", False),
        "cut": trace.get(CUT, False),
        "steps": [_step(step, started) for step in found.get("steps", ())],
        "limits": [_limit(limit, is_charged=reached is None) for limit in found.get("limits", ())],
        "limit_reached": reached,
        "attempts": [_attempt(call) for call in calls or ()],
        "forwarded_ms": _since(started, found.get("forwarded")),
        "first_byte_ms": _since(started, found.get("first")),
        "upstream_end_ms": _since(started, found.get("ended")),
    }


def _step(step: Mapping[str, Any], started: float) -> dict[str, Any]:
    names = ("plugin", "stage", "verdict", "code", "fault")
    return {
        **{name: step.get(name) for name in names},
        "at_ms": _since(started, step.get("started")),
        "milliseconds": _since(0.0, step.get("seconds")),
    }


def _limit(limit: Mapping[str, Any], *, is_charged: bool) -> dict[str, Any]:
    left = limit["remaining"]
    shown = {name: value for name, value in limit.items() if name != "remaining"}
    return {**shown, "before": left + (limit["cost"] if is_charged else 0), "after": left}


def _attempt(call: Mapping[str, Any]) -> dict[str, Any]:
    names = ("target", "status", "why")
    return {**{name: call[name] for name in names}, "key_id": call.get("key"), "milliseconds": call["ms"]}


def _since(started: float, moment: float | None) -> float | None:
    return None if moment is None else round((moment - started) * 1000, 3)


_LISTED: Final[dict[str, Any]] = {
    "id": "1796083200000-0",
    "request_id": "5f6a1d2c9b3e4f708192a3b4c5d6e7f8",
    "time": "2026-12-01T00:00:00.000Z",
    "tenant_id": "tenant_1f2e3d4c5b6a798897a6b5c4",
    "method": "POST",
    "path": "/v1/chat/completions",
    "status": 429,
    "source": "plugin:rate_limiter",
    "code": "rate_limit_exceeded",
    "rule_id": "rule_1f2e3d4c5b6a798897a6b5c4",
    "key_id": "key_9c8b7a6f5e4d3c2b1a0f9e8d",
    "model_asked": "gpt-5.6",
    "model": None,
    "provider": None,
    "usage": None,
    "cost_usd": None,
    "stream": False,
    "ttft_ms": None,
    "milliseconds": 1.204,
    "attempts": 0,
}
#: Examples of responses.
REQUESTS: Final = {"requests": [_LISTED], "next_cursor": None}
REQUEST: Final = {
    **_LISTED,
    "decision": {
        "traced": True,
        "cut": False,
        "steps": [
            {
                "plugin": "rate_limiter",
                "stage": "pre_request",
                "verdict": "reject",
                "code": "rate_limit_exceeded",
                "fault": None,
                "at_ms": 0.212,
                "milliseconds": 0.71,
            }
        ],
        "limits": [
            {
                "scope": "rule",
                "name": "global",
                "unit": "requests",
                "limit": 100,
                "window": "1m",
                "cost": 1,
                "before": 0,
                "after": 0,
                "reset_after_ms": 12_000,
            }
        ],
        "limit_reached": {
            "scope": "rule",
            "name": "global",
            "limit": 100,
            "window": "1m",
            "unit": "requests",
            "remaining": 0,
            "retry_after_ms": 12_000,
        },
        "attempts": [],
        "forwarded_ms": None,
        "first_byte_ms": None,
        "upstream_end_ms": None,
    },
    "log": {"logger": "gateway.access", "status": 429, "code": "rate_limit_exceeded"},
}
