"""One request record as JSON: how it was decided, when each part of it happened, and why it failed."""

from collections.abc import Container, Mapping
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.empty import EMPTY
from shared.core.errors import ERRORS
from shared.core.fields import timestamp_text
from shared.documents.fields import amount, nullable
from shared.documents.request import LISTED, RequestSummary, request_document
from shared.limits.headers import with_amounts
from shared.limits.values import label_of
from shared.log_lines import CAUSES
from shared.records.reader import Record
from shared.records.record import CUT, whole_line

# Of the log of a call of a provider: they may be the platform's own addresses.
_PLATFORMS_OWN: Final = ("upstream", "detail")
# Times of the decision, by the member that has each since the request arrived.
_MOMENTS: Final = {
    "body_ms": "arrived",
    "forwarded_ms": "forwarded",
    "head_ms": "head",
    "first_byte_ms": "first",
    "upstream_end_ms": "ended",
}


class RequestStep(Schema):
    """A step of the rule's plugins."""

    plugin = fields.String(required=True)
    stage = fields.String(**nullable("null if the request was not traced."))
    verdict = fields.String(
        required=True,
        validate=validate.OneOf(["continue", "reject", "respond", "patch", "fault", "cancelled"]),
    )
    code = fields.String(**nullable("Of a rejection."))
    fault = fields.String(**nullable("Why the plugin failed."))
    at_ms = fields.Float(**nullable("From the beginning of the request; null if it was not traced."))
    milliseconds = fields.Float(**nullable("null if the request was not traced."))


class RequestLimit(Schema):
    """A limit that the request was charged to. `before` and `after` are what was left of it."""

    scope = fields.String(required=True)
    name = fields.String(required=True)
    unit = fields.String(required=True)
    limit = amount()
    window = fields.String(**nullable("null for concurrent requests."))
    cost = amount()
    before = amount()
    after = amount()
    reset_after_ms = fields.Integer(**nullable())


class RequestAttempt(Schema):
    """A call of a target. `milliseconds` end with its failure, or with the first content."""

    target = fields.String(required=True)
    key_id = fields.String(**nullable("The key of the provider; null if it is the platform's."))
    status = fields.Integer(required=True, metadata={"description": "0: no response."})
    why = fields.String(required=True, metadata={"description": "Why it failed; empty if it was served."})
    at_ms = fields.Float(**nullable("When it began; null if that was not kept."))
    milliseconds = fields.Float(required=True)


class TargetNotChosen(Schema):
    """A target that was no candidate when the last choice was made."""

    target = fields.String(required=True)
    why_not = fields.String(required=True)


class RequestConnection(Schema):
    """The connection to the upstream of the last attempt."""

    is_reused = fields.Boolean(required=True)
    at_ms = fields.Float(**nullable("When it began to be made; null if it is reused."))
    milliseconds = fields.Float(**nullable("How long that took, TLS included; null if it failed."))


class RequestDecision(Schema):
    """How a request was decided. Times are in milliseconds since it arrived."""

    traced = fields.Boolean(
        required=True,
        metadata={"description": "true: `steps` are all. Otherwise only those that did more than continue."},
    )
    cut = fields.Boolean(required=True, metadata={"description": "Texts or lists were shortened."})
    steps = fields.List(fields.Nested(RequestStep), required=True)
    limits = fields.List(fields.Nested(RequestLimit), required=True)
    limit_reached = fields.Dict(**nullable("The limit for which the request was rejected, as in its 429."))
    attempts = fields.List(fields.Nested(RequestAttempt), required=True)
    not_chosen = fields.List(fields.Nested(TargetNotChosen), required=True)
    connection = fields.Nested(RequestConnection, **nullable("null if there was none."))
    body_ms = fields.Float(**nullable("When its body had come; null without one, or if it was passed on."))
    forwarded_ms = fields.Float(**nullable("When the upstream was called; null if it was not."))
    head_ms = fields.Float(**nullable("When the head of the upstream's response had come."))
    first_byte_ms = fields.Float(**nullable("When the client got the first byte of the body."))
    upstream_end_ms = fields.Float(**nullable("When the response of the upstream was complete."))


class RequestDetail(RequestSummary):
    """A request with its decision. `log` is its line in the access log."""

    why = fields.String(**nullable("Why it was rejected, or failed, in words; null if it was served."))
    decision = fields.Nested(RequestDecision, required=True)
    log = fields.Dict(required=True)


def detail_document(record: Record, provider_keys: Container[str] | None = None) -> dict[str, Any]:
    """The JSON of one request. Tenants do not see where the providers of the platform are, and its keys.

    `provider_keys` are those of the tenant that reads it; None: the platform does.
    """
    line = whole_line(record.event, record.trace)
    if line["ai"] is not None and provider_keys is not None:
        line |= {**dict.fromkeys(_PLATFORMS_OWN), "ai": _without_others(line["ai"], provider_keys)}
    line["time"] = timestamp_text(record.event["time"])
    decision = _decision(record, line)
    return {**request_document(record), "why": _why(line, decision), "decision": decision, "log": line}


def _without_others(ai: Mapping[str, Any], provider_keys: Container[str]) -> dict[str, Any]:
    """The call of a model in the log without the ids of keys of the platform."""

    def own(key: str | None) -> str | None:
        return key if key in provider_keys else None

    attempts = [{**call, "key": own(call.get("key"))} for call in ai.get("attempts") or ()]
    return {**ai, "provider_key": own(ai.get("provider_key")), "attempts": attempts}


