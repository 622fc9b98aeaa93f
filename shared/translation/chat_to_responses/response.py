"""A whole response of OpenAI's responses, for a client of OpenAI's chat."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from shared.providers.calls import OPENAI_RESPONSES
from shared.translation.members import Member, mapped, objects_of
from shared.translation.notes import EXPOSE, BadResponse, Context, Document
from shared.translation.stops import finish_of_status
from shared.translation.tools import ToolIds, chat_id
from shared.translation.usage import chat_usage, units_of

#: The items of a response, and what they become. Those of other types are dropped.
ITEMS: Final[Mapping[str, Member]] = {
    "message": mapped("choices.message.content, in one text; refusal, annotations, logprobs"),
    "reasoning": mapped("choices.message.reasoning_content"),
    "function_call": mapped("choices.message.tool_calls"),
    "custom_tool_call": mapped("choices.message.tool_calls of the type custom"),
}
#: The separator of two parts of a thought.
BETWEEN: Final = "\n\n"
_CALLS: Final = ("function_call", "custom_tool_call")


def response(document: Document, context: Context) -> Document:
    """The completion for the client. Raises `BadResponse`."""
    items = document.get("output")
    if not isinstance(items, list):
        raise BadResponse("The response of the upstream has no list of output.")
    message, logprobs = _message(objects_of(items), context)
    finish = finish_of(document, context, has_tools="tool_calls" in message)
    if finish is None:
        raise BadResponse("The response of the upstream did not end as its API says.")
    choice: Document = {"index": 0, "message": message, "finish_reason": finish}
    if logprobs:
        choice["logprobs"] = {"content": logprobs, "refusal": None}
    completion = {
        "id": chat_id(context.shown_id(document.get("id")), context.token),
        "object": "chat.completion",
        "created": context.now,
        "model": context.model or str(document.get("model") or ""),
        "choices": [choice],
    }
    usage = chat_usage(units_of(OPENAI_RESPONSES, context.settings.kind, document))
    return completion if usage is None else {**completion, "usage": usage}


def finish_of(document: Document, context: Context, *, has_tools: bool) -> str | None:
    """The reason to stop of a response; None: it failed."""
    details = document.get("incomplete_details")
    finish, is_known = finish_of_status(document.get("status"), details, has_tools=has_tools)
    if not is_known:
        context.notes.change("incomplete_details")
    return finish


def _message(items: list[Document], context: Context) -> tuple[Document, list[Document]]:
    """The message, and the probabilities of its tokens."""
    found = _Found(context)
    for item in items:
        handler = _HANDLERS.get(str(item.get("type")))
        if handler is None:
            context.notes.lose(str(item.get("type")))
        else:
            handler(found, item)
    message: Document = {
        "role": "assistant",
        "content": "".join(found.texts) if found.texts else None,
        "refusal": "".join(found.declined) or None,
    }
    if found.thoughts and context.settings.reasoning == EXPOSE:
        message["reasoning_content"] = BETWEEN.join(found.thoughts)
    if found.annotations:
        message["annotations"] = found.annotations
    if found.calls:
        message["tool_calls"] = found.calls
    return message, found.logprobs


class _Found:
    """The members of one message of chat that the items of a response bring."""

    __slots__ = ("_context", "_ids", "annotations", "calls", "declined", "logprobs", "texts", "thoughts")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ids = ToolIds(context.token, "call_")
        self.texts: list[str] = []
        self.declined: list[str] = []
        self.thoughts: list[str] = []
        self.annotations: list[Document] = []
        self.logprobs: list[Document] = []
        self.calls: list[Document] = []

    def message(self, item: Document) -> None:
        for part in objects_of(item.get("content")):
            match part:
                case {"type": "output_text", "text": str(text)}:
                    self.texts.append(text)
                    self.annotations += citations_of(part.get("annotations"), self._context)
                    self.logprobs += objects_of(part.get("logprobs"))
                case {"type": "refusal", "refusal": str(text)}:
                    self.declined.append(text)
                case _:
                    self._context.notes.lose("content")

    def reasoning(self, item: Document) -> None:
        parts = objects_of(item.get("summary")) or objects_of(item.get("content"))
        self.thoughts += [
            part["text"] for part in parts if isinstance(part.get("text"), str) and part["text"]
        ]

    def call(self, item: Document) -> None:
        id_ = self._ids.make(item.get("call_id"))
        self.calls.append({"id": id_, **called(item)})


_HANDLERS: Final[Mapping[str, Callable[[_Found, Document], None]]] = {
    "message": _Found.message,
    "reasoning": _Found.reasoning,
    **dict.fromkeys(_CALLS, _Found.call),
}


def called(item: Document) -> Document:
    """The tool that an item calls, and with what."""
    kind, text = ("custom", "input") if item.get("type") == "custom_tool_call" else ("function", "arguments")
    return {"type": kind, kind: {"name": str(item.get("name", "")), text: str(item.get(text) or "")}}


def citations_of(annotations: Any, context: Context) -> Iterator[Document]:
    """The citations that chat has, too."""
    for one in objects_of(annotations):
        if one.get("type") == "url_citation":
            fields = {name: value for name, value in one.items() if name != "type"}
            yield {"type": "url_citation", "url_citation": fields}
        else:
            context.notes.lose("annotations")
