"""The content of items of OpenAI's responses as that of messages of OpenAI's chat."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from shared.translation.members import Member, mapped, must_be, objects
from shared.translation.notes import Caps, Document, Notes

#: The parts of a message, and what they become.
PARTS: Final[Mapping[str, Member]] = {
    "input_text": mapped("the content, or a part of the type text"),
    "output_text": mapped("the same, without annotations"),
    "refusal": mapped("the text of what the model said"),
    "input_image": mapped("a part of the type image_url; file_id is rejected"),
    "input_file": mapped("a part of the type file; file_url is rejected"),
    "input_audio": mapped("a part of the type input_audio"),
}
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_MARK: Final = "prompt_cache_breakpoint"
_BETWEEN: Final = "\n\n"
_PICTURES: Final = "Use image_url with an https URL or a data URL."
_FILES: Final = "Use file_data with a data URL, or file_id."


def parts_of(content: Any, pointer: str, notes: Notes) -> Iterator[Document]:
    """The parts of a content: its text, or its parts."""
    if isinstance(content, str):
        yield {"type": "text", "text": content}
        return
    for where, part in objects(content, pointer):
        for made in _parts_of_part(part, where, notes):
            yield made if part.get(_MARK) is None else {**made, _MARK: part[_MARK]}


def _parts_of_part(part: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    match part.get("type"):
        case str() as kind if kind in _TEXTS:
            if part.get("annotations"):
                notes.lose("annotations")
            yield {"type": "text", "text": must_be(str, part.get("text"), f"{pointer}/text")}
        case "refusal":
            yield {"type": "refusal", "refusal": must_be(str, part.get("refusal"), f"{pointer}/refusal")}
        case "input_image":
            yield from _picture(part, pointer, notes)
        case "input_file":
            yield from _file(part, pointer, notes)
        case "input_audio":
            audio = must_be(dict, part.get("input_audio"), f"{pointer}/input_audio")
            yield {"type": "input_audio", "input_audio": audio}
        case _:
            notes.reject("content", f"{pointer}/type", "Use input_text, input_image or input_file.")


def _picture(part: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    url = part.get("image_url")
    if not isinstance(url, str):
        where = "image_url" if part.get("file_id") is None else "file_id"
        notes.reject("input_image", f"{pointer}/{where}", _PICTURES)
        return
    image = {"url": url}
    if part.get("detail") not in (None, "auto"):
        image["detail"] = part["detail"]
    yield {"type": "image_url", "image_url": image}


def _file(part: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    names = ("file_data", "file_id", "filename")
    file = {name: part[name] for name in names if isinstance(part.get(name), str)}
    if not {"file_data", "file_id"} & file.keys():
        where = "file_data" if part.get("file_url") is None else "file_url"
        notes.reject("input_file", f"{pointer}/{where}", _FILES)
        return
    if part.get("detail") not in (None, "auto"):
        notes.drop("input_file.detail", f"{pointer}/detail")
    yield {"type": "file", "file": file}


def joined(parts: list[Document], caps: Caps) -> list[Document] | str:
    """The parts as one text if they have only texts: older servers take no lists."""
    is_plain = all([part["type"] == "text" and _MARK not in part for part in parts])
    if not is_plain or (len(parts) > 1 and caps.get("array_content") is True):
        return parts
    return _BETWEEN.join([part["text"] for part in parts])


def texts_of(content: Any, pointer: str, notes: Notes) -> str:
    """The texts of a content whose other parts are reported."""
    texts = list[str]()
    for part in without_marks(parts_of(content, pointer, notes), notes):
        if part["type"] in ("text", "refusal"):
            texts.append(part[part["type"]])
        else:
            notes.drop(part["type"], pointer)
    return "".join(texts)


def without_marks(parts: Iterable[Document], notes: Notes) -> Iterator[Document]:
    """The parts for a message that is one text, in which no mark of the cache can stand."""
    for part in parts:
        if _MARK in part:
            notes.lose(_MARK)
        yield {name: value for name, value in part.items() if name != _MARK}
