"""The references of a request to objects that its provider has stored.

| in the body of a request | found by |
|---|---|
| `previous_response_id`, `conversation`, items of `input` without their content | `stored_ids` |
| files, vector stores, containers, prompts, spoken responses | `account_member` |

The first belong to a tenant: the gateway has seen the responses that brought these ids. The others belong to
the account of the provider, and the gateway does not know whose they are.
"""

from collections.abc import Iterator, Set
from typing import Any, Final

# Items of `input` that say all in the request itself. Others are looked up at the provider by their ids.
_WHOLE_ITEMS: Final = frozenset(
    {
        *("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"),
        *("computer_call_output", "local_shell_call_output", "shell_call_output", "apply_patch_call_output"),
        "mcp_approval_response",
    }
)
_REASONING: Final = "reasoning"
# Members that have the id of something in the account, and objects that do if they have an id themselves.
_IDS: Final = frozenset({"file_id", "file_ids", "vector_store_id", "vector_store_ids", "container_id"})
_OBJECTS: Final = frozenset({"container", "audio"})
_PROMPT: Final = "prompt"
_NAMES: Final = _IDS | _OBJECTS | {_PROMPT}
# Members that clients define freely: schemas, labels, and the arguments of calls of tools.
_FREE: Final = frozenset({"parameters", "input_schema", "schema", "metadata"})
_TOOL_USES: Final = ("tool_use", "server_tool_use", "mcp_tool_use")
_NESTED: Final = (dict, list)


def stored_ids(document: Any) -> tuple[str, ...]:
    """The ids of stored responses, conversations and items that a request of OpenAI's Responses names.

    >>> stored_ids({"previous_response_id": "resp_1", "input": [{"type": "item_reference", "id": "rs_1"}]})
    ('resp_1', 'rs_1')
    """
    found = conversation_ids(document)
    for name, value in _members(document):
        if name == "previous_response_id":
            found += _id(value)
        elif name == "input" and isinstance(value, list):
            for item in value:
                # Most have no id. There may be a million numbers, which are tokens.
                if isinstance(item, dict) and "id" in [key.casefold() for key in item]:
                    found += _item_ids(item)
    return tuple(dict.fromkeys(found))


def conversation_ids(document: Any) -> list[str]:
    """The id of the conversation of a request, if it has one."""
    values = [value for name, value in _members(document) if name == "conversation"]
    named = [inner for value in values for inner in (_ids(value) if isinstance(value, dict) else [value])]
    return [id for value in named for id in _id(value)]


def account_member(document: Any) -> str | None:
    """The name of a member by which a request names another thing of the provider's account; None: none.

    >>> account_member({"tools": [{"vector_store_ids": ["vs_1"]}]})
    'vector_store_ids'
    """
    pending = [document]
    for one in pending:
        if isinstance(one, list):
            pending += [inner for inner in one if isinstance(inner, _NESTED)]
        elif isinstance(one, dict):
            for key, value in one.items():
                name: str = key.casefold()
                if name in _NAMES and _leads(name, value, is_top=one is document):
                    return name
                if isinstance(value, _NESTED) and name not in _FREE and not _is_argument(one, name):
                    pending.append(value)
    return None


def _members(document: Any) -> Iterator[tuple[str, Any]]:
    """The members at the top, their names in lower case, as some servers read them."""
    for name, value in document.items() if isinstance(document, dict) else ():
        yield name.casefold(), value


def _ids(holder: Any) -> list[Any]:
    """The values of the member ``id`` of an object; several if it is there in several spellings."""
    return [value for name, value in _members(holder) if name == "id"]


def _id(value: Any) -> list[str]:
    """The id that is a value, as text of whatever type it is: none for no value."""
    return [] if value is None or value == "" else [value if isinstance(value, str) else repr(value)]


def _item_ids(item: Any) -> list[str]:
    """The id of an item that the provider has to look up; several if a name is there in several spellings."""
    members = list(_members(item))
    names = {name for name, value in members if value}
    kinds = [value for name, value in members if name == "type"] or ["message" if "role" in names else ""]
    if all([_is_whole(kind, names) for kind in kinds]):
        return []
    return [id for value in _ids(item) for id in _id(value)]


def _is_whole(kind: Any, names: Set[str]) -> bool:
    if kind == _REASONING:
        return "encrypted_content" in names
    return isinstance(kind, str) and kind in _WHOLE_ITEMS


def _is_argument(item: dict[str, Any], name: str) -> bool:
    """Whether a member has the arguments of a call of a tool."""
    return name == "input" and item.get("type") in _TOOL_USES


def _leads(name: str, value: Any, *, is_top: bool) -> bool:
    """Whether a member with one of `_NAMES` has the id of something in the provider's account."""
    if name == _PROMPT:
        return is_top and isinstance(value, dict)
    if name in _OBJECTS and isinstance(value, dict):
        return any(_ids(value))
    if name == "audio":
        return False
    return any([isinstance(id, str) and id for id in (value if isinstance(value, list) else [value])])
