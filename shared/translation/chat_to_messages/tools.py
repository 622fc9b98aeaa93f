"""The tools of a request of OpenAI's chat, and how the model is to choose, for Anthropic's messages."""

from collections.abc import Iterator
from typing import Any, Final

from shared.translation.chat_to_messages.content import cache_control
from shared.translation.members import must_be, objects
from shared.translation.notes import Document, Notes, Untranslatable
from shared.translation.tools import NAME

_CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}
_ONLY_FUNCTIONS: Final = "Use a tool of the type function."
_NO_NAME: Final = "Use 1 to 64 letters, digits, _ and -."


def tools_of(kept: Document, notes: Notes) -> Document:
    """The members `tools` and `tool_choice`. Both are absent when there are no tools."""
    tools = [
        made for where, tool in objects(kept.get("tools", []), "/tools") for made in _tool(tool, where, notes)
    ]
    choice, allowed = _choice(kept.get("tool_choice"), notes)
    if allowed is not None:
        tools = [tool for tool in tools if tool["name"] in allowed]
    if not tools:
        return {}
    if kept.get("parallel_tool_calls") is False and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return {"tools": tools} if choice is None else {"tools": tools, "tool_choice": choice}


def _tool(tool: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    if tool.get("type") != "function":
        notes.reject("tools", f"{pointer}/type", _ONLY_FUNCTIONS)
        return
    function = must_be(dict, tool.get("function"), f"{pointer}/function")
    name = must_be(str, function.get("name"), f"{pointer}/function/name")
    if not NAME.fullmatch(name):
        notes.reject("tools", f"{pointer}/function/name", _NO_NAME)
        return
    made: Document = {"name": name}
    if function.get("description") is not None:
        made["description"] = must_be(str, function["description"], f"{pointer}/function/description")
    made["input_schema"] = _schema(function.get("parameters"), f"{pointer}/function/parameters")
    if isinstance(function.get("strict"), bool):
        made["strict"] = function["strict"]
    control = cache_control(tool, notes) or cache_control(function, notes)
    yield made if control is None else {**made, "cache_control": control}


def _schema(parameters: Any, pointer: str) -> Document:
    if parameters is None:
        return {"type": "object", "properties": {}}
    return {**must_be(dict, parameters, pointer), "type": "object"}


def _choice(choice: Any, notes: Notes) -> tuple[Document | None, set[str] | None]:
    """The choice, and the names of the tools that are allowed; None: all are."""
    match choice:
        case None:
            return None, None
        case "auto" | "required" | "none":
            return {"type": _CHOICES[choice]}, None
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "tool", "name": name}, None
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(tools)},
        }:
            return {"type": _CHOICES[mode]}, set(_names(tools))
        case {"type": "custom"}:
            notes.reject("tool_choice", "/tool_choice/type", _ONLY_FUNCTIONS)
            return None, None
    raise Untranslatable("/tool_choice", "Use auto, required, none, a function or allowed_tools.")


def _names(tools: list[Any]) -> Iterator[str]:
    for pointer, tool in objects(tools, "/tool_choice/allowed_tools/tools"):
        function = must_be(dict, tool.get("function"), f"{pointer}/function")
        yield must_be(str, function.get("name"), f"{pointer}/function/name")
