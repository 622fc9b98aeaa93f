"""A request of OpenAI's responses as one of OpenAI's chat.

Chat keeps nothing between two requests. So a request that names what a server has kept is rejected.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.translation.efforts import known_effort
from shared.translation.generation import NO_SCHEMA, chat_max_tokens, chat_stream, sampling_of
from shared.translation.members import (
    DROP,
    DROPPED,
    Member,
    mapped,
    mapped_members,
    must_be,
    rejected,
)
from shared.translation.notes import DEFAULTS, Caps, Document, Notes, Settings, Untranslatable
from shared.translation.responses_to_chat.conversation import messages_of
from shared.translation.responses_to_chat.tools import is_mapped, tools_of

# Members that are the same in both APIs.
_SAME: Final = (
    "moderation",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "user",
)
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_LOGPROBS: Final = "message.output_text.logprobs"
_ALL_INPUT: Final = "This model's API keeps no responses. Send all items of the conversation in input."

#: The members of a request: what they become, or what to do instead.
MEMBERS: Final[Mapping[str, Member]] = {
    "model": mapped("model"),
    "instructions": mapped("messages, the first one"),
    "input": mapped("messages"),
    "max_output_tokens": mapped("max_completion_tokens or max_tokens, at most what the model allows"),
    "temperature": mapped("temperature"),
    "top_p": mapped("top_p"),
    "tools": mapped("tools; those of the client that are no functions, as functions"),
    "tool_choice": mapped("tool_choice; allowed_tools, fewer tools"),
    "parallel_tool_calls": mapped("parallel_tool_calls"),
    "text": mapped("response_format, verbosity"),
    "reasoning": mapped("reasoning_effort"),
    "include": mapped("logprobs"),
    "top_logprobs": mapped("logprobs, top_logprobs"),
    "stream": mapped("stream, stream_options"),
    "stream_options": mapped("events without obfuscation"),
    "service_tier": mapped("service_tier"),
    "prompt_cache_options": mapped("prompt_cache_options"),
    **{name: mapped(name) for name in _SAME},
    "access_programs": DROPPED,
    "background_options": DROPPED,
    "context_management": Member(DROP, harmless=([],)),
    "image": DROPPED,
    "max_tool_calls": DROPPED,
    "metadata": DROPPED,
    "truncation": Member(DROP, harmless=("disabled",)),
    "background": rejected("The gateway waits for this model. Use stream, or leave it out.", False),
    "conversation": rejected(_ALL_INPUT),
    "previous_response_id": rejected(_ALL_INPUT),
    "prompt": rejected("This model's API has no stored prompts. Use instructions and input."),
    "store": rejected("This model's API keeps no responses. Use false, or leave it out.", False),
}
#: The members that a response repeats, with the values of a request that leaves them out.
REPEATED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "auto",
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def request(document: Document, caps: Caps, settings: Settings = DEFAULTS) -> tuple[Document, Notes]:
    """The request for the upstream, and its notes. Raises `Untranslatable`."""
    notes = Notes(settings.unsupported)
    notes.repeated = {name: document[name] for name in REPEATED if document.get(name) is not None}
    kept = mapped_members(document, MEMBERS, notes)
    tools = tools_of(kept, notes)
    if "tools" in kept:
        notes.repeated["tools"] = [tool for tool in kept["tools"] if is_mapped(tool)]
    sent: Document = {
        "model": kept.get("model"),
        "messages": messages_of(kept, caps, notes),
        **chat_max_tokens(kept, "max_output_tokens", caps, settings, notes),
        **sampling_of(kept, ("temperature", "top_p"), caps, notes),
        **tools,
        **_text(must_be(dict, kept.get("text", {}), "/text"), caps, notes),
        **_reasoning(must_be(dict, kept.get("reasoning", {}), "/reasoning"), caps, notes),
        **_logprobs(kept, notes),
        **_tier(kept.get("service_tier"), notes),
        **_cache_options(must_be(dict, kept.get("prompt_cache_options", {}), "/prompt_cache_options"), notes),
        **{name: kept[name] for name in _SAME if name in kept},
        **_stream(kept, caps, notes),
    }
    return sent, notes


def _text(text: Document, caps: Caps, notes: Notes) -> Document:
    made = _format(text.get("format"), caps, notes)
    if text.get("verbosity") is not None:
        made["verbosity"] = text["verbosity"]
    _drop_others(text, "text", ("format", "verbosity"), notes)
    return made


def _format(value: Any, caps: Caps, notes: Notes) -> Document:
    match value:
        case None | {"type": "text"}:
            return {}
        case {"type": "json_object"}:
            return {"response_format": {"type": "json_object"}}
        case {"type": "json_schema", "name": str(), "schema": dict()}:
            if caps.get("structured") is not False:
                names = ("name", "description", "schema", "strict")
                schema = {name: value[name] for name in names if value.get(name) is not None}
                return {"response_format": {"type": "json_schema", "json_schema": schema}}
            notes.reject("text.format", "/text/format", NO_SCHEMA)
            return {}
    raise Untranslatable("/text/format", "Use text, json_object, or json_schema with a name and a schema.")


def _reasoning(reasoning: Document, caps: Caps, notes: Notes) -> Document:
    _drop_others(reasoning, "reasoning", ("effort",), notes)
    effort = known_effort(reasoning.get("effort"), caps, notes, "reasoning.effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _logprobs(kept: Document, notes: Notes) -> Document:
    asked = must_be(list, kept.get("include", []), "/include")
    for index, name in enumerate(asked):
        if name != _LOGPROBS:
            notes.drop(f"include.{name}", f"/include/{index}")
    most = must_be(int, kept.get("top_logprobs", 0), "/top_logprobs")
    if most:
        return {"logprobs": True, "top_logprobs": most}
    return {"logprobs": True} if _LOGPROBS in asked else {}


def _tier(tier: Any, notes: Notes) -> Document:
    if tier is None:
        return {}
    if isinstance(tier, str) and tier in _TIERS:
        return {"service_tier": tier}
    notes.drop("service_tier")
    return {}


def _cache_options(options: Document, notes: Notes) -> Document:
    if options.get("prewarm") is True:
        detail = "This model's API always generates a response. Leave it out."
        notes.reject("prompt_cache_options.prewarm", "/prompt_cache_options/prewarm", detail)
    # Chat has one lifetime only.
    names = ("mode", "ttl") if options.get("ttl") == "30m" else ("mode",)
    _drop_others(options, "prompt_cache_options", (*names, "prewarm"), notes)
    found = {name: options[name] for name in names if options.get(name) is not None}
    return {"prompt_cache_options": found} if found else {}


def _stream(kept: Document, caps: Caps, notes: Notes) -> Document:
    options = must_be(dict, kept.get("stream_options", {}), "/stream_options")
    if options.get("include_obfuscation") is True:
        notes.drop("stream_options.include_obfuscation", "/stream_options/include_obfuscation")
    return chat_stream(kept, caps)


def _drop_others(value: Document, name: str, known: tuple[str, ...], notes: Notes) -> None:
    """Report the members of a member that chat does not have."""
    for each in value:
        if each not in known and value[each] is not None:
            notes.drop(f"{name}.{each}", f"/{name}/{each}")
