"""Every line of the log, declared once: its fields, their types and their meaning.

Both programs write these lines. From here come docs/reference/logs.md, the JSON Schema beside it, and the
test that real lines have no other field.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.core.empty import EMPTY

#: The loggers of the lines that have a kind of their own.
ACCESS, START, CHANGE = "gateway.access", "gateway.start", "gateway.changes"
#: The longest text of a client in a line, in characters.
FIELD_LIMIT = 1024
#: The longest request body in which the model is looked up, in bytes.
MODEL_BODY_LIMIT = 256 * 1024


class Field(NamedTuple):
    """A member of a line: its JSON Schema, and its meaning as part of a sentence."""

    name: str
    schema: Mapping[str, Any]
    meaning: str
    is_always_there: bool = True


class Kind(NamedTuple):
    """Lines with the same fields: the value of `logger`, None for all other loggers."""

    title: str
    logger: str | None
    meaning: str
    fields: Sequence[Field]


#: Why an upstream gave no complete response: the values of `cause`.
CAUSES: Mapping[str, str] = {
    "dns": "The name of the upstream does not resolve, or not in time.",
    "forbidden": "The address of the upstream must not be called.",
    "refused": "Nothing listens at the address and port.",
    "unreachable": "There is no way to the address.",
    "reset": "The upstream ended the connection before its response was complete.",
    "tls": "TLS failed, or the certificate is not trusted or is for another name.",
    "timeout": "A timeout passed. `detail` names it.",
    "protocol": "The response is not valid HTTP/1.1.",
    "egress_proxy": "The egress proxy did not open the connection.",
}

_TEXT: Mapping[str, Any] = {"type": "string"}
_MAYBE: Mapping[str, Any] = {"type": ["string", "null"]}
_CLIENTS: Mapping[str, Any] = {"type": ["string", "null"], "maxLength": FIELD_LIMIT}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Mapping[str, Any] = {"type": ["integer", "null"], "minimum": 0}
_MILLISECONDS: Mapping[str, Any] = {"type": "number", "minimum": 0}
_MAYBE_MILLISECONDS: Mapping[str, Any] = {"type": ["number", "null"], "minimum": 0}
_YES_OR_NO: Mapping[str, Any] = {"type": "boolean"}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": _TEXT}

_EVERY = (
    Field("time", {"type": "string", "format": "date-time"}, "when it happened, in UTC"),
    Field("level", {"enum": ["debug", "info", "warning", "error", "critical"]}, "how serious it is"),
    Field("logger", _TEXT, "the part of the gateway that wrote the line"),
)
_MESSAGE = Field("message", _TEXT, "a sentence")
_TENANT = Field("tenant", _MAYBE, "the tenant's id, also of a rejected request if it is known")
_REQUEST_ID = Field("request_id", _TEXT, "the value of `X-Request-ID` in the response")

_CALLS: Mapping[str, Any] = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"target": _TEXT, "status": _COUNT, "why": _TEXT, "ms": _COUNT},
    },
}
_LIMITS: Mapping[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "scope": _TEXT,
            "name": _TEXT,
            "unit": _TEXT,
            "limit": _COUNT,
            "remaining": {"type": "integer"},
        },
    },
}
_AMOUNT: Mapping[str, Any] = {"type": ["integer", "string"]}
_BUDGETS: Mapping[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(("name", "unit"), _TEXT),
            **dict.fromkeys(("limit", "remaining", "reserved", "used"), _AMOUNT),
        },
    },
}
#: The members of `ai` in the line of a request.
AI_FIELDS = (
    Field("api", _TEXT, "the API that was called, such as `openai.chat`"),
    Field("translated", _MAYBE, "the API of the target that was called last, and what the translation lost"),
    Field("model", _MAYBE, "the provider's own name of the model that was called last"),
    Field("provider", _MAYBE, "the name of its provider"),
    Field("provider_key", _MAYBE, "the id of the provider's key"),
    Field(
        "attempts",
        {"type": "array", "items": {"type": "object"}},
        "the calls of targets, in order: `target`, `key`, `status`, `why` it failed, `ms` to first content",
    ),
    Field("input", _MAYBE_COUNT, "tokens of the input, those of a cache included"),
    Field("input_cached", _MAYBE_COUNT, "of these, the tokens that were read from the provider's cache"),
    Field("input_cache_write", _MAYBE_COUNT, "of these, the tokens that were written to it"),
    Field("output", _MAYBE_COUNT, "tokens of the output, those of reasoning included"),
    Field("reasoning", _MAYBE_COUNT, "of these, the tokens of reasoning"),
    Field(
        "finish",
        {"type": ["string", "null"], "maxLength": 32},
        "why the response ended, in the word of the provider, such as `stop` or `length`",
    ),
    Field(
        "usage_source",
        {"enum": [None, "reported", "estimated", "mixed"]},
        "whether the provider has reported the tokens",
    ),
    Field("cost", _MAYBE, "the cost in USD, as text; null if a price is not known"),
)
_AI: Mapping[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "properties": {one.name: {"description": one.meaning, **one.schema} for one in AI_FIELDS},
}

_ACCESS = (
    _REQUEST_ID,
    Field(
        "trace_id",
        _MAYBE,
        "the id of the trace: that of the client's `traceparent`, or a new one if spans are exported",
    ),
    Field("upstream_request_id", _CLIENTS, "the upstream's own id of the request"),
    _TENANT,
    Field("rule", _MAYBE, "the id of the rule that matches"),
    Field("key", _MAYBE, "the id of the API key, also of a rejected request if the tenant has it"),
    Field("config_version", _MAYBE_COUNT, "the version of the tenant's configuration"),
    Field("client", _TEXT, "the client's address, behind `trusted_proxies`"),
    Field("user_agent", _CLIENTS, "the header `User-Agent`"),
    Field("host", _CLIENTS, "the header `Host`"),
    Field("method", {"type": "string", "maxLength": 32}, "the method"),
    Field("path", {"type": "string", "maxLength": FIELD_LIMIT}, "the normalized path, without the query"),
    Field(
        "model_asked",
        _CLIENTS,
        "`model` of a JSON body; null if it is longer than 256 KB, or 64 KB if no plugin reads it",
    ),
    Field(
        "retry_count",
        _MAYBE_COUNT,
        "how often the client's SDK has sent the request before, by `x-stainless-retry-count`",
    ),
    Field("status", _MAYBE_COUNT, "the status that the client got; null if it got none"),
    Field("source", _TEXT, "who made the response: `upstream`, `gateway` or `plugin:<name>`"),
    Field("code", _MAYBE, "the [error code](errors.md)"),
    Field("cause", {"enum": [None, *CAUSES]}, "why the upstream gave no complete response, see below"),
    Field("detail", _CLIENTS, "the cause as a sentence, with the address or the certificate's fault"),
    Field("stream", _YES_OR_NO, "whether the response is a stream of events that were passed on at once"),
    Field("faults", _TEXTS, "the plugins that failed"),
    Field(
        "shadow",
        {"type": "array", "items": {"type": "object"}},
        "what entries in shadow mode would have done",
    ),
    Field(
        "limits",
        _LIMITS,
        "the limits of a `rate_limiter` that count the request, with what is left; money is in nano-USD",
    ),
    Field(
        "budgets",
        _BUDGETS,
        "the budgets that count the request: what was left when it was admitted, what it reserved and used; "
        "USD as text",
    ),
    Field(
        "plugins_ms",
        _MAYBE_MILLISECONDS,
        "in plugins, without single events of streams and `post_response`; null on a rule without plugins",
    ),
    Field("milliseconds", _MILLISECONDS, "the whole exchange, up to the last byte for the client"),
    Field(
        "ttft_ms",
        _MAYBE_MILLISECONDS,
        "from the request to the first byte of the body for the client; null if it was sent as a whole",
    ),
    Field("upstream", _MAYBE, "host and port of the upstream; null if it was not called"),
    Field("upstream_status", _MAYBE_COUNT, "the status that the upstream sent"),
    Field(
        "upstream_ms",
        _MAYBE_MILLISECONDS,
        "from the call of the upstream, connecting included, to the last byte of its response",
    ),
    Field("attempts", _COUNT, "addresses of the upstream that were tried; 0 if none was"),
    Field("targets", _CALLS, "on a rule with `targets`: the calls of them, in order; null on other rules"),
    Field("ai", _AI, "on a rule for AI: the target, what was used, and its cost in USD; null on other rules"),
    Field("bytes_in", _COUNT, "bytes of the request body"),
    Field("bytes_held", _COUNT, "the most bytes of a stream that plugins held back at a time"),
    Field("bytes_out", _COUNT, "bytes of the response body"),
)
_START = (
    _MESSAGE,
    Field("program", {"enum": ["proxy", "admin"]}, "the program"),
    Field("version", _TEXT, "its version"),
    Field("addresses", _TEXTS, "where it listens"),
    Field("tls", _YES_OR_NO, "whether it serves HTTPS"),
    Field("engine", _MAYBE, "`server.engine`; null for the admin API"),
    Field("workers", _COUNT, "its worker processes"),
    Field("store", _TEXT, "the Redis in use"),
)
_CHANGE = (
    _MESSAGE,
    _REQUEST_ID,
    Field(
        "actor", _TEXT, "`platform`, `token:<name>` for a platform token, or `key:<id>` for a tenant's key"
    ),
    Field("operation", _TEXT, "the `operationId` of the call in the OpenAPI document"),
    Field("tenant", _TEXT, "the id of the tenant that was changed, or `platform`"),
    Field("version", _COUNT, "the version of its configuration"),
    Field(
        "objects",
        _TEXTS,
        "the ids of the rules, keys and providers that were changed, the names of models, and `prices`",
    ),
)
_OTHER = (
    _MESSAGE,
    Field("traceback", _TEXT, "of an unexpected error", is_always_there=False),
    Field("dropped", _COUNT, "the number of lines that could not be written before", is_always_there=False),
)

KINDS = (
    Kind("Requests", ACCESS, "The proxy writes one line per request, after its last byte.", _ACCESS),
    Kind("Starts", START, "Each program writes one line when it starts.", _START),
    Kind("Changes", CHANGE, "The admin API writes one line per change of the configuration.", _CHANGE),
    Kind("Other lines", None, "All other events.", _OTHER),
)


def fields_of(kind: Kind) -> Sequence[Field]:
    """All fields of the lines of this kind."""
    return (*_EVERY, *kind.fields)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a line."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of the log of AI Gateway",
        "oneOf": [_schema(kind) for kind in KINDS],
    }


def _schema(kind: Kind) -> dict[str, Any]:
    fields = fields_of(kind)
    named = [other.logger for other in KINDS if other.logger]
    logger = {"not": {"enum": named}} if kind.logger is None else {"const": kind.logger}
    own: Mapping[str, Any] = {"logger": {**_TEXT, **logger}}
    return {
        "title": kind.title,
        "type": "object",
        "properties": {
            one.name: {"description": one.meaning, **one.schema, **own.get(one.name, EMPTY)} for one in fields
        },
        "required": [one.name for one in fields if one.is_always_there],
        "additionalProperties": False,
    }
