"""Members of a body that only the gateway writes."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from shared.core.errors import Problem
from shared.documents.fields import READ_ONLY


def split_read_only(
    sent: Mapping[str, Any],
    document: Callable[[], Mapping[str, Any]],
    names: Collection[str] = READ_ONLY,
    pointer: str = "",
) -> tuple[dict[str, Any], list[Problem]]:
    """The members to write, and a problem for each read-only one that differs from the stored document.

    So what was read can be sent back as it is. `document` makes the stored one, if it is needed. `pointer` is
    that of the document in the body.
    """
    if sent.keys().isdisjoint(names):
        return dict(sent), []
    stored = document()
    problems = [
        Problem(
            f"{pointer}/{name}",
            f"Only the gateway writes this field. Omit it, or send {_quoted(stored[name])}.",
        )
        for name in names
        if name in sent and not _is_same(sent[name], stored[name])
    ]
    return {name: value for name, value in sent.items() if name not in names}, problems


def _is_same(sent: Any, stored: Any) -> bool:
    """Whether the two are the same value, or the same moment, which typed clients write in another form."""
    if sent == stored or not isinstance(sent, str) or not isinstance(stored, str):
        return bool(sent == stored)
    try:
        return datetime.fromisoformat(sent) == datetime.fromisoformat(stored)
    except ValueError:
        return False


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
