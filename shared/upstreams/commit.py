"""The commit point of a response: whether its beginning goes to the client, or another target may be tried.

A stream begins with events that say nothing yet: roles, ids, pings. While only they have come, nothing has
been sent, so a target that fails is replaced and the client sees one whole stream. The first text, reasoning
or call of a tool commits. So does the end of a response that is complete without any, such as a refusal.

| API | events before the content |
|---|---|
| `openai.chat`, `openai.completions` | chunks without choices, or whose deltas have a role alone |
| `openai.responses` | created, queued, in_progress; output_item.added and other parts that are added |
| `anthropic.messages` | message_start, ping, content_block_start |
| `gemini` | candidates without parts |
| `ollama` | lines with empty messages |

An event that is none of these, and not an error, commits: nothing is held back that is not understood.

A whole response that is not JSON, such as the page of a server under maintenance, is a failure of its target.
One that the gateway collects, to tell its cost in the head, commits when it is complete.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from shared.bodies.event_splitter import EventSplitter, event_splitter
from shared.bodies.json.lenient import json_or_none
from shared.core.http_tokens import Fields
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.event import Event
from shared.model.messages import LOWER
from shared.providers.apis.events import DONE
from shared.providers.calls import (
    ANTHROPIC_COUNT_TOKENS,
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
)

#: The longest whole response that is collected to tell its cost, in bytes.
MAX_COLLECTED: Final = 256 * 1024
# The APIs whose whole responses are JSON, whatever the request says.
_JSON_APIS = frozenset(
    {ANTHROPIC_COUNT_TOKENS, ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS}
    | {OPENAI_RESPONSES}
)
# No stream begins with more events without content. A piece is split by so many bytes at a time, so that one
# of many tiny events takes the worker for no longer than these.
_MOST_EVENTS: Final = 1_000
_SLICE: Final = 4_096
#: The first bytes of JSON objects and arrays, and of the mark that some servers put before them.
BEGINS_JSON: Final = (b"{", b"[", b"\xef")


class Step(Enum):
    """A decision about the beginning of a response.

    HOLD: keep it, and read on.
    COMMIT: send all that was held, and everything that follows.
    AGAIN: the target failed; drop what was held, and try another one, or send it as the last failure.
    """

    HOLD = "hold"
    COMMIT = "commit"
    AGAIN = "again"


class StreamStart:
    """Judges the beginning of one stream, however it is cut into pieces. The caller keeps the pieces.

    Attributes:
        error: the document of the error event after AGAIN; None if the stream ended or was silent.
    """

    __slots__ = ("_events_left", "_judge", "_left", "_splitter", "error")

    def __init__(self, api: str, splitter: EventSplitter, hold_bytes: int) -> None:
        """`api` is one of `APIS`.

        Once more than `hold_bytes`, or very many events, have come without content, they are sent.
        """
        self._judge = _JUDGES[api]
        self._splitter = splitter
        self._left = hold_bytes
        self._events_left = _MOST_EVENTS
        self.error: Any = None

    @classmethod
    def of(cls, api: str, content_type: str, hold_bytes: int) -> "StreamStart | None":
        """Judge a stream with that Content-Type. None for an unknown API, and for a body without events."""
        splitter = event_splitter(MediaType.parse(content_type), longest=hold_bytes)
        return cls(api, splitter, hold_bytes) if api in _JUDGES and splitter is not None else None

    def feed(self, piece: bytes) -> Step:
        """Judge one more piece. Call it until it returns something else than HOLD."""
        for at in range(0, len(piece), _SLICE):
            try:
                events = self._splitter.feed(piece[at : at + _SLICE])
            except BodyRejected:
                return Step.COMMIT  # the event is longer than what may be held
            for event in events:
                if (step := self._step(event)) is not Step.HOLD:
                    return step
            self._events_left -= len(events)
            if self._events_left < 0:
                return Step.COMMIT
        self._left -= len(piece)
        return Step.HOLD if self._left >= 0 else Step.COMMIT

    def end(self) -> Step:
        """Judge the end of the stream: AGAIN unless its last line is a complete response.

        The last event of a server-sent stream has no end, so readers would drop it (WHATWG HTML, 9.2.6).
        """
        for event in self._splitter.end():
            if self._step(event) is Step.COMMIT and event.is_line and _document(event) is not None:
                return Step.COMMIT
        return Step.AGAIN

    def _step(self, event: Event) -> Step:
        if event.data is None:
            return Step.HOLD  # a comment
        document = _document(event)
        if document is None:
            return Step.AGAIN if event.data.strip() == DONE else Step.COMMIT
        if document.get("error") or document.get("type") == "error":
            self.error = document
            return Step.AGAIN
        step = self._judge(document)
        if step is Step.AGAIN:
            self.error = document
        return step


class WholeBody:
    """Judges one whole response in place of a stream, by its first byte and its length."""

    __slots__ = ("_has_begun", "_left")

    def __init__(self, length: int, *, is_plain: bool = True) -> None:
        """It is held until `length` bytes have come. A body that is not `is_plain` has a content coding."""
        self._left = length
        self._has_begun = not is_plain

    @classmethod
    def of(cls, api: str, fields: Fields) -> "WholeBody | None":
        """Judge the response with these headers, which is not a stream. None for an API without JSON."""
        if api not in _JSON_APIS:
            return None
        length, coding = b"", b""
        for written, value in fields:  # both at once: this is done for each response
            name = LOWER[written]
            if name == "content-length":
                length = length or value
            elif name == "content-encoding":
                coding = coding or value
        size = int(length) if length.isdigit() else 0
        return cls(size if size <= MAX_COLLECTED else 0, is_plain=not coding)

    def feed(self, piece: bytes) -> Step:
        """Judge one more piece. Call it until it returns something else than HOLD."""
        if not self._has_begun and (begin := piece[:64].lstrip()):
            if not begin.startswith(BEGINS_JSON):
                return Step.AGAIN
            self._has_begun = True
        self._left -= len(piece)
        return Step.HOLD if self._left > 0 else Step.COMMIT

    def end(self) -> Step:
        """Judge a body that ends before anything has committed."""
        return Step.AGAIN


def _document(event: Event) -> dict[str, Any] | None:
    """The JSON object of an event; None for anything else."""
    document = json_or_none(event.data or "")
    return document if isinstance(document, dict) else None


def _held_if(is_empty: bool) -> Step:
    return Step.HOLD if is_empty else Step.COMMIT


def _chat(document: Mapping[str, Any]) -> Step:
    choices = document.get("choices")
    return _held_if(isinstance(choices, list) and not any([_choice_says(one) for one in choices]))


def _choice_says(choice: Any) -> bool:
    """Whether a choice has content, or is complete."""
    if not isinstance(choice, dict) or choice.get("finish_reason"):
        return True
    return bool(choice.get("text")) or _says(choice.get("delta"), "role")


def _says(node: Any, *labels: str) -> bool:
    """Whether an object has a member that is not empty, besides these."""
    return bool(node) and (
        not isinstance(node, dict) or any([value for name, value in node.items() if name not in labels])
    )


_RESPONSES_PREAMBLE = ("response.created", "response.queued", "response.in_progress")


def _responses(document: Mapping[str, Any]) -> Step:
    kind = str(document.get("type"))
    if kind == "response.failed":
        return Step.AGAIN
    is_empty = kind.endswith(".delta") and document.get("delta") == ""
    return _held_if(is_empty or kind in _RESPONSES_PREAMBLE or kind.endswith(".added"))


def _messages(document: Mapping[str, Any]) -> Step:
    kind = document.get("type")
    if kind == "content_block_delta":
        return _held_if(not _says(document.get("delta"), "type"))
    return _held_if(kind in ("message_start", "ping", "content_block_start"))


def _gemini(document: Mapping[str, Any]) -> Step:
    candidates = document.get("candidates") or []
    is_complete = bool(document.get("promptFeedback")) or not isinstance(candidates, list)
    return _held_if(not is_complete and not any([_candidate_says(one) for one in candidates]))


def _candidate_says(candidate: Any) -> bool:
    if not isinstance(candidate, dict) or candidate.get("finishReason"):
        return True
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else content
    return any([_says(part, "thought") for part in parts]) if isinstance(parts, list) else bool(parts)


def _ollama(document: Mapping[str, Any]) -> Step:
    is_empty = not document.get("response") and not document.get("thinking")
    return _held_if(not document.get("done") and is_empty and not _says(document.get("message"), "role"))


_JUDGES: Mapping[str, Callable[[Mapping[str, Any]], Step]] = {
    "openai.chat": _chat,
    "openai.completions": _chat,
    "openai.responses": _responses,
    "anthropic.messages": _messages,
    "gemini": _gemini,
    "ollama": _ollama,
}
#: The APIs whose streams can be judged.
APIS = frozenset(_JUDGES)
