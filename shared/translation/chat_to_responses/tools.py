"""The tools of a request of OpenAI's chat, and how the model is to choose, for OpenAI's responses."""

from collections.abc import Iterator
from typing import Any, Final

from shared.translation.members import must_be, objects
from shared.translation.notes import Document, Notes, Untranslatable

_KINDS: Final = ("function", "custom")
_ONLY: Final = "Use a tool of the type function or custom."


def tools_of(kept: Document, notes: Notes) -> Document:
    """The members for tools. All are absent when there are no tools."""
    tools = [
        made for where, tool in objects(kept.get("tools", []), "/tools") for made in _tool(tool, where, notes)
    ]
    if not tools:
        return {}
    made: Document = {"tools": tools}
    if "tool_choice" in kept:
        made["tool_choice"] = _choice(kept["tool_choice"])
    if isinstance(kept.get("parallel_tool_calls"), bool):
        made["parallel_tool_calls"] = kept["parallel_tool_calls"]
    return made


def _tool(tool: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    kind = tool.get("type")
    if kind not in _KINDS:
        notes.reject("tools", f"{pointer}/type", _ONLY)
        return
    given = must_be(dict, tool.get(kind), f"{pointer}/{kind}")
    made: Document = {"type": kind, "name": must_be(str, given.get("name"), f"{pointer}/{kind}/name")}
    if given.get("description") is not None:
        made["description"] = must_be(str, given["description"], f"{pointer}/{kind}/description")
    if kind == "custom":
        yield {**made, **_form(given.get("format"), f"{pointer}/custom/format")}
        return
    parameters = given.get("parameters")
    if parameters is None:
        parameters = {"type": "object", "properties": {}}
    made["parameters"] = must_be(dict, parameters, f"{pointer}/function/parameters")
    yield {**made, "strict": given.get("strict") is True}


def _form(form: Any, pointer: str) -> Document:
    match form:
        case None:
            return {}
        case {"type": "text"}:
            return {"format": {"type": "text"}}
        case {"type": "grammar", "grammar": {"syntax": str(syntax), "definition": str(definition)}}:
            return {"format": {"type": "grammar", "syntax": syntax, "definition": definition}}
    raise Untranslatable(pointer, "Use text, or grammar with a syntax and a definition.")


def _choice(choice: Any) -> Document | str:
    match choice:
        case "auto" | "required" | "none":
            return str(choice)
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(tools)},
        }:
            named = [
                _named(tool, where) for where, tool in objects(tools, "/tool_choice/allowed_tools/tools")
            ]
            return {"type": "allowed_tools", "mode": mode, "tools": named}
        case {"type": "function" | "custom"}:
            return _named(choice, "/tool_choice")
    raise Untranslatable("/tool_choice", "Use auto, required, none, a tool or allowed_tools.")


def _named(tool: Document, pointer: str) -> Document:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "function", "name": name}
        case {"type": "custom", "custom": {"name": str(name)}}:
            return {"type": "custom", "name": name}
    raise Untranslatable(pointer, "Use the type function or custom, with the name of a tool.")
