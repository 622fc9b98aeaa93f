"""The models that the demo upstream lists. It serves any other name, too."""

from collections.abc import Sequence
from typing import Any, Final

MODELS: Final[Sequence[str]] = ("demo-small", "demo-large")

_CREATED: Final = 1_704_067_200
_CREATED_AT: Final = "2024-01-01T00:00:00Z"


def model_list(*, anthropic: bool) -> dict[str, Any]:
    """The models, as OpenAI's API lists them or as Anthropic's does."""
    data = [model(name, anthropic=anthropic) for name in MODELS]
    if not anthropic:
        return {"object": "list", "data": data}
    return {"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}


def model(name: str, *, anthropic: bool) -> dict[str, Any]:
    """One model."""
    if not anthropic:
        return {"id": name, "object": "model", "created": _CREATED, "owned_by": "demo"}
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": _CREATED_AT,
        "lifecycle": "active",
    }
