"""A request of Anthropic's messages as one of OpenAI's chat."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

from shared.translation.efforts import COMMON_EFFORTS, EFFORTS, nearest_effort
from shared.translation.generation import NO_SCHEMA, chat_max_tokens, chat_stream, sampling_of
from shared.translation.members import (
    DROPPED,
    Member,
    mapped,
    mapped_members,
    must_be,
    rejected,
    texts,
)
from shared.translation.messages_to_chat.messages import messages_of
from shared.translation.messages_to_chat.tools import tools_of
from shared.translation.notes import DEFAULTS, Caps, Document, Notes, Settings, Untranslatable

_MAX_STOPS: Final = 4
# Servers whose chat has top_k beside OpenAI's members.
_TOP_K: Final = frozenset({"vllm", "ollama", "llamacpp", "lmstudio"})
_NONE: Final = "none"
_MEDIUM_BUDGET: Final = 2048
_HIGH_BUDGET: Final = 8192
_KEY_LENGTH: Final = 32

_NO_SERVERS: Final = "The gateway cannot ask this model to call servers. Leave it out."

#: The members of a request: what they become, or what to do instead.
MEMBERS: Final[Mapping[str, Member]] = {
    "model": mapped("model"),
    "system": mapped("messages, the first one"),
    "messages": mapped("messages"),
    "max_tokens": mapped("max_completion_tokens or max_tokens, at most what the model allows"),
    "stop_sequences": mapped("stop, at most 4"),
    "temperature": mapped("temperature"),
    "top_p": mapped("top_p"),
    "top_k": mapped("top_k, for servers that have it"),
    "tools": mapped("tools"),
    "tool_choice": mapped("tool_choice, parallel_tool_calls"),
    "thinking": mapped("reasoning_effort"),
    "output_config": mapped("reasoning_effort, response_format"),
    "metadata": mapped("prompt_cache_key, a hash of the user's id"),
    "stream": mapped("stream, stream_options"),
    "cache_control": DROPPED,
    # Claude Code sends it, and without it the context is only longer.
    "context_management": DROPPED,
    "diagnostics": DROPPED,
    "inference_geo": DROPPED,
    "service_tier": DROPPED,
    "speed": DROPPED,
    "user_profile_id": DROPPED,
    "workspace_id": DROPPED,
    "container": rejected("The API of the model has no containers. Leave it out."),
    "mcp_servers": rejected(_NO_SERVERS, []),
}


def request(document: Document, caps: Caps, settings: Settings = DEFAULTS) -> tuple[Document, Notes]:
    """The request for the upstream, and its notes. Raises `Untranslatable`."""
    notes = Notes(settings.unsupported)
    kept = mapped_members(document, MEMBERS, notes)
    output = must_be(dict, kept.get("output_config", {}), "/output_config")
    sent: Document = {
        "model": kept.get("model"),
        "messages": messages_of(kept, caps, notes),
        **chat_max_tokens(kept, "max_tokens", caps, settings, notes),
        **_sampling(kept, caps, settings, notes),
        **_stop(kept, notes),
        **tools_of(kept, notes),
        **_format(output.get("format"), caps, notes),
        **_effort(kept, output, caps, notes),
        **_user(kept, settings),
        **chat_stream(kept, caps),
    }
    for name in output:
        if name not in ("format", "effort"):
            notes.drop(f"output_config.{name}", f"/output_config/{name}")
    return sent, notes


def _sampling(kept: Document, caps: Caps, settings: Settings, notes: Notes) -> Document:
    found = sampling_of(kept, ("temperature", "top_p", "top_k"), caps, notes)
    if "top_k" in found and settings.kind not in _TOP_K:
        notes.drop("top_k")
        del found["top_k"]
    return found


def _stop(kept: Document, notes: Notes) -> Document:
    words = texts(kept.get("stop_sequences", []), "/stop_sequences")
    if len(words) > _MAX_STOPS:
        notes.reject("stop_sequences", "/stop_sequences", f"Use at most {_MAX_STOPS}.")
    return {"stop": words[:_MAX_STOPS]} if words else {}


def _format(value: Any, caps: Caps, notes: Notes) -> Document:
    match value:
        case None:
            return {}
        case {"type": "json_schema", "schema": dict(schema)}:
            if caps.get("structured") is not False:
                named = {"name": "output", "schema": schema, "strict": True}
                return {"response_format": {"type": "json_schema", "json_schema": named}}
            notes.reject("output_config.format", "/output_config/format", NO_SCHEMA)
            return {}
    raise Untranslatable("/output_config/format", "Use json_schema with a schema.")


def _effort(kept: Document, output: Document, caps: Caps, notes: Notes) -> Document:
    asked = _asked_effort(kept.get("thinking"), output.get("effort"))
    if asked is None:
        return {}
    name = "thinking" if "thinking" in kept else "output_config.effort"
    efforts = caps.get("efforts", COMMON_EFFORTS)
    if asked == _NONE:
        if _NONE in efforts:
            return {"reasoning_effort": _NONE}
        if caps.get("thinking") != _NONE:
            notes.change(name)
        return {}
    chosen = nearest_effort(asked, efforts)
    if caps.get("thinking") == _NONE or chosen is None:
        notes.drop(name, f"/{name.replace('.', '/')}")
        return {}
    if chosen != asked:
        notes.change(name)
    return {"reasoning_effort": chosen}


def _asked_effort(thinking: Any, effort: Any) -> str | None:
    """The effort that a request asks for; None: it leaves it to the model."""
    level = None if effort is None else must_be(str, effort, "/output_config/effort")
    if level not in (None, *EFFORTS):
        raise Untranslatable("/output_config/effort", f"Use one of {', '.join(EFFORTS)}.")
    match thinking:
        case None:
            return level
        case {"type": "disabled"}:
            return _NONE
        case {"type": "adaptive"}:
            return level or "high"
        case {"type": "enabled", "budget_tokens": int(budget)}:
            return "low" if budget < _MEDIUM_BUDGET else "medium" if budget < _HIGH_BUDGET else "high"
    raise Untranslatable("/thinking", "Use adaptive, disabled, or enabled with budget_tokens.")


def _user(kept: Document, settings: Settings) -> Document:
    """Requests of one user reach one cache. The provider does not get to know the user."""
    user = must_be(dict, kept.get("metadata", {}), "/metadata").get("user_id")
    if user is None:
        return {}
    name = must_be(str, user, "/metadata/user_id").encode(errors="surrogatepass")
    return {"prompt_cache_key": hmac.new(settings.secret, name, hashlib.sha256).hexdigest()[:_KEY_LENGTH]}
