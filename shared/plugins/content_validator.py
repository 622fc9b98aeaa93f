"""Checks the bodies of requests and responses: type, size, structure and text."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import marshmallow
from marshmallow import validate

from shared.bodies.body import DecodedBody, has_plain_json
from shared.bodies.event_splitter import event_splitter, has_events
from shared.bodies.json.parse import MAX_DEPTH, JsonBounds, dump_json
from shared.bodies.json.schema import SchemaError, compile_schema, first_error
from shared.bodies.json.top_names import TopNames
from shared.bodies.text.ascii_classes import ascii_warning
from shared.bodies.text.patterns import MAX_PATTERNS, PatternError, Patterns, patterns_of
from shared.bodies.text.rules import TextRules
from shared.bodies.text.stream_rules import TextJudge
from shared.bodies.text.whole_body import judge_events, judge_request, judge_response, lines_splitter
from shared.core.errors import STATUS, Invalid, Problem
from shared.core.fields import Size
from shared.core.http_tokens import TOKEN, has_no_body
from shared.core.json_pointer import MISSING, get_at, parse_path
from shared.http.body_rejected import BodyRejected, body_too_long
from shared.http.content_coding import encode
from shared.http.media_type import EVENT_STREAM, MediaType
from shared.model.messages import Headers
from shared.pipeline.plugin import (
    CONTINUE,
    Event,
    EventJudge,
    Exchange,
    NeedsWholeBody,
    Patch,
    Plugin,
    Reject,
    Tools,
    Verdict,
    setting,
)
from shared.providers.apis.text_fields import SENT_NAMES

# The largest body in bytes, and the largest `Patterns.size`, to judge in place: at most 5 ms (measured). A
# thread would keep the interpreter as long.
_QUICK, _LIGHT = 16_384, 10_000
_JSON = MediaType.parse("application/json")
_TYPE = re.compile(rf"{TOKEN}/{TOKEN}")
_RANGES = "Write a media type such as application/json, or all of a kind, such as text/*."
# The most entries of a list: each is looked up in every body.
_MOST_NAMES = 1000
#: The longest possible match of a pattern, in characters, where responses are judged event by event.
LONGEST = 512


_JudgeText = Callable[[TextRules, DecodedBody, Any, JsonBounds], bytes]


def _texts(text: str, *, name: str | None = None, most: int = _MOST_NAMES, form: str | None = None) -> Any:
    """A list of texts. `name` is the name of the setting, if the attribute has another.

    `form` is the format of a text.
    """
    item = marshmallow.fields.String(
        validate=validate.Length(min=1), metadata={"format": form} if form else {}
    )
    limit = validate.Length(max=most)
    return setting(
        marshmallow.fields.List(item, load_default=list, data_key=name, validate=limit),
        f"{text} At most {most:,}.",
    )


class ContentValidator(Plugin):
    """Reject bodies of a wrong type, size or structure, or with text that is not allowed.

    At `pre_request` it judges the request, at `pre_response` the response. A check that needs JSON demands
    strict JSON: UTF-8, no duplicate keys, nothing that two parsers could read differently. Encoded bodies
    are decoded to be judged, and forwarded as they came. A response that fails a check is replaced by a
    422. A streamed response that fails ends with an error event before the text that is not allowed.

    >>> plugin = ContentValidator.parse({"allowed_types": ["application/json"], "max_size": "1MB"})
    >>> plugin.max_size, sorted(plugin.reads)
    (1048576, ['body', 'headers'])
    """

    computes = True
    events_in_place = True
    example: ClassVar[Mapping[str, Any]] = {
        "allowed_types": ["application/json"],
        "max_size": "1MB",
        "blocked_patterns": ["(?i)ignore (all )?previous instructions"],
    }

    allowed_types: Sequence[str] = _texts(
        "Allowed media types, such as application/json or text/*. Empty allows all."
    )
    max_size: int | None = setting(
        Size("", load_default=None, allow_none=True),
        "Largest body, both encoded and decoded: bytes, or a text such as 1MB.",
    )
    forwarded: Sequence[str] = _texts(
        "The only top-level fields of the JSON object to forward. Empty forwards all.",
        name="fields",
    )
    required_fields: Sequence[str] = _texts(
        "Fields that the body must have: names, dotted paths or JSON pointers."
    )
    json_schema: Mapping[str, Any] | None = setting(
        marshmallow.fields.Dict(keys=marshmallow.fields.String(), load_default=None, allow_none=True),
        "A JSON Schema that the body must match. It must not refer to other documents.",
    )
    blocked_patterns: Sequence[str] = _texts(
        "RE2 patterns that must not match. They are searched in message texts; in other bodies, in the whole "
        "body.",
        most=MAX_PATTERNS,
        form="regex",
    )
    required_patterns: Sequence[str] = _texts(
        "RE2 patterns that must all match, searched like `blocked_patterns`.",
        most=MAX_PATTERNS,
        form="regex",
    )
    action: str = setting(
        marshmallow.fields.String(load_default="block", validate=validate.OneOf(("block", "mask"))),
        "The action when a blocked pattern matches: block rejects, mask replaces each character by *.",
    )
    max_json_depth: int = setting(
        marshmallow.fields.Integer(
            load_default=MAX_DEPTH, strict=True, validate=validate.Range(1, MAX_DEPTH)
        ),
        "How deep JSON arrays and objects may nest.",
    )

    def prepare(self) -> None:
        self._paths = [
            _compiled(f"/required_fields/{i}", parse_path, name)
            for i, name in enumerate(self.required_fields)
        ]
        # All required fields, if they are at the top.
        is_flat = all(len(path) == 1 and isinstance(path[0], str) for path in self._paths)
        self._top = frozenset(str(path[0]) for path in self._paths) if is_flat else None
        self._rules = TextRules(
            _patterns("/blocked_patterns", self.blocked_patterns),
            _patterns("/required_patterns", self.required_patterns),
            masks=self.action == "mask",
        )
        self.weight = self._rules.blocked.weight + self._rules.required.weight
        self._schema = (
            None if self.json_schema is None else _compiled("/json_schema", compile_schema, self.json_schema)
        )
        self._bounds = JsonBounds(self.max_json_depth)
        self._types = frozenset(_range(allowed.lower()) for allowed in self.allowed_types)
        own = {*self.forwarded, *(str(path[0]) for path in self._paths if path)} | _members(self.json_schema)
        self._own_names = TopNames(own)
        self._request_names = TopNames(own | SENT_NAMES)
        self._demands_json = bool(self.forwarded or self.required_fields or self._schema is not None)
        self._reads_text = bool(self._rules.blocked or self._rules.required)
        self._reads_json = self._demands_json or self._reads_text or self.max_json_depth < MAX_DEPTH
        self._takes_json = self._reads_json and (not self._types or _JSON.is_one_of(self._types))
        self._is_light = (
            self._schema is None and self._rules.blocked.size + self._rules.required.size <= _LIGHT
        )
        if self.forwarded or (self._rules.masks and self._rules.blocked):
            self.changes = frozenset({"body"})
        if not self._reads_json and self.max_size is None:
            self.reads = frozenset({"headers"})
            self.blocking = False

    def is_quick(self, exchange: Exchange) -> bool:
        """Not for encoded bodies, which may be a hundred times longer, nor for schemas of unknown cost."""
        message = exchange.response or exchange.request
        small = message.body is None or len(message.body) <= _QUICK
        return self._is_light and small and "content-encoding" not in message.headers.by_name()

    def start(self, tools: Tools) -> None:
        most = tools.json_parts if self._schema is None else min(tools.json_parts, self._schema.json_parts)
        self._bounds = replace(self._bounds, parts=most)
        for patterns in (self._rules.blocked, self._rules.required):
            patterns.make_ready()

    def pre_request(self, exchange: Exchange) -> Verdict:
        request = exchange.request
        try:
            if request.body and self._takes_json and has_plain_json(request.headers):
                return self._judge_plain(request.body)
            return self._judge(request.headers, request.body, self._judge_request)
        except BodyRejected as error:
            return Reject(STATUS[error.code], error.code, str(error))

    def pre_response(self, exchange: Exchange) -> Verdict:
        response = exchange.response
        if response is None or has_no_body(exchange.request.method, response.status):
            return CONTINUE
        try:
            return self._judge(response.headers, response.body, self._judge_response)
        except BodyRejected as error:
            return _rejected(error)

    def _lists(self) -> Iterator[tuple[str, Sequence[str], Patterns]]:
        yield "/blocked_patterns", self.blocked_patterns, self._rules.blocked
        yield "/required_patterns", self.required_patterns, self._rules.required

    def needs_whole_body(self) -> NeedsWholeBody | None:
        for pointer, sources, patterns in self._lists():
            for number, (source, length) in enumerate(zip(sources, patterns.lengths, strict=True)):
                if length > LONGEST:
                    return NeedsWholeBody(
                        f"has the pattern {source!r}, which may match more than {LONGEST} characters",
                        f"{pointer}/{number}",
                        "Bound its repeats, as in [a-z]{1,64}",
                    )
        return None

    def warnings(self) -> Sequence[Problem]:
        found = [
            Problem(f"/allowed_types/{number}", f"No body has the type {allowed}. {_RANGES}")
            for number, allowed in enumerate(self.allowed_types)
            if not _TYPE.fullmatch(_range(allowed.lower()))
        ]
        for pointer, sources, _ in self._lists():
            warned = [(number, ascii_warning(source)) for number, source in enumerate(sources)]
            found += [Problem(f"{pointer}/{number}", warning) for number, warning in warned if warning]
        return found

    def pre_response_events(self, exchange: Exchange) -> EventJudge | Verdict:
        headers = Headers() if exchange.response is None else exchange.response.headers
        try:
            self._check_type(headers, None)
            if self._reads_json:
                MediaType.of(headers).must_be_utf8()
                self._must_not_demand_json()
        except BodyRejected as error:
            return _rejected(error)
        rules = self._rules if self._reads_json else None
        return _Events(TextJudge(rules, max_size=self.max_size, bounds=self._bounds))

    def _must_not_demand_json(self) -> None:
        if self._demands_json:
            raise BodyRejected("invalid_json", "A stream of events is not a JSON document.")

    def _judge(self, headers: Headers, body: bytes | None, judge: Callable[[DecodedBody], bytes]) -> Verdict:
        """Check type and size, then replace the decoded body by the result of `judge`."""
        media_type = self._check_type(headers, body)
        if body is None or "body" not in self.reads:
            return CONTINUE
        self._check_size(body)
        opened = DecodedBody.of(headers, body, media_type)
        if opened.content is not body:
            self._check_size(opened.content)
        if self._reads_text:
            opened.media_type.must_be_readable()
        content = judge(opened) if self._reads_json else opened.content
        return CONTINUE if content == opened.content else Patch(body=encode(content, opened.coding))

    def _judge_plain(self, body: bytes) -> Verdict:
        """Judge a request in JSON, UTF-8 and no coding, as most are: all else about its head is known."""
        self._check_size(body)
        content = self._judge_document(DecodedBody(_JSON, "identity", body), self._rules, judge_request)
        return CONTINUE if content is body or content == body else Patch(body=content)

    def _check_type(self, headers: Headers, body: bytes | None) -> MediaType | None:
        """Return the type, if it had to be read."""
        if not self.allowed_types or _is_empty(headers, body):
            return None
        media_type = MediaType.of(headers)
        if not media_type.is_one_of(self._types):
            allowed = ", ".join(self.allowed_types)
            raise BodyRejected(
                "unsupported_content_type", f"The content type is not allowed. Allowed: {allowed}."
            )
        return media_type

    def _check_size(self, body: bytes) -> None:
        if self.max_size is not None and len(body) > self.max_size:
            raise body_too_long(self.max_size)

    def _judge_request(self, opened: DecodedBody) -> bytes:
        splitter = event_splitter(opened.media_type, len(opened.content))
        lines = None if self._demands_json or opened.media_type.is_json else lines_splitter(opened)
        if lines and (splitter is None or opened.media_type.is_json_lines):
            # A receiver that reads one document reads the first line.
            return judge_events(self._rules, opened, lines, self._bounds)
        if splitter is None:
            return self._judge_document(opened, self._rules, judge_request)
        # The receiver may ignore the type and read the body as one document.
        content = judge_events(self._rules, opened, splitter, self._bounds)
        unmasked = replace(self._rules, masks=False)
        return self._judge_document(opened._replace(content=content), unmasked, judge_request)

    def _judge_response(self, opened: DecodedBody) -> bytes:
        splitter = event_splitter(opened.media_type, len(opened.content))
        if splitter:
            self._must_not_demand_json()
            return judge_events(self._rules, opened, splitter, self._bounds)
        if not self._demands_json and (lines := lines_splitter(opened)):
            return judge_events(self._rules, opened, lines, self._bounds)
        if self._reads_text and has_events(opened.content):
            # The receiver may ignore the type and read the body as events.
            events = event_splitter(EVENT_STREAM, len(opened.content))
            content = judge_events(self._rules, opened, events, self._bounds) if events else opened.content
            opened = opened._replace(content=content)
        return self._judge_document(opened, self._rules, judge_response)

    def _judge_document(self, opened: DecodedBody, rules: TextRules, judge: _JudgeText) -> bytes:
        names = self._request_names if judge is judge_request else self._own_names
        document = opened.document(demanded=self._demands_json, bounds=self._bounds, names=names)
        if self.forwarded:
            if not isinstance(document, dict):
                raise BodyRejected("validation_failed", "The body must be a JSON object.")
            kept = {name: value for name, value in document.items() if name in self.forwarded}
            if len(kept) < len(document):
                # The bytes that are judged are the bytes that are forwarded.
                opened, document = opened._replace(content=dump_json(kept)), kept
        if self.required_fields or self._schema is not None:
            self._check_structure(document)
        return judge(rules, opened, document, self._bounds) if self._reads_text else opened.content

    def _check_structure(self, document: Any) -> None:
        if self._top is None or not isinstance(document, dict) or not self._top.issubset(document):
            named = zip(self.required_fields, self._paths, strict=True)
            missing = [name for name, path in named if get_at(document, path) is MISSING]
            if missing:
                text = f"The body lacks required fields: {', '.join(missing)}."
                raise BodyRejected("validation_failed", text)
        fault = None if self._schema is None else first_error(self._schema, document)
        if fault is not None:
            raise BodyRejected(
                "validation_failed", f"The body does not match the JSON schema at {fault or 'its top level'}."
            )


class _Events:
    """Judges the events of one response."""

    def __init__(self, judge: TextJudge) -> None:
        self._judge = judge

    def feed(self, event: Event) -> list[Event] | Reject:
        try:
            return self._judge.feed(event)
        except BodyRejected as error:
            return _rejected(error)

    def end(self) -> list[Event] | Reject:
        try:
            return self._judge.end()
        except BodyRejected as error:
            return _rejected(error)


def _rejected(error: BodyRejected) -> Reject:
    """The code of `error` would blame the client for what the upstream sent."""
    message = f"The upstream's response was rejected. {error}"
    return Reject(STATUS["content_rejected"], "content_rejected", message)


def _compiled(pointer: str, compile_one: Callable[[Any], Any], value: Any) -> Any:
    try:
        return compile_one(value)
    except SchemaError as error:
        raise Invalid([Problem(pointer + error.pointer, str(error))]) from None
    except ValueError as error:
        raise Invalid([Problem(pointer, str(error))]) from None


def _patterns(pointer: str, patterns: Sequence[str]) -> Patterns:
    try:
        return patterns_of(tuple(patterns))
    except PatternError as error:
        raise Invalid([Problem(f"{pointer}/{error.number}", str(error))]) from None


def _range(allowed: str) -> str:
    """An allowed type; ``text/`` and ``text`` are older spellings of ``text/*``."""
    main, slash, rest = allowed.partition("/")
    return allowed if slash and rest else f"{main}/*"


def _members(schema: Mapping[str, Any] | None) -> set[str]:
    """The names of the members at the top that a schema describes."""
    described = [(schema or {}).get(keyword) for keyword in ("properties", "required")]
    return {
        name
        for names in described
        if isinstance(names, dict | list)
        for name in names
        if isinstance(name, str)
    }


def _is_empty(headers: Headers, body: bytes | None) -> bool:
    """Whether the body is known to be empty. Only then may Content-Type be missing."""
    if body is not None:
        return not body
    framed = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    return not framed and "content-type" not in headers
