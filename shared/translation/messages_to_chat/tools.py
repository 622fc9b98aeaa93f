"""The tools of a request of Anthropic's messages, and how the model is to choose, for OpenAI's chat."""

from collections.abc import Iterator
from typing import Any, Final

from shared.translation.members import must_be, objects
from shared.translation.notes import Document, Notes, Untranslatable
from shared.translation.tools import short_name

_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
# Members of a tool that are read, and the one that says nothing.
_READ: Final = frozenset({"name", "description", "input_schema", "strict", "type"})
_SERVER_TOOL: Final = "Only Anthropic's servers have this tool. Use one of the type custom."


def tools_of(kept: Document, notes: Notes) -> Document:
    """The members for tools. All are absent when there are no tools."""
    tools = [
        made for where, tool in objects(kept.get("tools", []), "/tools") for made in _tool(tool, where, notes)
    ]
    return {"tools": tools, **_choice(kept.get("tool_choice"))} if tools else {}


def _tool(tool: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    if tool.get("type") not in (None, "custom"):
        notes.reject("tools", f"{pointer}/type", _SERVER_TOOL)
        return
    name = must_be(str, tool.get("name"), f"{pointer}/name")
    short = short_name(name)
    if short != name:
        notes.tool_names[short] = name
    function: Document = {"name": short}
    if tool.get("description") is not None:
        function["description"] = must_be(str, tool["description"], f"{pointer}/description")
    # The schema as it is: the other members of the tool are not members of the schema.
    function["parameters"] = must_be(dict, tool.get("input_schema"), f"{pointer}/input_schema")
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    _note_others(tool, notes)
    yield {"type": "function", "function": function}


def _note_others(tool: Document, notes: Notes) -> None:
    """Report the members of a tool that only Anthropic reads."""
    for name in tool:
        if name not in _READ and tool[name]:
            notes.lose("cache_control" if name == "cache_control" else f"tools.{name}")


def _choice(choice: Any) -> Document:
    if choice is None:
        return {}
    made: Document
    match choice:
        case {"type": "auto" | "any" | "none" as kind}:
            made = {"tool_choice": _CHOICES[kind]}
        case {"type": "tool", "name": str(name)}:
            made = {"tool_choice": {"type": "function", "function": {"name": short_name(name)}}}
        case _:
            raise Untranslatable("/tool_choice", "Use the type auto, any, none, or tool with a name.")
    return {**made, "parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") is True else made
