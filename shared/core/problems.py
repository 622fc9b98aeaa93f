"""Errors of marshmallow as a flat list of problems."""

from collections.abc import Mapping
from typing import Any

from shared.core.errors import Problem
from shared.core.json_pointer import escape_step


def problems_of(messages: Any, pointer: str = "", depth: int = 0, *, maps: bool = True) -> list[Problem]:
    """marshmallow's nested error messages as a flat list with JSON pointers (RFC 6901).

    `depth` counts the names of maps that `pointer` ends with. `maps` False says that the schema has no
    dict fields, so that members called "key" and "value" are members.
    """
    if isinstance(messages, Mapping):
        # A dict field wraps the errors of each of its entries in "key" and "value", which are no part of
        # the document. They stand below the field's name and the entry's; a field of a list's item that
        # is called "value" does not.
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
