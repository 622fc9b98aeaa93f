"""The SDKs of OpenAI and of Anthropic judge a document: it is one of their types, with no member more."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args

from anthropic.types import ErrorResponse, Message, RawMessageStreamEvent
from anthropic.types.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import BaseModel, TypeAdapter

#: Members that the SDKs do not know: the thoughts of a model, and what the newest SDK of Anthropic has no more.
EXTRA = frozenset({"reasoning_content"})
SAMPLING = ("temperature", "top_p", "top_k")

type Document = dict[str, Any]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _strict(kind: Any, document: Any) -> Any:
    found = _adapter(kind).validate_python(document)
    assert not set(_unknown(found)) - EXTRA
    return found


def _unknown(value: Any) -> Iterable[str]:
    if isinstance(value, BaseModel):
        yield from value.model_extra or ()
        value = [getattr(value, name) for name in type(value).model_fields]
    for each in value if isinstance(value, list) else ():
        yield from _unknown(each)


def completion(document: Document) -> ChatCompletion:
    return _strict(ChatCompletion, document)


def chunk(document: Document) -> ChatCompletionChunk:
    return _strict(ChatCompletionChunk, document)


def message(document: Document) -> Message:
    return _strict(Message, document)


def message_event(document: Document) -> Any:
    return _strict(RawMessageStreamEvent, document)


def messages_error(document: Document) -> ErrorResponse:
    return _strict(ErrorResponse, {"request_id": None, **document})


def _plain(value: Any) -> Any:
    """A validated value without its iterators."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(exclude_unset=True))
    return [_plain(each) for each in value]


def messages_request(document: Document) -> Document:
    """A request for Anthropic's messages, which has no member that the SDK does not know."""
    kind = MessageCreateParamsStreaming if document.get("stream") else MessageCreateParamsNonStreaming
    known = {name: value for name, value in document.items() if name not in SAMPLING}
    assert _plain(_adapter(kind).validate_python(known)) == known
    return document


def chat_request(document: Document) -> Document:
    """A request for OpenAI's chat, which has no member that the SDK does not know."""
    kind = CompletionCreateParamsStreaming if document.get("stream") else CompletionCreateParamsNonStreaming
    messages = [{name: one[name] for name in one if name not in EXTRA} for one in document["messages"]]
    known = {**document, "messages": messages}
    assert _plain(_adapter(kind).validate_python(known)) == known
    return document


def responses_request(document: Document) -> Document:
    """A request for OpenAI's responses, which has no member that the SDK does not know."""
    kind = ResponseCreateParamsStreaming if document.get("stream") else ResponseCreateParamsNonStreaming
    assert _plain(_adapter(kind).validate_python(document)) == document
    return document


def response(document: Document) -> Response:
    return _strict(Response, document)


#: The types of the events of OpenAI's responses, by their names.
RESPONSE_EVENTS: Mapping[str, type[BaseModel]] = {
    name: kind
    for kind in get_args(get_args(ResponseStreamEvent)[0])
    for name in get_args(kind.model_fields["type"].annotation)
}


def response_event(document: Document) -> Any:
    """An event. The description of the API requires a name that the SDK does not know."""
    kind = document["type"]
    if kind == "response.function_call_arguments.done":
        document = {name: value for name, value in document.items() if name != "name"}
    return _strict(RESPONSE_EVENTS[kind], document)
