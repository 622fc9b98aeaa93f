"""A whole response of OpenAI's chat, for a client of OpenAI's responses."""

from collections.abc import Iterator, Mapping
from typing import Final

from shared.providers.calls import OPENAI_CHAT
from shared.translation.chunks import first_choice, text_parts
from shared.translation.members import DROPPED, Member, mapped
from shared.translation.notes import EXPOSE, BadResponse, Context, Document
from shared.translation.responses_to_chat.calls import FUNCTION, NO_ARGUMENTS, call_item, client_tool, item_id
from shared.translation.responses_to_chat.items import (
    COMPLETED,
    DECLINED,
    MESSAGE,
    REASONING,
    SUMMARY,
    annotations_of,
    logprobs_of,
    make_part,
    message_item,
    reasoning_item,
    text_part,
)
from shared.translation.responses_to_chat.request import REPEATED
from shared.translation.stops import response_end
from shared.translation.tools import ToolIds, arguments_of, responses_id
from shared.translation.usage import responses_usage, units_of

#: The members of the message of a response, and what they become.
MESSAGE_MEMBERS: Final[Mapping[str, Member]] = {
    "content": mapped("an item of the type message, with output_text"),
    "refusal": mapped("a part of this item of the type refusal"),
    "annotations": mapped("the same of output_text"),
    "reasoning_content": mapped("an item of the type reasoning, with a summary"),
    "reasoning": mapped("the same"),
    "tool_calls": mapped("items of the type function_call, custom_tool_call or local_shell_call"),
    "audio": DROPPED,
}
#: The beginning of the id of a call that its model gave none.
CALL_PREFIX: Final = "call_"


def frame(document: Document, context: Context) -> Document:
    """A response without its items, which is not over. `document` is a completion, or its first chunk."""
    tier = document.get("service_tier")
    repeated = {**REPEATED, **context.notes.repeated}
    return {
        "id": responses_id(context.shown_id(document.get("id")), context.token),
        "object": "response",
        "created_at": context.now,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": context.model or str(document.get("model") or ""),
        "output": [],
        "previous_response_id": None,
        "usage": None,
        **repeated,
        "service_tier": tier if isinstance(tier, str) else repeated["service_tier"],
    }


def response(document: Document, context: Context) -> Document:
    """The response for the client. Raises `BadResponse`."""
    choice, message = first_choice(document)
    end = response_end(choice.get("finish_reason"))
    if end is None:
        raise BadResponse("The response of the upstream did not end as its API says.")
    made = frame(document, context)
    made["status"] = end.status
    made["incomplete_details"] = end.details
    made["output"] = _items(message, choice, context, made["id"])
    if made["output"] and "status" in made["output"][-1]:
        made["output"][-1]["status"] = end.status
    made["usage"] = responses_usage(units_of(OPENAI_CHAT, context.settings.kind, document))
    return made


def _items(message: Document, choice: Document, context: Context, id_: str) -> list[Document]:
    items: list[Document] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and thought and context.settings.reasoning == EXPOSE:
        items.append(reasoning_item(item_id(REASONING, id_, 0), [make_part(SUMMARY, thought)], COMPLETED))
    if parts := list(_parts(message, choice, context)):
        items.append(message_item(item_id(MESSAGE, id_, len(items)), parts, COMPLETED))
    ids = ToolIds(context.token, CALL_PREFIX)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        match call:
            case {"function": {"name": str(name)} as function}:
                tool = client_tool(name, context.notes)
                arguments = function.get("arguments")
                members = {
                    "id": item_id(tool.kind, id_, len(items)),
                    "call_id": ids.make(call.get("id")),
                    "status": COMPLETED,
                }
                text = arguments if isinstance(arguments, str) else arguments_of(arguments)
                if tool.kind == FUNCTION and not text.strip():
                    text = NO_ARGUMENTS
                items.append(call_item(tool, text, members, context.notes))
            case _:
                context.notes.lose("tool_calls")
    return items


def _parts(message: Document, choice: Document, context: Context) -> Iterator[Document]:
    if message.get("audio"):
        context.notes.lose("audio")
    if text := "".join(text_parts(message.get("content"))):
        annotations = list(annotations_of(message.get("annotations")))
        yield text_part(text, annotations, logprobs_of(choice.get("logprobs")))
    declined = message.get("refusal")
    if isinstance(declined, str) and declined:
        yield make_part(DECLINED, declined)
