"""The text of a document that a language model reads, or writes.

Known are the bodies of OpenAI's chat, completions and responses API and of Anthropic's messages API,
requests and answers. In these the text is that of all members but labels and encoded media; so a text
does not get by because it stands in a member that the API does not know. Of any other document all
strings are text, keys too.
"""

from collections.abc import Iterator
from typing import Any

from shared.bodies.strict_json import children

# Members of which at least one makes a document a known body.
_SIGNS = {
    "messages": list,
    "input": str | list,
    "prompt": str | list,
    "choices": list,
    "output": list,
    "content": list,
}
# Names, ids and settings that the APIs define: never read as text by a model.
_LABELS = frozenset(
    {"id", "model", "object", "role", "type", "index", "created", "user", "finish_reason", "stop_reason"}
    | {"tool_call_id", "tool_use_id", "call_id", "response_id", "previous_response_id", "item_id"}
    | {"system_fingerprint", "service_tier", "status", "detail", "media_type", "signature", "logprobs"}
)
# Members that hold pictures, sound and files, by address or as base64.
_MEDIA = frozenset({"image_url", "input_audio", "audio", "file_data", "file_id", "encrypted_content"})


def is_messages(document: Any) -> bool:
    """True for a body of one of the known APIs."""
    return isinstance(document, dict) and any(
        isinstance(document.get(name), kind) for name, kind in _SIGNS.items()
    )


def texts_of(document: Any) -> Iterator[str]:
    """Each text of the document. Neighbouring parts of one message come once more as one text."""
    return _message_texts(document) if is_messages(document) else _all_strings(document)


def _all_strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        yield from node
    for child in children(node):
        yield from _all_strings(child)


def _message_texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        yield from _joined(node)
        for child in node:
            yield from _message_texts(child)
    elif isinstance(node, dict):
        for name, child in node.items():
            if name not in _LABELS and name not in _MEDIA and not _is_media_source(name, child):
                yield from _message_texts(child)


def _joined(parts: list[Any]) -> Iterator[str]:
    """The parts of one message as the model sees them, so that no word hides across two parts."""
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    if len(texts) > 1:
        yield "".join(texts)


def _is_media_source(name: str, node: Any) -> bool:
    """Anthropic's ``source`` of pictures and documents; a source of plain text is text."""
    return name == "source" and isinstance(node, dict) and node.get("type") in ("base64", "url", "file")
