"""A whole response of OpenAI's chat, for a client of Anthropic's messages."""

from collections.abc import Iterator, Mapping
from typing import Final

from shared.providers.calls import OPENAI_CHAT
from shared.translation.chunks import first_choice, text_parts
from shared.translation.members import DROP, DROPPED, Member, mapped
from shared.translation.notes import EXPOSE, BadResponse, Context, Document
from shared.translation.stops import stop_reason
from shared.translation.tools import ToolIds, input_of, messages_id
from shared.translation.usage import messages_usage, units_of

#: The members of the message of a response, and what they become.
MESSAGE: Final[Mapping[str, Member]] = {
    "content": mapped("a block of the type text"),
    "refusal": mapped("a block of the type text, and the stop_reason refusal"),
    "reasoning_content": mapped("a block of the type thinking, without a signature"),
    "reasoning": mapped("the same"),
    "tool_calls": mapped("blocks of the type tool_use"),
    "annotations": DROPPED,
    "audio": DROPPED,
}


def response(document: Document, context: Context) -> Document:
    """The message for the client. Raises `BadResponse`."""
    choice, message = first_choice(document)
    content = [*_thoughts(message, context), *_texts(message, context)]
    calls = list(_calls(message, context))
    reason = stop_reason(choice.get("finish_reason"), has_tools=bool(calls))
    if reason is None:
        raise BadResponse("The response of the upstream did not end as its API says.")
    return {
        "id": messages_id(context.shown_id(document.get("id")), context.token),
        "type": "message",
        "role": "assistant",
        "model": context.model or str(document.get("model") or ""),
        "content": content + calls,
        "stop_reason": "refusal" if message.get("refusal") else reason,
        "stop_sequence": None,
        "usage": messages_usage(units_of(OPENAI_CHAT, context.settings.kind, document)),
    }


def _thoughts(message: Document, context: Context) -> Iterator[Document]:
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and thought and context.settings.reasoning == EXPOSE:
        # Only Anthropic can sign one; a request that brings it back loses it again.
        yield {"type": "thinking", "thinking": thought, "signature": ""}


def _texts(message: Document, context: Context) -> Iterator[Document]:
    for name, member in MESSAGE.items():
        if member.action == DROP and message.get(name):
            context.notes.lose(name)
    declined = message.get("refusal")
    for text in ("".join(text_parts(message.get("content"))), declined):
        if isinstance(text, str) and text:
            yield {"type": "text", "text": text}


def _calls(message: Document, context: Context) -> Iterator[Document]:
    ids = ToolIds(context.token)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        match call:
            case {"function": {"name": str(name)} as function}:
                value = input_of(function.get("arguments"))
                if value is None:
                    context.notes.change("tool_arguments")
                name = context.notes.tool_names.get(name, name)
                yield {"type": "tool_use", "id": ids.make(call.get("id")), "name": name, "input": value or {}}
            case _:
                context.notes.lose("tool_calls")
