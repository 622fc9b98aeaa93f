"""The tools of a request of OpenAI's responses, and how the model is to choose, for OpenAI's chat."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.translation.members import MAP, Member, mapped, must_be, objects, rejected
from shared.translation.notes import ClientTool, Document, Notes, Untranslatable
from shared.translation.responses_to_chat.calls import (
    CUSTOM,
    FUNCTION,
    LOCAL_SHELL,
    SHELL_PARAMETERS,
    function_name,
)

_NAMESPACE: Final = "namespace"
_HOSTED: Final = "This model's API has no such tool. Use one of the type function or custom."
#: The tools of a request, and what they become, or what to do instead.
TOOLS: Final[Mapping[str, Member]] = {
    FUNCTION: mapped("a function"),
    CUSTOM: mapped("a function with a text, with the grammar in its description; its call is a custom one"),
    LOCAL_SHELL: mapped("a function with a command; its call is one of the local shell"),
    _NAMESPACE: mapped("functions with the names of the group and of the tool"),
    **dict.fromkeys(
        (
            "apply_patch",
            "code_interpreter",
            "computer",
            "computer_use_preview",
            "file_search",
            "image_generation",
            "mcp",
            "programmatic_tool_calling",
            "shell",
            "tool_search",
            "web_search",
            "web_search_preview",
        ),
        rejected(_HOSTED),
    ),
}
# Members of a tool that are read, and what says nothing.
_READ: Final = frozenset({"type", "name", "description", "parameters", "strict", "format"})
_DIRECT: Final = ["direct"]
_SHELL: Final = "Runs a command on the machine of the user, and returns its output."


def tools_of(kept: Document, notes: Notes) -> Document:
    """The members for tools. All are absent when there are no tools."""
    tools = [
        made
        for where, tool in objects(kept.get("tools", []), "/tools")
        for made in _functions(tool, where, notes)
    ]
    choice, allowed = _choice(kept.get("tool_choice"), notes)
    if allowed is not None:
        tools = [tool for tool in tools if tool["function"]["name"] in allowed]
    if not tools:
        return {}
    made: Document = {"tools": tools}
    if choice is not None:
        made["tool_choice"] = choice
    if isinstance(kept.get("parallel_tool_calls"), bool):
        made["parallel_tool_calls"] = kept["parallel_tool_calls"]
    return made


def is_mapped(tool: Document) -> bool:
    """Whether a tool of the client is one for which chat has a function."""
    kind = tool.get("type")
    return isinstance(kind, str) and kind in TOOLS and TOOLS[kind].action == MAP


def _functions(tool: Document, pointer: str, notes: Notes, namespace: str = "") -> Iterator[Document]:
    kind = tool.get("type")
    if kind == _NAMESPACE and not namespace:
        name = must_be(str, tool.get("name"), f"{pointer}/name")
        for where, each in objects(tool.get("tools"), f"{pointer}/tools"):
            yield from _functions(each, where, notes, name)
    elif kind in (FUNCTION, CUSTOM):
        yield {"type": "function", "function": _function(tool, pointer, notes, namespace)}
    elif kind == LOCAL_SHELL and not namespace:
        notes.client_tools[LOCAL_SHELL] = ClientTool(LOCAL_SHELL, LOCAL_SHELL)
        function = {"name": LOCAL_SHELL, "description": _SHELL, "parameters": SHELL_PARAMETERS}
        yield {"type": "function", "function": function}
    else:
        notes.reject("tools", f"{pointer}/type", _HOSTED)


def _function(tool: Document, pointer: str, notes: Notes, namespace: str) -> Document:
    kind, name = tool["type"], must_be(str, tool.get("name"), f"{pointer}/name")
    function: Document = {"name": function_name(name, namespace)}
    if kind == CUSTOM or function["name"] != name:
        notes.client_tools[function["name"]] = ClientTool(kind, name, namespace)
    if tool.get("description") is not None:
        function["description"] = must_be(str, tool["description"], f"{pointer}/description")
    if kind == CUSTOM:
        notes.change("tools.custom")
        function["parameters"] = _custom_parameters(tool.get("format"))
    elif tool.get("parameters") is not None:
        function["parameters"] = must_be(dict, tool["parameters"], f"{pointer}/parameters")
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    for each in tool:
        if each not in _READ and tool[each] and tool[each] != _DIRECT:
            notes.drop(f"tools.{each}", f"{pointer}/{each}")
    return function


def _custom_parameters(form: Any) -> Document:
    """The parameters of the function for a custom tool: its text. The model is told of its grammar."""
    words = "The input of the tool, as a plain text."
    match form:
        case {"type": "grammar", "syntax": str(syntax), "definition": str(definition)}:
            words = f"The input of the tool. It follows this grammar ({syntax}):\n{definition}"
    text = {"type": "string", "description": words}
    return {"type": "object", "properties": {"input": text}, "required": ["input"]}


def _choice(choice: Any, notes: Notes) -> tuple[Document | str | None, Sequence[str] | None]:
    """The choice, and the names of the functions that are allowed; None: all are."""
    match choice:
        case None:
            return None, None
        case "auto" | "required" | "none":
            return choice, None
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list(tools)}:
            # Few servers know a choice of some tools, so the others are left out.
            names = [_name(tool, where, notes) for where, tool in objects(tools, "/tool_choice/tools")]
            return mode, [name for name in names if name is not None]
        case {"type": str()}:
            name = _name(choice, "/tool_choice", notes)
            return (None if name is None else {"type": "function", "function": {"name": name}}), None
    raise Untranslatable("/tool_choice", "Use auto, required, none, a function or allowed_tools.")


def _name(tool: Document, pointer: str, notes: Notes) -> str | None:
    """The name of the function for a tool that is chosen."""
    match tool:
        case {"type": "function" | "custom", "name": str(name)}:
            return function_name(name, tool.get("namespace"))
        case {"type": "local_shell"}:
            return LOCAL_SHELL
    notes.reject("tool_choice", f"{pointer}/type", _HOSTED)
    return None
