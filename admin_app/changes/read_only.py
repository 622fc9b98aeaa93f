"""Members of a body that only the gateway writes."""

from collections.abc import Mapping
from typing import Any

from shared.core.errors import Problem
from shared.documents.fields import READ_ONLY


def split_read_only(
    sent: Mapping[str, Any], stored: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """The members to write, and a problem for each read-only one that differs from the stored document.

    So what was read can be sent back as it is.
    """
    problems = [
        Problem(f"/{name}", f"Only the gateway writes this field. Omit it, or send {_shown(stored[name])}.")
        for name in READ_ONLY
        if name in sent and sent[name] != stored[name]
    ]
    return {name: value for name, value in sent.items() if name not in READ_ONLY}, problems


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
