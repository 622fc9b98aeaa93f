"""The list of models, as the SDKs of OpenAI and of Anthropic read it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

# Models of the gateway have no date of their own; SDKs require one.
_EPOCH: Final = 0
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 1_000


def openai_model(name: str, owner: str) -> dict[str, Any]:
    """One model in OpenAI's shape."""
    return {"id": name, "object": "model", "created": _EPOCH, "owned_by": owner}


def openai_list(owners: Mapping[str, str]) -> dict[str, Any]:
    """All models in OpenAI's shape; `owners` maps each name to its provider's kind."""
    return {"object": "list", "data": [openai_model(name, owner) for name, owner in owners.items()]}


def anthropic_model(name: str) -> dict[str, Any]:
    """One model in Anthropic's shape."""
    created = datetime.fromtimestamp(_EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": created, "lifecycle": "active"}


def anthropic_list(names: Sequence[str], query: Mapping[str, str]) -> dict[str, Any]:
    """A page of models in Anthropic's shape, by ``limit``, ``after_id`` and ``before_id`` of the query.

    Raises ValueError on a wrong one.
    """
    limit = _limit(query.get("limit", str(_DEFAULT_LIMIT)))
    before = query.get("before_id")
    if before is not None:
        end = _position(names, before, "before_id")
        begin = max(end - limit, 0)
        has_more = begin > 0
    else:
        after = query.get("after_id")
        begin = 0 if after is None else _position(names, after, "after_id") + 1
        end = begin + limit
        has_more = end < len(names)
    page = names[begin:end]
    return {
        "data": [anthropic_model(name) for name in page],
        "has_more": has_more,
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def _limit(text: str) -> int:
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
    if not 1 <= limit <= _MAX_LIMIT:
        raise ValueError(f"limit must be a number from 1 to {_MAX_LIMIT}.")
    return limit


def _position(names: Sequence[str], name: str, parameter: str) -> int:
    if name not in names:
        raise ValueError(f"{parameter} must be the id of a model of this list.")
    return names.index(name)
