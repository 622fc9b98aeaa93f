"""Which members of the known bodies are labels, and which hold media: by where the APIs define them.

A member of that name in any other place is text: a tool may have an argument called "user".
"""

from collections.abc import Iterable
from typing import Any, Final

#: What holds a member: the name of the member in which its object stands, or what the whole document is.
#: None is a place that the APIs do not define.
Holder = str | None

REQUEST: Final = "a request"
RESPONSE: Final = "response"
EVENT: Final = "an event"

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


# Names, ids and settings, and padding: never read as text by a model.
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
# Pictures, sound and files, by address or as base64.
_MEDIA = _table(
    ("url", {"image_url"}),
    ("data", {"input_audio", "audio"}),
    ("file_data file_id file_url image_url", {*_PARTS, "file"}),
    ("encrypted_content", {*_PARTS, "message"}),
)
_IN_SOURCE = frozenset({"data", "url", "file_id"})
# Addresses of text that is not encoded.
_PLAIN = ("data:text/", "data:,", "data:;")
# The probabilities of tokens, which hold the tokens of the text beside them.
_LOGPROBS = frozenset({"choices", "content", "part", EVENT})
# What others than the API define: schemas, and what is given to tools and templates.
_FREE = frozenset(
    {"parameters", "input_schema", "output_schema", "schema", "properties", "$defs", "definitions"}
    | {"variables", "arguments"}
)
_IS_REQUEST = ("messages", "input", "prompt")


def holder_of(document: Any) -> Holder:
    """What a known body is: a request or an answer."""
    return REQUEST if any(name in document for name in _IS_REQUEST) else RESPONSE


def inner(holder: Holder, name: str) -> Holder:
    """What holds the members of the object that stands in that member."""
    return name if holder is not None and name in _KNOWN else None


def is_free(name: str, value: Any) -> bool:
    """Whether all strings below it are text, names of members too."""
    return name in _FREE and isinstance(value, dict | list)


def is_text_member(holder: Holder, node: dict[str, Any], name: str) -> bool:
    """Whether a member of that object may hold text."""
    value = node[name]
    if name == "logprobs":
        return holder not in _LOGPROBS
    if isinstance(value, dict | list):
        return True
    return not (holder in _LABELS.get(name, ()) or _is_media(holder, node, name, value))


def _is_media(holder: Holder, node: dict[str, Any], name: str, value: Any) -> bool:
    if holder == "source":
        # A source of plain text is text.
        known = name in _IN_SOURCE and node.get("type") in ("base64", "url", "file")
    else:
        known = holder in _MEDIA.get(name, ())
    return known and not (isinstance(value, str) and value[:10].lower().startswith(_PLAIN))
