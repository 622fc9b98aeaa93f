"""Request records as JSON, as lists show them."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.fields import Pattern, Strict, Timestamp
from shared.documents.fields import nullable
from shared.records.reader import Filter, Record

MAX_PAGE: Final = 200
_ID: Final = r"[0-9]{1,19}(-[0-9]{1,19})?"
#: The id of an entry of a stream before which there may be others. Redis knows none before 0-0.
ID_BEFORE: Final = rf"^(?!0+-0+$){_ID}$"


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
        Pattern(ID_BEFORE, "Must be the id of a request, or milliseconds since 1970."),
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


class RequestUsage(Schema):
    """The tokens that a call of a model used."""

    input = fields.Integer(required=True)
    cached = fields.Integer(required=True)
    output = fields.Integer(required=True)
    source = fields.String(required=True, metadata={"description": "reported, estimated or mixed."})


class RequestSummary(Schema):
    """A request that is over."""

    id = fields.String(required=True, metadata={"description": "The id of the record."})
    request_id = fields.String(required=True, metadata={"description": "X-Request-ID of the response."})
    time = Timestamp("The end of the request.", required=True)
    tenant_id = fields.String(**nullable("null if the request led to no tenant."))
    method = fields.String(required=True)
    path = fields.String(required=True, metadata={"description": "Without the query."})
    status = fields.Integer(**nullable("null if the client got none."))
    source = fields.String(required=True, metadata={"description": "The origin of the response."})
    code = fields.String(**nullable("The error code."))
    rule_id = fields.String(**nullable())
    key_id = fields.String(**nullable())
    model_asked = fields.String(**nullable())
    model = fields.String(**nullable("The name that the provider knows."))
    provider = fields.String(**nullable())
    usage = fields.Nested(RequestUsage, **nullable("null if no model was called."))
    cost_usd = fields.String(**nullable("Decimal text; null if the price is not known."))
    stream = fields.Boolean(required=True)
    ttft_ms = fields.Float(**nullable("Until the first byte of the body for the client."))
    milliseconds = fields.Float(required=True)
    attempts = fields.Integer(required=True, metadata={"description": "Calls of upstreams."})
    retry_count = fields.Integer(
        **nullable("How often the SDK has sent the request before; null if the client is no such SDK.")
    )
    length = fields.Integer(
        **nullable("Content-Length of the request of such an SDK: what it sends again has the same one.")
    )


class RequestList(Schema):
    """Requests, the newest first."""

    requests = fields.List(fields.Nested(RequestSummary), required=True)
    next_cursor = fields.String(**nullable("`before` of the next page; null on the last."))
    newest = fields.String(
        **nullable("The newest request that was looked at, wanted or not: `after` of the next read.")
    )
    recorded = fields.Integer(
        **nullable("All requests recorded so far. Two reads differ by the number of those that came between.")
    )


#: Made once: to make a schema takes longer than to use it.
_SUMMARY: Final = RequestSummary()


def request_document(record: Record, tenant_id: str | None = None) -> dict[str, Any]:
    """The JSON of a line of a list."""
    event = record.event
    names = (
        *("request_id", "method", "path", "status", "source", "code", "model_asked", "model", "provider"),
        *("stream", "ttft_ms", "milliseconds", "attempts", "retry_count", "length"),
    )
    usage = {name: event.get(name, 0) for name in ("input", "cached", "output")}
    document: dict[str, Any] = _SUMMARY.dump(
        {
            "id": record.id,
            **{name: event.get(name) for name in names},
            "time": event["time"],
            "tenant_id": event.get("tenant", tenant_id),
            "rule_id": event.get("rule"),
            "key_id": event.get("key"),
            "usage": {**usage, "source": event["usage_source"]} if "usage_source" in event else None,
            "cost_usd": event.get("cost"),
        }
    )
    return document


#: An example of a line of a list.
LISTED: Final[dict[str, Any]] = {
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
    "retry_count": None,
    "length": None,
}
#: An example of a list.
REQUESTS: Final = {"requests": [LISTED], "next_cursor": None, "recorded": 1, "newest": LISTED["id"]}