def _decision(record: Record, line: Mapping[str, Any]) -> dict[str, Any]:
    found = record.trace.get("decision", EMPTY)
    started, reached = found.get("started", 0.0), found.get("reached")
    calls = (line["targets"] if line["ai"] is None else line["ai"]["attempts"]) or ()
    # A shortened record may have fewer of these.
    began = [*found.get("began", ()), *[None] * len(calls)]
    return {
        "traced": found.get("traced", False),
        "cut": record.trace.get(CUT, False),
        "steps": [_step(step, started) for step in found.get("steps", ())],
        "limits": [_limit(limit, is_charged=reached is None) for limit in found.get("limits", ())],
        "limit_reached": reached,
        "attempts": [
            _attempt(call, _since(started, moment)) for call, moment in zip(calls, began, strict=False)
        ],
        "not_chosen": [
            {"target": target, "why_not": why} for target, why in found.get("not_chosen", EMPTY).items()
        ],
        "connection": _connection(found, record.event),
        **{name: _since(started, found.get(moment)) for name, moment in _MOMENTS.items()},
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
    return with_amounts({**shown, "before": left + (limit["cost"] if is_charged else 0), "after": left})


def _attempt(call: Mapping[str, Any], at_ms: float | None) -> dict[str, Any]:
    named = {name: call[name] for name in ("target", "status", "why")}
    return {**named, "key_id": call.get("key"), "at_ms": at_ms, "milliseconds": call["ms"]}


def _connection(found: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The connection of the last attempt. One that is older than the request is reused."""
    begun, opened = found.get("connected") or (None, None)
    if begun is None or found.get("forwarded") is None:
        return None
    at = begun - (event["time"] - event.get("milliseconds", 0.0) / 1000)
    if at < 0:
        return {"is_reused": True, "at_ms": None, "milliseconds": None}
    return {
        "is_reused": False,
        "at_ms": _since(0.0, at),
        "milliseconds": _since(begun, opened),
    }


def _since(started: float, moment: float | None) -> float | None:
    return None if moment is None else round((moment - started) * 1000, 3)


def _why(line: Mapping[str, Any], decision: Mapping[str, Any]) -> str | None:
    """Why a request was rejected, or failed, in words."""
    status, code, source = line["status"], line["code"], str(line["source"])
    if decision["limit_reached"] is not None:
        return _why_limited(decision["limit_reached"])
    if code is None and status is not None and status < 400:
        return None
    if source == "upstream" and code is None:
        several = f" after {len(calls)} attempts" if len(calls := decision["attempts"]) > 1 else ""
        return "The client got no response." if status is None else f"The upstream sent {status}{several}."
    said = ERRORS[code][1] if code in ERRORS else f"The code of the error is {code}."
    # The sentence of a timeout says that `detail` names it.
    cause = line.get("detail") if line.get("cause") == "timeout" else CAUSES.get(line.get("cause") or "")
    said = f"{said} {cause}" if cause else said
    plugin = source.removeprefix("plugin:")
    rejected = f"Rejected by the plugin {plugin}" if plugin != source else "Rejected by the gateway"
    return said if code in _FAILED else f"{rejected}: {said}"


def _why_limited(limit: Mapping[str, Any]) -> str:
    if "used" in limit:  # a budget
        used = f"{limit['used']} of {limit['limit']} {limit['unit']} were used or reserved"
        return f"Rejected by the budget {limit['name']}: {used}."
    named = f"Rejected by the limit {label_of(limit['scope'], limit['name'])}"
    if limit.get("window") is None:
        return f"{named}: {limit['limit']} requests were open at the same time."
    used = f"{named}: {limit['limit']} per {limit['window']} were used"
    wait = limit.get("retry_after_ms")
    if wait is None:
        return f"{used}. No wait helps."
    return f"{used}. The client was told to try again in {_rounded(wait)}."


def _rounded(milliseconds: int) -> str:
    """A time in its largest unit, of which it has two at least, rounded up.

    >>> _rounded(11_200), _rounded(3_621_000), _rounded(90_000_000)
    ('12 s', '61 min', '25 h')
    """
    count = -(-milliseconds // 1000)
    for unit in ("s", "min"):
        if count <= 120:
            return f"{count} {unit}"
        count = -(-count // 60)
    return f"{count} h"


# The request was not rejected, but it failed.
_FAILED: Final = frozenset(
    {
        *("client_closed", "upstream_unreachable", "upstream_protocol_error", "upstream_tls"),
        *("upstream_timeout", "overloaded", "plugin_failure", "request_timeout", "translation_failed"),
    }
)
#: An example of a response.
REQUEST: Final = {
    **LISTED,
    "why": (
        "Rejected by the limit rule-global: 100 per 1m were used. The client was told to try again in 12 s."
    ),
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
        "not_chosen": [],
        "connection": None,
        "body_ms": None,
        "forwarded_ms": None,
        "head_ms": None,
        "first_byte_ms": None,
        "upstream_end_ms": None,
    },
    "log": {"logger": "gateway.access", "status": 429, "code": "rate_limit_exceeded"},
}
