"""The blocks of a turn of Anthropic's messages as parts of OpenAI's chat."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.translation.data_urls import data_url
from shared.translation.members import DROPPED, Member, mapped, must_be, objects
from shared.translation.notes import Caps, Document, Notes

#: The blocks of a turn, and what they become. Those of other types are dropped.
BLOCKS: Final[Mapping[str, Member]] = {
    "text": mapped("the content, or a part of the type text"),
    "image": mapped("a part of the type image_url"),
    "document": mapped("a part of the type file, or text"),
    "tool_use": mapped("tool_calls"),
    "tool_result": mapped("a message of the role tool; its pictures are in the next one of the user"),
    "search_result": mapped("its text"),
    "tool_reference": mapped("the name of the tool"),
    "thinking": DROPPED,
    "redacted_thinking": DROPPED,
}
_IMAGES: Final = "Use a source of the type base64 or url."
_DOCUMENTS: Final = "Use a source of the type base64, text or content."
_BETWEEN: Final = "\n\n"
_ERROR: Final = "Error: "


def parts_of(content: Any, pointer: str, notes: Notes) -> Iterator[Document]:
    """The parts of a content: its text, or its blocks."""
    if isinstance(content, str):
        yield {"type": "text", "text": content}
        return
    for where, block in objects(content, pointer):
        yield from part_of(block, where, notes)


def part_of(block: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    """The parts of a block of the user."""
    kind = block.get("type")
    note_marks(block, notes)
    match kind:
        case "text":
            yield {"type": "text", "text": must_be(str, block.get("text"), f"{pointer}/text")}
        case "image":
            yield from _image(must_be(dict, block.get("source"), f"{pointer}/source"), pointer, notes)
        case "document":
            yield from _document(block, pointer, notes)
        case "search_result":
            yield from parts_of(block.get("content"), f"{pointer}/content", notes)
        case "tool_reference":
            yield {"type": "text", "text": str(block.get("tool_name"))}
        case _:
            # Calls of Anthropic's own servers stand only in the history.
            notes.drop(kind if isinstance(kind, str) else "content", f"{pointer}/type")


def note_marks(block: Document, notes: Notes) -> None:
    """Report what a block says beside its content. Providers with this API cache without being told."""
    for name in ("cache_control", "citations"):
        if block.get(name):
            notes.lose(name)


def _image(source: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    match source:
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            yield _image_part(data_url(media_type, data))
        case {"type": "url", "url": str(url)}:
            yield _image_part(url)
        case _:
            notes.reject("image", f"{pointer}/source", _IMAGES)


def _image_part(url: str) -> Document:
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    title = block.get("title")
    name = title if isinstance(title, str) and title else "document.pdf"
    match block.get("source"):
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            file = {"filename": name, "file_data": data_url(media_type, data)}
            yield {"type": "file", "file": file}
        case {"type": "text", "data": str(text)}:
            yield {"type": "text", "text": f"{title}\n\n{text}" if isinstance(title, str) else text}
        case {"type": "content", "content": content}:
            yield from parts_of(content, f"{pointer}/source/content", notes)
        case _:
            notes.reject("document", f"{pointer}/source", _DOCUMENTS)


def joined(parts: list[Document], caps: Caps) -> list[Document] | str:
    """The parts as one text if they have only texts: older servers take no lists."""
    if any([part["type"] != "text" for part in parts]) or caps.get("array_content") is True:
        return parts
    return _BETWEEN.join([part["text"] for part in parts])


def result_of(block: Document, pointer: str, notes: Notes) -> tuple[Document, list[Document]]:
    """The message of the role tool for the result of a call, and its pictures, for which it has no place."""
    id_ = must_be(str, block.get("tool_use_id"), f"{pointer}/tool_use_id")
    parts = list(parts_of(block.get("content") or [], f"{pointer}/content", notes))
    text = _BETWEEN.join([part["text"] for part in parts if part["type"] == "text"])
    pictures = [part for part in parts if part["type"] != "text"]
    if pictures:
        pictures.insert(0, {"type": "text", "text": f"[images of tool result {id_}]"})
    if block.get("is_error") is True:
        text = _ERROR + text
    return {"role": "tool", "tool_call_id": id_, "content": text}, pictures
