"""Events of the streams of the known APIs: their kinds, and which text of the response each one continues.

The alternatives of a response (choices, candidates) and its parts are numbered. The same names and numbers
mean the same text. Only the numbers that the API defines count: servers of other APIs number their tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.http.body_rejected import BodyRejected
from shared.providers.apis.text_fields import ALTERNATIVES, APIS, EVENT, RESPONSE, TEXT, Holder, members_of

#: The names of members and the numbers of alternatives and parts that lead to a text.
Place = tuple[str, ...]

#: The data that OpenAI sends after the last event.
DONE: Final = "[DONE]"
#: Kinds of events. A `WHOLE` one repeats text that came before. A `SENT` one is a request, as in a file
#: with a batch. An event of an unknown API is `OTHER`.
CHAT, ANTHROPIC, RESPONSES, GEMINI, OLLAMA = "chat", "anthropic", "responses", "gemini", "ollama"
WHOLE, SENT, OTHER = "whole", "sent", "other"
#: The kind of document that the events of an API are.
HOLDERS: Mapping[str, Holder] = {
    **dict.fromkeys((CHAT, GEMINI, OLLAMA), RESPONSE),
    **dict.fromkeys((ANTHROPIC, RESPONSES), EVENT),
}
#: Members that hold the next piece of a text, except in chat. The text itself has another name, or none.
WRAPPERS = frozenset({"delta", "content_block", "part", "item"})
#: The field that the text "delta" of an event continues; see OpenAI's reference, "Streaming events".
FIELDS = {
    "response.output_text.delta": "text",
    "response.reasoning_text.delta": "text",
    "response.reasoning_summary_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "transcript.text.delta": "text",
}

_MAX_NUMBER = 2**31 - 1
# The API whose events have a kind.
_APIS = {
    CHAT: "openai.chat",
    GEMINI: "gemini",
    ANTHROPIC: "anthropic.messages",
    RESPONSES: "openai.responses",
    WHOLE: "openai.responses",
}


def _numbers() -> Mapping[str, Mapping[Holder, Sequence[str]]]:
    """Return the names of numbers by the kind of event and the place of the object that has them."""
    table: dict[str, dict[Holder, list[str]]] = {}
    for kind, name in _APIS.items():
        paths = next(api.numbers for api in APIS if api.name == name)
        for place, member, _ in members_of(paths):
            table.setdefault(kind, {}).setdefault(place, []).append(member)
    return table


_NUMBERS = _numbers()
#: The kinds of events, with the places of objects that have numbers in them.
NUMBERED: Final = frozenset((kind, holder) for kind, at in _NUMBERS.items() for holder in at)
_ANTHROPIC_TYPES = frozenset({"message_start", "message_delta", "message_stop"}) | {
    f"content_block_{step}" for step in ("start", "delta", "stop")
}
_OPENAI_TYPES = ("response.", "transcript.text.", "speech.audio.", "image_generation.", "image_edit.")
# Events that end a response and repeat all of it.
_OVER = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "transcript.text.done"}
    | {"image_generation.completed", "image_edit.completed"}
)
_WHOLE_TYPES = _OVER | {"response.created", "response.queued", "response.in_progress"}
# These repeat or complete a text.
_WHOLE_ENDS = (".done", ".segment")
# The numbers of the parts that a reader joins to one text.
_PART_NUMBERS = {ANTHROPIC: ("index=",), RESPONSES: ("content_index=", "summary_index=")}


def kind_of(document: Any) -> str:
    if not isinstance(document, dict):
        return OTHER
    if isinstance(document.get("choices"), list):
        return CHAT
    if is_sent(document) or (isinstance(document.get("body"), dict) and is_sent(document["body"])):
        return SENT
    if any([isinstance(document.get(name), kind) for name, kind in _GEMINI_SIGNS]):
        return GEMINI
    if isinstance(document.get("done"), bool) and ("message" in document or "response" in document):
        return OLLAMA
    name = document.get("type")
    if not isinstance(name, str):
        return OTHER
    if name.startswith(_OPENAI_TYPES):
        return WHOLE if name in _WHOLE_TYPES or name.endswith(_WHOLE_ENDS) else RESPONSES
    return ANTHROPIC if name in _ANTHROPIC_TYPES else OTHER


def is_sent(document: Mapping[str, Any]) -> bool:
    """True for a request of a known API, which no stream of a response has."""
    if isinstance(document.get("messages"), list) or isinstance(document.get("contents"), list):
        return True
    return isinstance(document.get("model"), str) and ("input" in document or "prompt" in document)


_GEMINI_SIGNS = (("candidates", list), ("promptFeedback", dict), ("usageMetadata", dict))


def numbers_of(node: dict[str, Any], kind: str, holder: Holder) -> Place:
    """The numbers of an alternative or part. One without a number is the first, as in readers of streams.

    Raises `BodyRejected` (``invalid_json``) when the API defines a number and the value is another thing.
    """
    numbers = []
    for name in _NUMBERS[kind][holder] if (kind, holder) in NUMBERED else ():
        value = node.get(name)
        number = value if type(value) is int and 0 <= value <= _MAX_NUMBER else _integer(value)
        if number is not None:
            numbers.append(f"{name}={number}")
        elif value is not None:
            raise BodyRejected(
                "invalid_json", f"In the stream: {name} is not an integer from 0 to {_MAX_NUMBER}."
            )
        elif holder in ALTERNATIVES:  # without an index it is 0
            numbers.append("index=0")
    return tuple(numbers)


def _integer(value: Any) -> int | None:
    """The number of a choice or part; None for another value. In JSON, 1 and 1.0 are the same number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value <= _MAX_NUMBER and int(value) == value else None


def field_of(node: dict[str, Any], kind: str, name: str) -> str:
    """The name of the text that the member `name` continues."""
    if kind == RESPONSES and name == "delta":
        event = str(node.get("type"))
        return FIELDS.get(event, event)
    return thought_of(node) or name if kind == GEMINI and name == TEXT else name


def thought_of(node: Mapping[str, Any]) -> str:
    """A name for the text of a part with a thought of Gemini; empty for another part."""
    return "thought" if node.get("thought") is True else ""


def joined_place(place: Place, kind: str) -> Place:
    """The place of the text that all parts of a message make together; `place` itself when there is none."""
    counted = _PART_NUMBERS.get(kind, ())
    return tuple(name.partition("=")[0] if name.startswith(counted) else name for name in place)


def ended_places(document: Any, kind: str) -> Iterator[Place]:
    """The beginnings of the places of texts that are complete with this event."""
    if kind == CHAT:
        yield from _ended(document, CHAT, "choices", "finish_reason")
    elif kind == GEMINI:
        yield from _ended(document, GEMINI, "candidates", "finishReason")
    elif kind == OLLAMA:
        yield from [()] if document["done"] else []
    elif kind == WHOLE:
        if document["type"] in _OVER:
            yield ()
        elif numbers := numbers_of(document, WHOLE, EVENT):
            yield numbers
    elif kind == ANTHROPIC and document["type"] in ("content_block_stop", "message_stop"):
        yield numbers_of(document, ANTHROPIC, EVENT)


def _ended(document: Any, kind: str, name: str, reason: str) -> Iterator[Place]:
    items = document.get(name)
    for item in items if type(items) is list else ():
        if type(item) is dict and reason in item and item[reason]:
            yield (name, *numbers_of(item, kind, name))
