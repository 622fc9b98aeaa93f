"""A request of OpenAI's chat as one of Anthropic's messages."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.translation.chat_to_messages.messages import conversation_of
from shared.translation.chat_to_messages.thinking import think
from shared.translation.chat_to_messages.tools import tools_of
from shared.translation.generation import NO_SCHEMA, note_usage_asked, sampling_of
from shared.translation.members import (
    DROPPED,
    Member,
    mapped,
    mapped_members,
    must_be,
    rejected,
    texts,
)
from shared.translation.notes import DEFAULTS, Caps, Document, Notes, Settings, Untranslatable

#: The most tokens of a response, when neither the client nor the table of models has a number.
DEFAULT_MAX_TOKENS: Final = 4096
_MAX_MARKS: Final = 4
_LONGEST_USER: Final = 256
_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_JSON: Final = "Answer with a single JSON object."

_USE_TOOLS: Final = "Functions are deprecated. Use tools and tool_choice."

#: The members of a request: what they become, or what to do instead.
MEMBERS: Final[Mapping[str, Member]] = {
    "model": mapped("model"),
    "messages": mapped("system, messages"),
    "max_completion_tokens": mapped("max_tokens"),
    "max_tokens": mapped("max_tokens"),
    "temperature": mapped("temperature, at most 1"),
    "top_p": mapped("top_p, without a temperature"),
    "stop": mapped("stop_sequences"),
    "stream": mapped("stream"),
    "stream_options": mapped("the usage at the end of the stream"),
    "tools": mapped("tools"),
    "tool_choice": mapped("tool_choice"),
    "parallel_tool_calls": mapped("tool_choice.disable_parallel_tool_use"),
    "response_format": mapped("output_config.format; for json_object, an instruction"),
    "reasoning_effort": mapped("thinking, output_config.effort"),
    "user": mapped("metadata.user_id"),
    "safety_identifier": mapped("metadata.user_id"),
    "service_tier": mapped("service_tier"),
    "prompt_cache_key": mapped("the choice of a key and a target"),
    "frequency_penalty": DROPPED,
    "logit_bias": DROPPED,
    "metadata": DROPPED,
    "moderation": DROPPED,
    "prediction": DROPPED,
    "presence_penalty": DROPPED,
    "prompt_cache_options": DROPPED,
    "prompt_cache_retention": DROPPED,
    "seed": DROPPED,
    "verbosity": DROPPED,
    "audio": rejected("The model has no voice. Ask for text."),
    "function_call": rejected(_USE_TOOLS),
    "functions": rejected(_USE_TOOLS),
    "logprobs": rejected("The API of the model reports no probabilities. Leave it out.", False),
    "modalities": rejected('The model responds with text only. Use ["text"], or leave it out.', ["text"]),
    "n": rejected("The model makes one response per request. Send several requests.", 1),
    "store": rejected("The API of the model stores no responses. Use false, or leave it out.", False),
    "top_logprobs": rejected("The API of the model reports no probabilities. Leave it out.", 0),
    "web_search_options": rejected("The gateway cannot ask this model to search. Give it a tool that does."),
}


def request(document: Document, caps: Caps, settings: Settings = DEFAULTS) -> tuple[Document, Notes]:
    """The request for the upstream, and its notes. Raises `Untranslatable`."""
    notes = Notes(settings.unsupported)
    kept = mapped_members(document, MEMBERS, notes)
    conversation = conversation_of(kept.get("messages"), caps, notes)
    sent: Document = {
        "model": kept.get("model"),
        "max_tokens": _max_tokens(kept, caps),
        "messages": conversation.turns,
        **_sampling(kept, caps, notes),
        **_stop(kept.get("stop")),
        **tools_of(kept, notes),
        **_format(kept.get("response_format"), caps, notes, conversation.system),
        **_user(kept, settings),
        **_tier(kept.get("service_tier"), notes),
    }
    if conversation.system:
        sent["system"] = conversation.system
    if "reasoning_effort" in kept:
        think(sent, kept["reasoning_effort"], caps, notes)
    if kept.get("stream") is True:
        sent["stream"] = True
    note_usage_asked(kept, notes)
    _limit_marks(sent, notes)
    return sent, notes


def _max_tokens(kept: Document, caps: Caps) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        if name in kept:
            return must_be(int, kept[name], f"/{name}")
    return caps.get("max_output") or DEFAULT_MAX_TOKENS


def _sampling(kept: Document, caps: Caps, notes: Notes) -> Document:
    found = sampling_of(kept, ("temperature", "top_p"), caps, notes)
    if found.get("temperature", 0) > 1:
        notes.change("temperature")
        found["temperature"] = 1
    if len(found) > 1:
        notes.drop("top_p")
        del found["top_p"]
    return found


def _stop(stop: Any) -> Document:
    if stop is None:
        return {}
    words = [stop] if isinstance(stop, str) else texts(stop, "/stop")
    words = [word for word in words if word.strip()]
    return {"stop_sequences": words} if words else {}


def _format(value: Any, caps: Caps, notes: Notes, system: list[Document]) -> Document:
    match value:
        case None | {"type": "text"}:
            return {}
        case {"type": "json_object"}:
            notes.change("response_format")
            system.append({"type": "text", "text": _JSON})
            return {}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            if caps.get("structured") is not False:
                return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
            notes.reject("response_format", "/response_format", NO_SCHEMA)
            return {}
    raise Untranslatable("/response_format", "Use text, json_object, or json_schema with a schema.")


def _user(kept: Document, settings: Settings) -> Document:
    given = next((kept[one] for one in ("user", "safety_identifier") if one in kept), None)
    if given is None:
        return {}
    user = must_be(str, given, "/user")
    if "@" in user or len(user) > _LONGEST_USER:  # the provider wants no addresses
        name = user.encode(errors="surrogatepass")
        user = hmac.new(settings.secret, name, hashlib.sha256).hexdigest()
    return {"metadata": {"user_id": user}}


def _tier(tier: Any, notes: Notes) -> Document:
    if isinstance(tier, str) and tier in _TIERS:
        return {"service_tier": _TIERS[tier]}
    if tier is not None:
        notes.drop("service_tier")
    return {}


def _limit_marks(sent: Document, notes: Notes) -> None:
    """Keep the last marks of the cache, as many as the API takes: each covers what comes before it."""
    marked = [block for block in _blocks(sent) if "cache_control" in block]
    for block in marked[:-_MAX_MARKS]:
        del block["cache_control"]
        notes.change("cache_control")


def _blocks(sent: Document) -> Iterator[Document]:
    """The blocks that may have a mark, in the order in which the provider reads them."""
    yield from sent.get("tools", ())
    yield from sent.get("system", ())
    for turn in sent["messages"]:
        yield from turn["content"]
