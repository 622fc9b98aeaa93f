"""Asks for the usage of a stream, and takes out again what the client did not ask for.

OpenAI reports the usage of a streamed chat only when `stream_options.include_usage` is true. A chunk without
choices then has it, and all others have ``"usage": null``. The stream that the client gets is, byte by byte,
the one of an upstream that was not asked.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from shared.bodies.json.members import Span, member_span, with_member
from shared.core.durations import HOUR_SECONDS
from shared.core.memo import BoundedDict
from shared.providers.calls import OPENAI_CHAT, OPENAI_COMPLETIONS

#: The APIs that have to be asked.
ASKED: Final = frozenset({OPENAI_CHAT, OPENAI_COMPLETIONS})
#: The value of the capability `stream_usage` of a model that is asked until its provider rejects it.
AUTO: Final = "auto"

_OPTIONS: Final = "stream_options"
_INCLUDE: Final = "include_usage"
_REJECTED: Final = (400, 422)
_NAMES: Final = (_OPTIONS.encode(), _INCLUDE.encode())


def has_to_ask(
    api: str, document: Mapping[str, Any], *, stream_usage: bool | str = AUTO, is_unable: bool = False
) -> bool:
    """Whether `ask_for_usage` is needed for the JSON of a request.

    `stream_usage` is the capability of the model. `is_unable`: the provider is in `UnableProviders`.
    """
    if api not in ASKED or not document.get("stream") or stream_usage is False:
        return False
    if stream_usage == AUTO and is_unable:
        return False
    options = document.get(_OPTIONS)
    if options is None:
        return True
    # All other errors are for the provider to reject.
    return isinstance(options, dict) and options.get(_INCLUDE) in (None, False)


def ask_for_usage(body: bytes) -> bytes:
    """The body of a request that also asks for its usage, with all other bytes as they were.

    >>> ask_for_usage(b'{"stream": true, "stream_options": {"x": 1}}')
    b'{"stream": true, "stream_options": {"include_usage":true,"x": 1}}'
    """
    span = member_span(body, _OPTIONS)
    value = b"null" if span is None else body[span.start : span.end]
    options = b"{}" if value == b"null" else value
    return with_member(body, _OPTIONS, with_member(options, _INCLUDE, b"true"))


def rejects_asking(status: int, body: bytes) -> bool:
    """Whether an upstream rejected a request because it was asked, so that it is repeated as it came."""
    return status in _REJECTED and any(name in body for name in _NAMES)


class UnableProviders:
    """The providers that cannot be asked. Each is asked again after a time: its server may be a newer one.

    Times are in seconds of any clock that only goes forward.
    """

    SECONDS: Final = HOUR_SECONDS
    MAX_PROVIDERS: Final = 4_096

    def __init__(self) -> None:
        self._until = BoundedDict[str, float](self.MAX_PROVIDERS)

    def add(self, provider: str, now: float) -> None:
        """Remember that a provider cannot be asked."""
        self._until.keep(provider, now + self.SECONDS)

    def has(self, provider: str, now: float) -> bool:
        """Whether a provider rejected it a short time ago."""
        return bool(self._until) and now < self._until.get(provider, now)


#: The longest event that is held back. A longer one passes as it is.
MAX_EVENT: Final = 1024 * 1024

_USAGE: Final = b'"usage"'
_NULLS: Final = (b',"usage":null', b', "usage": null')
_DATA: Final = b"data:"
_END: Final = re.compile(rb"\n\r?\n|\r\r")
_SPACE: Final = b" \t"


class UsageRemover:
    """Removes the usage from a stream of chunks: feed it the pieces, in order.

    >>> remover = UsageRemover()
    >>> remover.feed(b'data: {"choices": [1], "usage": null}' + b"\\n\\n")
    b'data: {"choices": [1]}\\n\\n'
    >>> remover.feed(b'data: {"choices": [], "usage": {"prompt_tokens": 1}}' + b"\\n\\n" + b"data: [DO")
    b''
    >>> remover.end()
    b'data: [DO'
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """The bytes for the client. The beginning of an event waits for its end."""
        rest = self._rest
        if not rest and piece.endswith((b"\n\n", b"\r\n\r\n")):
            return piece if piece.rfind(_USAGE) < 0 else _without_usage(piece)
        # The end of an event may be cut; what came before is not looked at again.
        start = max(len(rest) - 2, 0)
        rest += piece
        end = _last_end(rest, start)
        passed = _without_usage(bytes(rest[:end])) if end else b""
        del rest[:end]
        if len(rest) > MAX_EVENT:
            passed += bytes(rest)
            rest.clear()
        return passed

    def end(self) -> bytes:
        """The rest of the bytes, when the stream has ended."""
        rest, self._rest = bytes(self._rest), bytearray()
        return _without_usage(rest)


def _last_end(stream: bytearray, start: int) -> int:
    """The end of the last event that is complete at or after `start`, 0 if none is."""
    ends = [at + len(mark) for mark in _MARKS if (at := stream.rfind(mark, start)) >= 0]
    return max(ends, default=0)


_MARKS: Final = (b"\n\n", b"\n\r\n", b"\r\r")


def _without_usage(events: bytes) -> bytes:
    if (found := events.count(_USAGE)) == 0:
        return events
    if found == 1:
        for null in _NULLS:
            before, cut, after = events.partition(null)
            # One closing brace: the member is at the top of the last chunk.
            if cut and after.count(b"}") == 1:
                return before + after
    return b"".join(_cleaned(event) if _USAGE in event else event for event in _split(events))


def _split(events: bytes) -> Iterator[bytes]:
    start = 0
    for found in _END.finditer(events):
        yield events[start : found.end()]
        start = found.end()
    yield events[start:]


def _cleaned(event: bytes) -> bytes:
    """An event without its usage; nothing if it has nothing else."""
    lines = event.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if _USAGE not in line or not line.startswith(_DATA):
            continue
        try:
            chunk = orjson.loads(line[len(_DATA) :])
        except orjson.JSONDecodeError:
            continue
        if not isinstance(chunk, dict) or (span := member_span(line[_start(line) :], "usage")) is None:
            continue
        if chunk["usage"] is not None and chunk.get("choices") == []:
            return b""
        lines[number] = _without_member(line, span, chunk)
    return b"".join(lines)


def _start(line: bytes) -> int:
    """Where the object of a line begins."""
    return line.index(b"{")


def _without_member(line: bytes, span: Span, document: dict[str, Any]) -> bytes:
    """A line without the member `usage`. Its value is at `span` of the object, which is `document`."""
    begin = _start(line)
    chunk = _cut(line[begin:], span)
    if member_span(chunk, "usage") is not None:  # it has the name more than once
        left = orjson.dumps({name: value for name, value in document.items() if name != "usage"})
        chunk = left + chunk[len(chunk.rstrip()) :]
    return line[:begin] + chunk


def _cut(chunk: bytes, span: Span) -> bytes:
    """An object without the member whose value is there."""
    before = chunk[: span.start].rstrip(_SPACE).removesuffix(b":").rstrip(_SPACE)
    before = before[: before.rindex(b'"', 0, -1)].rstrip(_SPACE)
    after = chunk[span.end :]
    if before.endswith(b","):
        return before[:-1] + after
    return before + after.lstrip(_SPACE).removeprefix(b",").lstrip(_SPACE)
