"""The turns of Anthropic's messages as messages of OpenAI's chat."""

from collections.abc import Iterator
from typing import Any, Final

from shared.translation.members import must_be, objects
from shared.translation.messages_to_chat.content import joined, note_marks, part_of, parts_of, result_of
from shared.translation.notes import Caps, Document, Notes, Untranslatable
from shared.translation.tools import arguments_of, short_name

# Claude Code names itself in a block that is different in each request, which no cache could keep.
_BILLING: Final = "x-anthropic-billing-header"
_THOUGHTS: Final = ("thinking", "redacted_thinking")


def messages_of(kept: Document, caps: Caps, notes: Notes) -> list[Document]:
    """The messages of a request, with its instructions as the first one. Raises `Untranslatable`."""
    messages = _instructions(kept["system"], "/system", caps, notes) if "system" in kept else []
    before = len(messages)
    for pointer, turn in objects(kept.get("messages"), "/messages"):
        messages += _turn(turn, pointer, caps, notes)
    if len(messages) == before:
        raise Untranslatable("/messages", "Send at least one message of the role user.")
    if messages[-1]["role"] == "assistant":
        notes.change("prefill")
    return messages


def _instructions(system: Any, pointer: str, caps: Caps, notes: Notes) -> list[Document]:
    parts = list(parts_of(system, pointer, notes))
    parts = [part for part in parts if not part.get("text", "").startswith(_BILLING)]
    return [{"role": "system", "content": joined(parts, caps)}] if parts else []


def _turn(turn: Document, pointer: str, caps: Caps, notes: Notes) -> list[Document]:
    content = turn.get("content")
    match turn.get("role"):
        case "user":
            return list(_user(content, f"{pointer}/content", caps, notes))
        case "assistant":
            return list(_assistant(content, f"{pointer}/content", caps, notes))
        case "system":
            return _instructions(content, f"{pointer}/content", caps, notes)
    raise Untranslatable(f"{pointer}/role", "Use user, assistant or system.")


def _user(content: Any, pointer: str, caps: Caps, notes: Notes) -> Iterator[Document]:
    """The results of tools, each in a message of its own, and then what the user says."""
    if isinstance(content, str):
        yield {"role": "user", "content": content}
        return
    pictures, parts = list[Document](), list[Document]()
    for where, block in objects(content, pointer):
        if block.get("type") == "tool_result":
            note_marks(block, notes)
            result, of_result = result_of(block, where, notes)
            pictures += of_result
            yield result
        else:
            parts += part_of(block, where, notes)
    if pictures or parts:
        yield {"role": "user", "content": joined(pictures + parts, caps)}


def _assistant(content: Any, pointer: str, caps: Caps, notes: Notes) -> Iterator[Document]:
    """The messages of the model; none if all is left out: the API rejects a message without a content."""
    if isinstance(content, str):
        yield {"role": "assistant", "content": content}
        return
    texts, thoughts, calls = list[str](), list[str](), list[Document]()
    for where, block in objects(content, pointer):
        match block.get("type"):
            case "text":
                note_marks(block, notes)
                texts.append(must_be(str, block.get("text"), f"{where}/text"))
            case "tool_use":
                note_marks(block, notes)
                calls.append(_call(block, where))
            case "thinking" if caps.get("reasoning_content") is True:
                thoughts.append(must_be(str, block.get("thinking"), f"{where}/thinking"))
            case str() as kind if kind in _THOUGHTS:
                # The client has to send it back, so this is no reason to reject its request.
                notes.lose(kind)
            case kind:
                notes.drop(kind if isinstance(kind, str) else "content", f"{where}/type")
    message: Document = {"role": "assistant", "content": "".join(texts) if texts else None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    if texts or calls:
        yield message


def _call(block: Document, pointer: str) -> Document:
    id_ = must_be(str, block.get("id"), f"{pointer}/id")
    name = must_be(str, block.get("name"), f"{pointer}/name")
    function = {"name": short_name(name), "arguments": arguments_of(block.get("input"))}
    return {"id": id_, "type": "function", "function": function}
