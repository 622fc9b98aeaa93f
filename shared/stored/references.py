"""What a request names that its provider has stored.

| in the body of a request | found by |
|---|---|
| `previous_response_id`, `conversation`, items of `input` without their content | `stored_ids` |
| files, vector stores, containers, prompts, spoken responses | `account_member` |

The first belong to a tenant: the gateway has seen the responses that brought these ids. The others belong to
the account of the provider, and the gateway does not know whose they are.
"""

from collections.abc import Iterator, Sequence, Set
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
# Names of members that may lead to something of the account. A body without any of them is not searched.
_IDS: Final = frozenset({"file_id", "file_ids", "vector_store_id", "vector_store_ids", "container_id"})
_OBJECTS: Final = frozenset({"container", "audio"})
_MARKS: Final = (b"file_id", b"vector_store_id", b"container", b'"audio"')
# So is each ASCII character written that JSON need not escape.
_ESCAPED: Final = b"\\u00"
# What clients define freely: schemas, labels, and the arguments of calls of tools.
_FREE: Final = frozenset({"parameters", "input_schema", "schema", "metadata"})
_TOOL_USES: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


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
                found += _item_ids(item)
    return tuple(dict.fromkeys(found))


def conversation_ids(document: Any) -> list[str]:
    """The id of the conversation of a request, if it has one."""
    values = [value for name, value in _members(document) if name == "conversation"]
    return [id for value in values for id in _id(value.get("id") if isinstance(value, dict) else value)]


def account_member(document: Any, body: bytes) -> str | None:
    """The name of a member by which a request names another thing of the provider's account; None: none.

    `body` is the document as text.

    >>> account_member({"tools": [{"vector_store_ids": ["vs_1"]}]}, b'..."vector_store_ids"...')
    'vector_store_ids'
    """
    for name, value in _members(document):
        if name == "prompt" and isinstance(value, dict):
            return name
    text = body.lower()
    if _ESCAPED not in text and not any([mark in text for mark in _MARKS]):
        return None
    return next((name for name, value in _all_members(document) if _leads(name, value)), None)


def _members(document: Any) -> Iterator[tuple[str, Any]]:
    """The members at the top, their names in lower case, as some servers read them."""
    for name, value in document.items() if isinstance(document, dict) else ():
        yield name.casefold(), value


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
    return [id for name, value in members if name == "id" for id in _id(value)]


def _is_whole(kind: Any, names: Set[str]) -> bool:
    if kind == _REASONING:
        return "encrypted_content" in names
    return isinstance(kind, str) and kind in _WHOLE_ITEMS


def _all_members(document: Any) -> Iterator[tuple[str, Any]]:
    """The members of all objects in a document, without what clients define freely."""
    pending = [document]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += one
            continue
        members = list(_members(one))
        is_tool_use = any([name == "type" and _is_tool_use(value) for name, value in members])
        for name, value in members:
            yield name, value
            if isinstance(value, dict | list) and name not in _FREE and not (is_tool_use and name == "input"):
                pending.append(value)


def _leads(name: str, value: Any) -> bool:
    """Whether a member has the id of something in the provider's account."""
    if name in _OBJECTS:
        return bool(value.get("id") if isinstance(value, dict) else name == "container" and _is_id(value))
    return name in _IDS and (_is_id(value) or (isinstance(value, list) and _has_id(value)))


def _is_tool_use(kind: Any) -> bool:
    return isinstance(kind, str) and kind in _TOOL_USES


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _has_id(values: Sequence[Any]) -> bool:
    return any(map(_is_id, values))
