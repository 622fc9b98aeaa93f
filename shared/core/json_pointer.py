"""Paths in a JSON document: ``/messages/0/content`` (JSON Pointer, RFC 6901) or ``messages.0.content``."""

import re
from typing import Any, Final

Path = tuple[str, ...]

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile(r"~(?![01])")


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


#: The result of `get_at` for a path without a value. JSON's null is a value.
MISSING: Final = _Missing()


def escape_step(name: object) -> str:
    """Return a name or an index as one step of a JSON Pointer.

    >>> "/headers/" + escape_step("a/b")
    '/headers/a~1b'
    """
    return str(name).replace("~", "~0").replace("/", "~1")


def parse_path(text: str) -> Path:
    """Return the steps of a JSON Pointer (begins with a slash) or of a dotted path.

    Raises ValueError, with a full sentence, when it is neither.
    """
    if text.startswith("/"):
        if _BAD_ESCAPE.search(text):
            raise ValueError("Must be a JSON Pointer in which '~' is written as ~0 and '/' as ~1.")
        return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
    steps = tuple(text.split("."))
    if not all(steps):
        raise ValueError("Must be a JSON Pointer such as /user/name, or a dotted path such as user.name.")
    return steps


def get_at(document: Any, path: Path) -> Any:
    """Return the value at `path`, or `MISSING`."""
    node = document
    for step in path:
        if isinstance(node, dict):
            node = node.get(step, MISSING)
        elif isinstance(node, list) and _INDEX.fullmatch(step) and int(step) < len(node):
            node = node[int(step)]
        else:
            return MISSING
    return node


def put_at(document: dict[str, Any], path: Path, value: Any) -> None:
    """Set the value at `path`, with new objects for the steps that are missing.

    A step that leads through a value of another type fails; check with `overlapping` first.
    """
    node = document
    for step in path[:-1]:
        node = node.setdefault(step, {})
    node[path[-1]] = value


def overlapping(paths: list[Path]) -> tuple[int, int] | None:
    """Return two of `paths` that cannot both be set: they are equal, or one leads through the other."""
    for later, path in enumerate(paths):
        for earlier, other in enumerate(paths[:later]):
            common = min(len(path), len(other))
            if path[:common] == other[:common]:
                return earlier, later
    return None
