"""Asks a service of the tenant whether a request is allowed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import marshmallow
from marshmallow import validate

from shared.bodies.body import DecodedBody
from shared.bodies.json.conditions import OPERATORS, CannotCompare, Condition, parse_condition
from shared.bodies.json.parse import JsonBounds, dump_json, parse_json
from shared.bodies.json.top_names import TopNames
from shared.bodies.text.ascii_classes import ascii_warning
from shared.bodies.text.patterns import check_size
from shared.core.errors import STATUS, Invalid, OutsideError, Problem, TargetForbidden
from shared.core.fields import Duration, Flag, Pattern, Strict, token, validated
from shared.core.http_tokens import WITH_BODY
from shared.core.json_pointer import MISSING, Path, get_at, overlapping, parse_path, put_at
from shared.http.body_rejected import BodyRejected
from shared.http.forwarding import is_ours
from shared.model.messages import Request
from shared.model.targets import parse_target
from shared.net.port import Fetch, FetchRequest
from shared.pipeline.plugin import CONTINUE, Continue, Exchange, Plugin, Reject, Tools, Verdict, setting
from shared.providers.apis.text_fields import SENT_NAMES

MAX_RESPONSE = 1024 * 1024
_MAX_ITEMS = 100
_NAME = token("a header name")
_VALUE = Pattern(r"^[\x20-\x7e]*$", error="Must be printable ASCII.")


def _header_name(value: str) -> None:
    _NAME(value)
    if is_ours(value):
        raise marshmallow.ValidationError(f"The gateway sets {value} itself. Choose another header.")


class FieldMap(Strict):
    """The source and the destination of a value: dotted paths or JSON pointers."""

    source = marshmallow.fields.String(
        required=True, metadata={"description": "Path in the body of the request."}
    )
    destination = marshmallow.fields.String(
        required=True, metadata={"description": "Path in the body that the service gets."}
    )


class ConditionEntry(Strict):
    """A condition on the service's response under which the request is rejected."""

    field = marshmallow.fields.String(
        required=True, metadata={"description": "Dotted path or JSON pointer in the response."}
    )
    operator = marshmallow.fields.String(
        required=True, validate=validate.OneOf(list(OPERATORS)), metadata={"description": "The comparison."}
    )
    value = marshmallow.fields.Raw(
        load_default=None, allow_none=True, metadata={"description": "The value to compare with; any JSON."}
    )
    stop_flow = Flag(
        load_default=True,
        metadata={"description": "false only notes that the condition holds; the request continues."},
    )
    message = marshmallow.fields.String(
        load_default="The request was rejected by a validator.",
        validate=validate.Length(1, 1000),
        metadata={"description": "The message for the client; a full sentence."},
    )


def _several(kind: Any, text: str, **options: Any) -> Any:
    limit = validate.Length(max=_MAX_ITEMS)
    return setting(marshmallow.fields.List(kind, load_default=list, validate=limit, **options), text)


@dataclass(frozen=True, slots=True)
class _Check:
    condition: Condition
    stops: bool
    message: str


