"""The messages of OpenAI's chat as input of OpenAI's responses.

A message becomes an item, and each of its calls another one. The first message with instructions becomes the
member `instructions`, which some servers demand.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.translation.members import Member, mapped, must_be, objects, rejected
from shared.translation.notes import Document, Notes, Untranslatable

#: The parts of a message, and what they become.
PARTS: Final[Mapping[str, Member]] = {
    "text": mapped("input_text"),
    "refusal": mapped("the text of what the model said"),
    "image_url": mapped("input_image"),
    "file": mapped("input_file"),
    "input_audio": rejected("The model hears nothing. Send the words as text."),
}
_BETWEEN: Final = "\n\n"
_MARK: Final = "prompt_cache_breakpoint"
_INSTRUCTING: Final = ("system", "developer")
_USE_TOOLS: Final = "Functions are deprecated. Use tool_calls and messages of the role tool."
_OLD: Final = {"function_call": _USE_TOOLS, "audio": "The API of the model has no voice. Send its text."}


def input_of_messages(messages: Any, notes: Notes) -> Document:
    """The members `instructions` and `input`. Raises `Untranslatable`."""
    made: Document = {}
    items, custom = list[Document](), set[str]()
    for index, (pointer, message) in enumerate(objects(messages, "/messages")):
        if message.get("name") is not None:
            notes.drop("name", f"{pointer}/name")
        instructions = _instructions(message) if index == 0 else None
        if instructions is None:
            items += _items(message, pointer, custom, notes)
        else:
            made["instructions"] = instructions
    if not items:
        raise Untranslatable("/messages", "Send at least one message of the role user.")
    return {**made, "input": items}


def _instructions(message: Document) -> str | None:
    """The text of a message with instructions; None: it is another one, or has a mark of the cache."""
    if message.get("role") not in _INSTRUCTING:
        return None
    content, texts = message.get("content"), list[str]()
    if isinstance(content, str):
        return content
    for part in content if isinstance(content, list) else [{}]:
        match part:
            case {"type": "text", "text": str(text)} if part.get(_MARK) is None:
                texts.append(text)
            case _:
                return None
    return _BETWEEN.join(texts)


def _items(message: Document, pointer: str, custom: set[str], notes: Notes) -> Iterator[Document]:
    content, where = message.get("content"), f"{pointer}/content"
    match message.get("role"):
        case "system" | "developer" | "user" as role:
            yield {"type": "message", "role": role, "content": _content(content, where, notes)}
        case "assistant":
            yield from _said(message, pointer, notes)
            yield from _calls(message, pointer, custom, notes)
        case "tool":
            id_ = must_be(str, message.get("tool_call_id"), f"{pointer}/tool_call_id")
            kind = "custom_tool_call_output" if id_ in custom else "function_call_output"
            yield {"type": kind, "call_id": id_, "output": _content(content, where, notes)}
        case "function":
            notes.reject("function", f"{pointer}/role", _USE_TOOLS)
        case _:
            raise Untranslatable(f"{pointer}/role", "Use system, developer, user, assistant or tool.")


def _content(content: Any, pointer: str, notes: Notes) -> list[Document] | str:
    if isinstance(content, str):
        return content
    parts = list[Document]()
    for where, part in objects(content, pointer):
        for made in _parts(part, where, notes):
            parts.append(made if part.get(_MARK) is None else {**made, _MARK: part[_MARK]})
    return parts


def _parts(part: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    match part.get("type"):
        case "text":
            yield {"type": "input_text", "text": must_be(str, part.get("text"), f"{pointer}/text")}
        case "image_url":
            image = must_be(dict, part.get("image_url"), f"{pointer}/image_url")
            url = must_be(str, image.get("url"), f"{pointer}/image_url/url")
            yield {"type": "input_image", "image_url": url, "detail": image.get("detail") or "auto"}
        case "file":
            file = must_be(dict, part.get("file"), f"{pointer}/file")
            names = ("file_data", "file_id", "filename")
            found = {name: file[name] for name in names if isinstance(file.get(name), str)}
            yield {"type": "input_file", **found}
        case "input_audio":
            notes.reject("input_audio", pointer, PARTS["input_audio"].to)
        case _:
            notes.reject("content", f"{pointer}/type", "Use text, image_url or file.")


def _said(message: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    # The client sends back what it got, so this is no reason to reject its request.
    for name in ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"):
        if message.get(name):
            notes.lose(name)
    for name, instead in _OLD.items():
        if message.get(name) is not None:
            notes.reject(name, f"{pointer}/{name}", instead)
    texts = list(_texts(message.get("content"), f"{pointer}/content", notes))
    if message.get("refusal") is not None:
        texts.append(must_be(str, message["refusal"], f"{pointer}/refusal"))
    if text := "".join(texts):
        yield {"type": "message", "role": "assistant", "content": text}


def _texts(content: Any, pointer: str, notes: Notes) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for where, part in objects([] if content is None else content, pointer):
        kind = part.get("type")
        if kind in ("text", "refusal"):
            yield must_be(str, part.get(kind), f"{where}/{kind}")
        else:
            notes.reject("content", f"{where}/type", "Use text.")


def _calls(message: Document, pointer: str, custom: set[str], notes: Notes) -> Iterator[Document]:
    for where, call in objects(message.get("tool_calls") or [], f"{pointer}/tool_calls"):
        kind = call.get("type", "function")
        if kind not in ("function", "custom"):
            notes.reject("tool_calls", f"{where}/type", "Use the type function or custom.")
            continue
        id_ = must_be(str, call.get("id"), f"{where}/id")
        called = must_be(dict, call.get(kind), f"{where}/{kind}")
        name = must_be(str, called.get("name"), f"{where}/{kind}/name")
        if kind == "custom":
            custom.add(id_)
            text = must_be(str, called.get("input"), f"{where}/custom/input")
            yield {"type": "custom_tool_call", "call_id": id_, "name": name, "input": text}
        else:
            text = must_be(str, called.get("arguments"), f"{where}/function/arguments")
            yield {"type": "function_call", "call_id": id_, "name": name, "arguments": text}
