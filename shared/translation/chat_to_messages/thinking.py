"""How much a model is to think: `reasoning_effort` of OpenAI's chat, for Anthropic's models.

The newer ones think as they need to, with an effort. The older ones have a budget of tokens, which is a part
of their output.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.translation.efforts import COMMON_EFFORTS, EFFORTS, nearest_effort
from shared.translation.notes import Caps, Document, Notes

_BUDGETS: Final[Mapping[str, int]] = {
    "low": 1024,
    "medium": 4096,
    "high": 16384,
    "xhigh": 16384,
    "max": 16384,
}
_LEAST: Final = 1024
_EFFORT: Final = "reasoning_effort"


def think(sent: Document, effort: Any, caps: Caps, notes: Notes) -> None:
    """Add the members for an effort to the request that is sent, and remove what goes not with thinking."""
    cap = caps.get("thinking", "adaptive")
    level = "low" if effort == "minimal" else effort
    if level == "none":
        if cap == "always":
            notes.drop(_EFFORT)
        elif cap != "none":
            sent["thinking"] = {"type": "disabled"}
        return
    if cap == "none" or level not in EFFORTS:
        notes.drop(_EFFORT)
        return
    thinking: Document | None = {"type": "adaptive"}
    if cap == "budget":
        thinking = _budget(level, sent["max_tokens"])
    else:
        _add_effort(sent, level, caps, notes)
    if thinking is None or _prevents_thinking(sent, cap):
        notes.change(_EFFORT)
        return
    sent["thinking"] = thinking
    for name in ("temperature", "top_p"):
        if sent.pop(name, None) is not None:
            notes.drop(name)


def _budget(level: str, max_tokens: int) -> Document | None:
    budget = min(_BUDGETS[level], max_tokens - 1)
    return {"type": "enabled", "budget_tokens": budget} if budget >= _LEAST else None


def _add_effort(sent: Document, level: str, caps: Caps, notes: Notes) -> None:
    chosen = nearest_effort(level, caps.get("efforts", COMMON_EFFORTS))
    if chosen != level:
        notes.change(_EFFORT)
    if chosen is not None:
        sent.setdefault("output_config", {})["effort"] = chosen


def _prevents_thinking(sent: Document, cap: str) -> bool:
    """The API takes no thinking with a forced tool, and no budget after calls without their thoughts."""
    if sent.get("tool_choice", {}).get("type") in ("any", "tool"):
        return True
    turns = [turn["content"] for turn in sent["messages"] if turn["role"] == "assistant"]
    if cap != "budget" or not turns:
        return False
    kinds = [block["type"] for block in turns[-1]]
    return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")