class ExternalValidator(Plugin):
    """Send fields of the request's JSON to a service, and reject the request if its response says so.

    The service gets exactly the mapped fields and the configured headers, never the client's key. A field
    that the body does not have is omitted. If a condition holds, the request is rejected with a 422. Without
    conditions, any valid response admits it. No response in time, a status other than 2xx, a redirect, or a
    response that is not JSON is a fault: then `on_error` decides.

    >>> plugin = ExternalValidator.parse({
    ...     "endpoint": "https://validator.example.com/check",
    ...     "field_maps": [{"source": "messages", "destination": "input.messages"}],
    ...     "conditions": [{"field": "allowed", "operator": "eq", "value": False, "message": "Not this."}],
    ... })
    >>> plugin.http_method, plugin.attempt_timeout
    ('POST', 1.0)
    """

    default_timeout = 2.0
    example: ClassVar[Mapping[str, Any]] = {
        "endpoint": "https://validator.example.com/check",
        "field_maps": [{"source": "messages", "destination": "input.messages"}],
        "conditions": [{"field": "allowed", "operator": "eq", "value": False, "message": "Not this."}],
    }

    endpoint: str = setting(
        marshmallow.fields.String(
            required=True,
            validate=partial(validated, parse_target, allow_query=True),
            metadata={"example": "https://validator.example.com/check", "format": "uri"},
        ),
        "The http or https URL of the service.",
    )
    http_method: str = setting(
        marshmallow.fields.String(load_default="POST", validate=validate.OneOf(WITH_BODY), data_key="method"),
        "The method of the call.",
    )
    headers: Mapping[str, str] = setting(
        marshmallow.fields.Dict(
            keys=marshmallow.fields.String(validate=_header_name),
            values=marshmallow.fields.String(validate=_VALUE),
            load_default=dict,
        ),
        "Headers of the call. The values are stored encrypted and never returned.",
        secret=True,
    )
    attempt_timeout: float = setting(
        Duration(minimum=0.01, maximum=60, description="", load_default=1.0),
        "The longest that one attempt may take. The timeout of the entry bounds all attempts.",
    )
    retries: int = setting(
        marshmallow.fields.Integer(load_default=0, strict=True, validate=validate.Range(0, 5)),
        "Further attempts after a failed one.",
    )
    sent: Sequence[str] = _several(
        marshmallow.fields.String(),
        "Paths in the request's body. Their values are sent at the same paths.",
        data_key="fields",
    )
    field_maps: Sequence[Mapping[str, str]] = _several(
        marshmallow.fields.Nested(FieldMap), "Values of the request's body that are sent at other paths."
    )
    conditions: Sequence[Mapping[str, Any]] = _several(
        marshmallow.fields.Nested(ConditionEntry), "Conditions on the response that reject the request."
    )

    _fetch: Fetch
    _bounds: JsonBounds

    def prepare(self) -> None:
        problems: list[Problem] = []
        routes = list(self._parse_routes(problems))
        self._routes = [(source, destination) for source, destination, _ in routes]
        self._checks = self._parse_checks(problems)
        if clash := overlapping([destination for _, destination in self._routes]):
            pointer = routes[clash[1]][2]
            problems.append(Problem(pointer, "Another field goes to the same path. Choose another one."))
        if problems:
            raise Invalid(problems)
        if not self._routes:
            self.reads = frozenset()
        own = [str(source[0]) for source, _ in self._routes if source]
        self._names = TopNames([*SENT_NAMES, *own])

    def _parse_routes(self, problems: list[Problem]) -> Iterator[tuple[Path, Path, str]]:
        """The source, the destination, and the pointer to the destination in the settings."""

        def path(pointer: str, text: str) -> Path:
            try:
                return parse_path(text)
            except ValueError as error:
                problems.append(Problem(pointer, str(error)))
                return (pointer,)

        for i, text in enumerate(self.sent):
            pointer = f"/fields/{i}"
            here = path(pointer, text)
            yield here, here, pointer
        for i, entry in enumerate(self.field_maps):
            pointer = f"/field_maps/{i}"
            source = path(f"{pointer}/source", entry["source"])
            yield source, path(f"{pointer}/destination", entry["destination"]), f"{pointer}/destination"

    def _parse_checks(self, problems: list[Problem]) -> list[_Check]:
        checks = []
        for i, entry in enumerate(self.conditions):
            try:
                condition = parse_condition(entry["field"], entry["operator"], entry["value"])
                check_size(self.weight + condition.size)
            except ValueError as error:
                problems.append(Problem(f"/conditions/{i}", str(error)))
            else:
                self.weight += condition.size
                checks.append(_Check(condition, entry["stop_flow"], entry["message"]))
        return checks

    def warnings(self) -> Sequence[Problem]:
        patterns = [
            (number, ascii_warning(str(entry["value"])))
            for number, entry in enumerate(self.conditions)
            if entry["operator"] == "matches"
        ]
        return [Problem(f"/conditions/{number}/value", warning) for number, warning in patterns if warning]

    def start(self, tools: Tools) -> None:
        self._fetch, self._bounds = tools.fetch, JsonBounds(parts=tools.json_parts)

    def pre_request(self, exchange: Exchange) -> Verdict:
        try:
            payload = self._payload(exchange.request)
        except BodyRejected as error:
            return Reject(STATUS[error.code], error.code, str(error))
        return self._verdict(self._ask(dump_json(payload)))

    def _payload(self, request: Request) -> dict[str, Any]:
        payload: dict[str, Any] = {}
        if self._routes:
            opened = DecodedBody.of(request.headers, request.body or b"")
            document = opened.document(demanded=True, bounds=self._bounds, names=self._names)
            for source, destination in self._routes:
                if (value := get_at(document, source)) is not MISSING:
                    put_at(payload, destination, value)
        return payload

    def _ask(self, payload: bytes) -> Any:
        """The response of the service. Raises `OutsideError` when the last attempt fails, too."""
        for _ in range(self.retries):
            try:
                return self._attempt(payload)
            except TargetForbidden:
                raise
            except OutsideError:
                continue
        return self._attempt(payload)

    def _attempt(self, payload: bytes) -> Any:
        request = FetchRequest(
            method=self.http_method,
            url=self.endpoint,
            headers={"Content-Type": "application/json", **self.headers},
            body=payload,
            timeout=self.attempt_timeout,
            max_bytes=MAX_RESPONSE,
        )
        response = self._fetch(request)
        if not 200 <= response.status <= 299:
            raise OutsideError(f"The validator responded with the status {response.status}.")
        try:
            return parse_json(response.body, self._bounds)
        except ValueError:
            raise OutsideError("The validator's response is not JSON.") from None

    def _verdict(self, response: Any) -> Verdict:
        try:
            hits = [check for check in self._checks if check.condition.holds(response)]
        except CannotCompare as error:
            raise OutsideError(f"A condition cannot be checked on this response. {error}") from None
        flagged = tuple(hit.message for hit in hits if not hit.stops)
        notes = {"flagged": flagged} if flagged else {}
        stopping = next((hit for hit in hits if hit.stops), None)
        if stopping:
            return Reject(STATUS["validation_failed"], "validation_failed", stopping.message, notes=notes)
        return Continue(notes) if notes else CONTINUE
