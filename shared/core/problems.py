"""The errors of marshmallow as a flat list of problems."""

from collections.abc import Mapping
from typing import Any

from shared.core.errors import Problem
from shared.core.json_pointer import escape_step


def problems_of(messages: Any, pointer: str = "", depth: int = 0, *, maps: bool = True) -> list[Problem]:
    """The nested error messages of marshmallow as a flat list with JSON pointers (RFC 6901).

    `depth` is the number of member names at the end of `pointer`. Pass `maps=False` for a schema without
    dict fields: then "key" and "value" are ordinary members.
    """
    if isinstance(messages, Mapping):
        # A dict field wraps the errors of its entries in "key" and "value", which are not in the document.
        # They are below the names of the field and of the entry, unlike a field "value" of a list's item.
        wraps = maps and depth >= 2 and set(messages) <= {"key", "value"}
        found = []
        for name, inner in messages.items():
            if wraps or name == "_schema":
                found += problems_of(inner, pointer, 1, maps=maps)
            else:
                below = depth + 1 if isinstance(name, str) else 0
                found += problems_of(inner, f"{pointer}/{escape_step(name)}", below, maps=maps)
        return found
    if isinstance(messages, list | tuple):
        return [problem for inner in messages for problem in problems_of(inner, pointer, maps=maps)]
    return [Problem(pointer, str(messages))]
