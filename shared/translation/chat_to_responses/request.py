"""A request of OpenAI's chat as one of OpenAI's responses.

Responses are stored unless a request says otherwise, and tools are strict. Chat is the other way round, so
both are said.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.translation.chat_to_responses.items import input_of_messages
from shared.translation.chat_to_responses.tools import tools_of
from shared.translation.efforts import known_effort
from shared.translation.generation import NO_SCHEMA, most_output, note_usage_asked, sampling_of
from shared.translation.members import DROPPED, Member, mapped, mapped_members, must_be, rejected
from shared.translation.notes import DEFAULTS, Caps, Document, Notes, Settings, Untranslatable

# The API rejects to write fewer tokens.
_LEAST_OUTPUT: Final = 16
# Members that are the same in both APIs.
_SAME: Final = (
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "user",
)
_LOGPROBS: Final = "message.output_text.logprobs"
_USE_TOOLS: Final = "Functions are deprecated. Use tools and tool_choice."

#: The members of a request: what they become, or what to do instead.
MEMBERS: Final[Mapping[str, Member]] = {
    "model": mapped("model"),
    "messages": mapped("instructions, input"),
    "max_completion_tokens": mapped("max_output_tokens, at least 16 and at most what the model allows"),
    "max_tokens": mapped("max_output_tokens, at least 16 and at most what the model allows"),
    "temperature": mapped("temperature"),
    "top_p": mapped("top_p"),
    "tools": mapped("tools"),
    "tool_choice": mapped("tool_choice"),
    "parallel_tool_calls": mapped("parallel_tool_calls"),
    "response_format": mapped("text.format"),
    "verbosity": mapped("text.verbosity"),
    "reasoning_effort": mapped("reasoning.effort"),
    "logprobs": mapped("include"),
    "top_logprobs": mapped("top_logprobs"),
    "store": mapped("store, false if it is absent"),
    "stream": mapped("stream"),
    "stream_options": mapped("the usage at the end of the stream"),
    "service_tier": mapped("service_tier"),
    **{name: mapped(name) for name in _SAME},
    "frequency_penalty": DROPPED,
    "logit_bias": DROPPED,
    "prediction": DROPPED,
    "presence_penalty": DROPPED,
    "seed": DROPPED,
    "audio": rejected("The API of the model has no voice. Ask for text."),
    "function_call": rejected(_USE_TOOLS),
    "functions": rejected(_USE_TOOLS),
    "modalities": rejected('The API of the model responds with text. Use ["text"].', ["text"]),
    "n": rejected("The model makes one response per request. Send several requests.", 1),
    "stop": rejected("The API of the model stops at no text. Cut the response at it.", []),
    "web_search_options": rejected("The gateway cannot ask this model to search. Give it a tool that does."),
}


def request(document: Document, caps: Caps, settings: Settings = DEFAULTS) -> tuple[Document, Notes]:
    """The request for the upstream, and its notes. Raises `Untranslatable`."""
    notes = Notes(settings.unsupported)
    kept = mapped_members(document, MEMBERS, notes)
    sent: Document = {
        "model": kept.get("model"),
        **input_of_messages(kept.get("messages"), notes),
        **_max_tokens(kept, caps, notes),
        **sampling_of(kept, ("temperature", "top_p"), caps, notes),
        **tools_of(kept, notes),
        **_text(kept, caps, notes),
        **_effort(kept, caps, notes),
        **_logprobs(kept),
        "store": kept.get("store") is True,
        **{name: kept[name] for name in ("service_tier", *_SAME) if name in kept},
    }
    if kept.get("stream") is True:
        sent["stream"] = True
    note_usage_asked(kept, notes)
    return sent, notes


def _max_tokens(kept: Document, caps: Caps, notes: Notes) -> Document:
    name = "max_completion_tokens" if "max_completion_tokens" in kept else "max_tokens"
    if name not in kept:
        return {}
    most = most_output(kept, name, caps, notes)
    if 0 < most < _LEAST_OUTPUT:
        notes.change(name)
        most = _LEAST_OUTPUT
    return {"max_output_tokens": most}


def _text(kept: Document, caps: Caps, notes: Notes) -> Document:
    text = _format(kept.get("response_format"), caps, notes)
    if "verbosity" in kept:
        text["verbosity"] = kept["verbosity"]
    return {"text": text} if text else {}


def _format(value: Any, caps: Caps, notes: Notes) -> Document:
    match value:
        case None | {"type": "text"}:
            return {}
        case {"type": "json_object"}:
            return {"format": {"type": "json_object"}}
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": dict()} as schema}:
            if caps.get("structured") is not False:
                names = ("name", "description", "schema", "strict")
                found = {name: schema[name] for name in names if schema.get(name) is not None}
                return {"format": {"type": "json_schema", **found}}
            notes.reject("response_format", "/response_format", NO_SCHEMA)
            return {}
    raise Untranslatable(
        "/response_format", "Use text, json_object, or json_schema with a name and a schema."
    )


def _effort(kept: Document, caps: Caps, notes: Notes) -> Document:
    effort = known_effort(kept.get("reasoning_effort"), caps, notes, "reasoning_effort")
    return {} if effort is None else {"reasoning": {"effort": effort}}


def _logprobs(kept: Document) -> Document:
    made: Document = {}
    if kept.get("logprobs") is True:
        made["include"] = [_LOGPROBS]
    if "top_logprobs" in kept:
        made["top_logprobs"] = must_be(int, kept["top_logprobs"], "/top_logprobs")
    return made
