"""Events of the streams of the known APIs: their kinds, and which text of the response each one continues.

Choices and parts of a response are numbered. The same names and numbers mean the same text.
"""

from collections.abc import Iterator
from typing import Any, Final

from shared.http.body_rejected import BodyRejected
from shared.providers.text_fields import EVENT, RESPONSE, Holder

#: The names of members and the numbers of choices and parts that lead to a text.
Place = tuple[str, ...]

#: The data that OpenAI sends after the last event.
DONE: Final = "[DONE]"
#: Kinds of events. A `WHOLE` one repeats text that came before. An event of an unknown API is `OTHER`.
CHAT, ANTHROPIC, RESPONSES, WHOLE, OTHER = "chat", "anthropic", "responses", "whole", "other"
#: The kind of document that the events of an API are.
HOLDERS = {CHAT: RESPONSE, ANTHROPIC: EVENT, RESPONSES: EVENT}
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
}

_MAX_NUMBER = 2**31 - 1
# The items of these lists have an index.
_COUNTED = ("choices", "tool_calls")
_NUMBERS = ("output_index", "index", "content_index", "summary_index")
_ANTHROPIC_TYPES = frozenset({"message_start", "message_delta", "message_stop"}) | {
    f"content_block_{step}" for step in ("start", "delta", "stop")
}
# Events that end a response and repeat all of it.
_OVER = frozenset({"response.completed", "response.incomplete", "response.failed"})
_WHOLE_TYPES = _OVER | {"response.created", "response.queued", "response.in_progress"}
# The numbers of the parts that a reader joins to one text.
_PART_NUMBERS = {ANTHROPIC: ("index=",), RESPONSES: ("content_index=", "summary_index=")}


def kind_of(document: Any) -> str:
    if not isinstance(document, dict):
        return OTHER
    name = document.get("type")
    if isinstance(document.get("choices"), list):
        return CHAT
    if not isinstance(name, str):
        return OTHER
    if name.startswith("response."):
        return WHOLE if name in _WHOLE_TYPES or name.endswith(".done") else RESPONSES
    return ANTHROPIC if name in _ANTHROPIC_TYPES else OTHER


def numbers_of(node: dict[str, Any], holder: Holder) -> Place:
    """The numbers of a choice or part. One without a number is the first, as in readers of streams.

    Raises `BodyRejected` (``invalid_json``) when the API defines a number and the value is another thing.
    """
    numbers = []
    for name in _NUMBERS:
        value = node.get(name)
        number = _integer(value)
        if number is not None:
            numbers.append(f"{name}={number}")
        elif value is not None and holder is not None:
            raise BodyRejected(
                "invalid_json", f"In the stream: {name} is not an integer from 0 to {_MAX_NUMBER}."
            )
    return tuple(numbers) if numbers or holder not in _COUNTED else ("index=0",)


def _integer(value: Any) -> int | None:
    """The number of a choice or part; None for another value. In JSON, 1 and 1.0 are the same number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value <= _MAX_NUMBER and int(value) == value else None


def joined_place(place: Place, kind: str) -> Place:
    """The place of the text that all parts of a message make together; `place` itself when there is none."""
    counted = _PART_NUMBERS.get(kind, ())
    return tuple(name.partition("=")[0] if name.startswith(counted) else name for name in place)


def ended_places(document: Any, kind: str) -> Iterator[Place]:
    """The beginnings of the places of texts that are complete with this event."""
    if kind == CHAT:
        for choice in document["choices"]:
            if isinstance(choice, dict) and choice.get("finish_reason"):
                yield ("choices", *numbers_of(choice, "choices"))
    elif kind == WHOLE:
        if document["type"] in _OVER:
            yield ()
        elif numbers := numbers_of(document, EVENT):
            yield numbers
    elif kind == ANTHROPIC and document["type"] in ("content_block_stop", "message_stop"):
        yield numbers_of(document, EVENT)
