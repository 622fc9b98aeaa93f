"""Which members of the known bodies are text, by where the APIs define them.

Known are the requests and responses of OpenAI's chat, completions and responses APIs and of Anthropic's
messages API. In these every member is text except labels, settings and encoded media. A member that the
API does not define is text, so a client cannot hide text in one. The place counts, not the name alone: a
tool may have an argument called "user".
"""

from collections.abc import Iterable
from typing import Any, Final

#: The place of a member: the name of the member that holds its object, or the kind of the whole document.
#: None is a place that the APIs do not define.
Holder = str | None

REQUEST: Final = "a request"
RESPONSE: Final = "response"
EVENT: Final = "an event"

#: Names of members: the alternatives in a response, the probabilities of tokens, the input of a tool, the
#: text of a part.
CHOICES, LOGPROBS, TOOL_INPUT, TEXT = "choices", "logprobs", "input", "text"

# A document with one of these members, of that type, is a known body.
_SIGNS = {"messages": list, "input": str | list, "prompt": str | list, "choices": list, "output": list}
#: Members that hold JSON in a string: the arguments of a call to a tool.
JSON_MEMBERS = frozenset({"arguments", "partial_json"})

_TURNS = ("messages", "message", "input", "output", "item", "delta", RESPONSE)
_PARTS = ("content", "content_block", "part", "output", "input", "item", "system", "summary")
_CALLS = ("tool_calls", "tools", "tool_choice", "function_call")
_SETTINGS = ("response_format", "format", "thinking", "cache_control", "source", "file", "reasoning")
_NOTES = ("annotations", "citations", "citation", "action", "audio", "container", "conversation", "prompt")
_OTHERS = ("choices", "image_url", "input_audio", "text")
_KNOWN = frozenset((*_TURNS, *_PARTS, *_CALLS, *_SETTINGS, *_NOTES, *_OTHERS))


def _table(*rows: tuple[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    names = {name for row, _ in rows for name in row.split()}
    return {
        name: frozenset(at for row, places in rows if name in row.split() for at in places) for name in names
    }


# Names, ids, settings and padding, each with its places. A model never reads them as text.
_LABELS = _table(
    ("id", {*_TURNS, *_PARTS, *_CALLS, *_NOTES, EVENT}),
    ("type", {*_KNOWN, EVENT}),
    ("model service_tier", {REQUEST, RESPONSE, EVENT, "message"}),
    ("role", _TURNS),
    ("status", _TURNS),
    ("user", {REQUEST}),
    ("object system_fingerprint", {RESPONSE}),
    ("finish_reason", {"choices"}),
    ("stop_reason", {RESPONSE, "message", "delta"}),
    ("tool_call_id", {"messages", "message"}),
    ("tool_use_id", {"content", "content_block"}),
    ("call_id", {"input", "output", "item"}),
    ("item_id response_id", {EVENT}),
    ("previous_response_id", {REQUEST, RESPONSE}),
    ("detail", {"image_url", *_PARTS}),
    ("media_type", {"source"}),
    ("format", {"input_audio", "audio"}),
    ("signature", {"content", "content_block", "delta"}),
    ("obfuscation", {RESPONSE, EVENT}),
)
# Pictures, sound and files, as a URL or in base64.
_MEDIA = _table(
    ("url", {"image_url"}),
    ("data", {"input_audio", "audio"}),
    ("file_data file_id file_url image_url", {*_PARTS, "file"}),
    ("encrypted_content", {*_PARTS, "message"}),
)
# How the URL of a text begins that is not encoded.
_PLAIN = ("data:text/", "data:,", "data:;")
# The places of the probabilities of tokens. They repeat the tokens of the text beside them.
_WITH_LOGPROBS = frozenset({"choices", "content", "part", EVENT})
# Members whose content the API does not define: schemas, and the input of tools and templates.
_FREE = frozenset(
    {"parameters", "input_schema", "output_schema", "schema", "properties", "$defs", "definitions"}
    | {"variables", "arguments"}
)


def is_messages(document: Any) -> bool:
    """True for a body of one of the known APIs."""
    if not isinstance(document, dict):
        return False
    signs = [isinstance(document[name], _SIGNS[name]) for name in document if name in _SIGNS]
    return any(signs) or _is_message(document)


def _is_message(document: dict[str, Any]) -> bool:
    """True for a response of the messages API. An empty list is no sign of one without its ``type``."""
    content = document.get("content")
    if not isinstance(content, list):
        return False
    return all([isinstance(part, dict) and isinstance(part.get("type"), str) for part in content]) and (
        bool(content) or document.get("type") == "message"
    )


def holder_of(document: Any) -> Holder:
    return REQUEST if any(name in document for name in ("messages", "input", "prompt")) else RESPONSE


def model_in(document: Any) -> str:
    """The name of the model in a request; empty when it names none."""
    name = document.get("model") if isinstance(document, dict) else None
    return name if isinstance(name, str) else ""


def inner(holder: Holder, name: str) -> Holder:
    """The place of the members of the object that stands in the member `name`."""
    return name if holder is not None and name in _KNOWN else None


def is_given(name: str, value: Any) -> bool:
    """True when the API does not define the content of that member: all strings below it are text."""
    is_free = name in _FREE and isinstance(value, dict | list)
    return is_free or (name == TOOL_INPUT and isinstance(value, dict))


def is_text_member(holder: Holder, node: dict[str, Any], name: str) -> bool:
    """True when the member `name` of `node` may hold text."""
    value = node[name]
    if name == LOGPROBS:
        return holder not in _WITH_LOGPROBS
    if isinstance(value, dict | list):
        return True
    return not (holder in _LABELS.get(name, ()) or _is_media(holder, node, name, value))


def _is_media(holder: Holder, node: dict[str, Any], name: str, value: Any) -> bool:
    if holder == "source":
        # A source of plain text is text.
        known = name in ("data", "url", "file_id") and node.get("type") in ("base64", "url", "file")
    else:
        known = holder in _MEDIA.get(name, ())
    return known and not (isinstance(value, str) and value[:10].lower().startswith(_PLAIN))
