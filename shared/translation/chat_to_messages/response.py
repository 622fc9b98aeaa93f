"""A whole response of Anthropic's messages, for a client of OpenAI's chat."""

from collections.abc import Mapping
from typing import Any, Final

from shared.providers.calls import ANTHROPIC_MESSAGES
from shared.translation.members import DROPPED, Member, mapped
from shared.translation.notes import EXPOSE, BadResponse, Context, Document
from shared.translation.stops import finish_reason
from shared.translation.tools import arguments_of, chat_id
from shared.translation.usage import chat_usage, units_of

#: The blocks of a response, and what they become. Those of other types are dropped.
BLOCKS: Final[Mapping[str, Member]] = {
    "text": mapped("choices.message.content, in one text; citations are dropped"),
    "thinking": mapped("choices.message.reasoning_content, without its signature"),
    "tool_use": mapped("choices.message.tool_calls"),
    "redacted_thinking": DROPPED,
}


def response(document: Document, context: Context) -> Document:
    """The completion for the client. Raises `BadResponse`."""
    blocks = document.get("content")
    if not isinstance(blocks, list):
        raise BadResponse("The response of the upstream has no list of content.")
    reason, is_known = finish_reason(document.get("stop_reason"))
    if not is_known:
        context.notes.change("stop_reason")
    completion = {
        "id": chat_id(context.shown_id(document.get("id")), context.token),
        "object": "chat.completion",
        "created": context.now,
        "model": context.model or str(document.get("model") or ""),
        "choices": [{"index": 0, "message": _message(document, blocks, context), "finish_reason": reason}],
    }
    usage = chat_usage(units_of(ANTHROPIC_MESSAGES, context.settings.kind, document))
    return completion if usage is None else {**completion, "usage": usage}


def _message(document: Document, blocks: list[Any], context: Context) -> Document:
    texts, thoughts, calls = list[str](), list[str](), list[Document]()
    for block in blocks:
        match block:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
                if block.get("citations"):
                    context.notes.lose("citations")
            case {"type": "thinking", "thinking": str(thought)}:
                thoughts.append(thought)
            case {"type": "tool_use", "id": str(id_), "name": str(name)}:
                function = {"name": name, "arguments": arguments_of(block.get("input"))}
                calls.append({"id": id_, "type": "function", "function": function})
            case _:
                context.notes.lose(str(block.get("type")) if isinstance(block, dict) else "content")
    message: Document = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": stop_explanation(document),
    }
    if "".join(thoughts) and context.settings.reasoning == EXPOSE:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def stop_explanation(document: Document) -> str | None:
    """Why the model does not respond, as it says."""
    match document:
        case {"stop_reason": "refusal", "stop_details": {"explanation": str(words)}}:
            return words
    return None
