"""Calls of tools: items of OpenAI's responses, and calls of functions of OpenAI's chat.

Two kinds of tools that the client runs are no functions: a custom one takes a text, and the local shell takes
a command. Chat gets a function in their place, and its call becomes the item that the client knows.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.bodies.json.parse import dump_json
from shared.translation.members import must_be
from shared.translation.notes import ClientTool, Document, Notes
from shared.translation.tools import input_of, short_name

FUNCTION: Final = "function"
CUSTOM: Final = "custom"
LOCAL_SHELL: Final = "local_shell"
#: The kind of tool of each item that is a call.
CALLS: Final[Mapping[str, str]] = {
    "function_call": FUNCTION,
    "custom_tool_call": CUSTOM,
    "local_shell_call": LOCAL_SHELL,
}
#: The beginning of the id of an item.
PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "reasoning": "rs",
    FUNCTION: "fc",
    CUSTOM: "ctc",
    LOCAL_SHELL: "lsh",
}
#: The arguments of a call for which the model wrote none: clients parse them.
NO_ARGUMENTS: Final = "{}"
_TEXT: Final = {"type": "string"}
#: The parameters of the function for the local shell.
SHELL_PARAMETERS: Final[Document] = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": _TEXT, "description": "The program and its arguments."},
        "working_directory": {**_TEXT, "description": "The directory to run it in."},
        "timeout_ms": {"type": "integer", "description": "The longest time that it may take."},
        "env": {"type": "object", "additionalProperties": _TEXT, "description": "Variables to set."},
    },
    "required": ["command"],
}
_OPTIONAL: Final[Mapping[str, type]] = {"working_directory": str, "timeout_ms": int, "user": str}


def item_id(kind: str, response_id: str, index: int) -> str:
    """The id of an item of a response: the same whether it is whole or streams.

    >>> item_id("message", "resp_abc", 1)
    'msg_abc_1'
    """
    return f"{PREFIXES[kind]}_{response_id.removeprefix('resp_')}_{index}"


def function_name(name: str, namespace: Any) -> str:
    """The name of the function for a tool, which may be in a group of tools."""
    return short_name(f"{namespace}__{name}" if isinstance(namespace, str) and namespace else name)


def client_tool(name: str, notes: Notes) -> ClientTool:
    """The client's tool for which the upstream has that function."""
    return notes.client_tools.get(name) or ClientTool(FUNCTION, name)


def call_item(tool: ClientTool, arguments: str, members: Document, notes: Notes) -> Document:
    """The item for a call. `members` are its id, its call_id and its status."""
    if tool.kind == LOCAL_SHELL:
        return {"type": "local_shell_call", **members, "action": _action(arguments, notes)}
    item: Document = {"type": "function_call", **members, "name": tool.name, "arguments": arguments}
    if tool.kind == CUSTOM:
        item = {"type": "custom_tool_call", "id": members["id"], "call_id": members["call_id"]}
        item |= {"name": tool.name, "input": _custom_input(arguments, notes)}
    return {**item, "namespace": tool.namespace} if tool.namespace else item


def _custom_input(arguments: str, notes: Notes) -> str:
    given = input_of(arguments)
    if given is not None and isinstance(text := given.get("input"), str):
        return text
    if not arguments.strip():
        return ""
    # A model that does not keep to the schema wrote the text itself, or gave it another name.
    notes.change("tool_arguments")
    texts = [*given.values()] if given is not None else []
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else arguments


def _action(arguments: str, notes: Notes) -> Document:
    given = input_of(arguments) or {}
    command, env = given.get("command"), given.get("env")
    if not _is_texts(command):
        notes.change("tool_arguments")
        command = []
    action: Document = {"type": "exec", "command": command, "env": {}}
    if isinstance(env, dict) and _is_texts(list(env.values())):
        action["env"] = env
    for name, kind in _OPTIONAL.items():
        if type(given.get(name)) is kind:
            action[name] = given[name]
    return action


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all([isinstance(one, str) for one in value])


def chat_call(item: Document, pointer: str) -> Document:
    """The call of a function for an item of the history. Raises `Untranslatable`."""
    name, arguments = _READERS[CALLS[item["type"]]](item, pointer)
    id_ = must_be(str, item.get("call_id"), f"{pointer}/call_id")
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _read_function(item: Document, pointer: str) -> tuple[str, str]:
    name = must_be(str, item.get("name"), f"{pointer}/name")
    arguments = must_be(str, item.get("arguments"), f"{pointer}/arguments")
    return function_name(name, item.get("namespace")), arguments


def _read_custom(item: Document, pointer: str) -> tuple[str, str]:
    name = must_be(str, item.get("name"), f"{pointer}/name")
    text = must_be(str, item.get("input"), f"{pointer}/input")
    return function_name(name, item.get("namespace")), dump_json({"input": text}).decode()


def _read_shell(item: Document, pointer: str) -> tuple[str, str]:
    action = must_be(dict, item.get("action"), f"{pointer}/action")
    return LOCAL_SHELL, dump_json({name: action[name] for name in action if name != "type"}).decode()


_READERS: Final[Mapping[str, Callable[[Document, str], tuple[str, str]]]] = {
    FUNCTION: _read_function,
    CUSTOM: _read_custom,
    LOCAL_SHELL: _read_shell,
}
