"""Why a response ended: `finish_reason` of OpenAI's chat, and `stop_reason` of Anthropic's messages."""

from collections.abc import Mapping
from typing import Any, Final

#: The reason of chat by that of messages.
FINISH_REASONS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
#: The reason of messages by that of chat. `model_length` is Mistral's.
STOP_REASONS: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "model_length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def finish_reason(stop: Any) -> tuple[str, bool]:
    """The reason of chat, and whether `stop` is known. An unknown one is a normal end.

    >>> finish_reason("max_tokens"), finish_reason("new_reason")
    (('length', True), ('stop', False))
    """
    found = FINISH_REASONS.get(stop) if isinstance(stop, str) else None
    return (found or "stop", found is not None)


def stop_reason(finish: Any, *, has_tools: bool) -> str | None:
    """The reason of messages; None: the response failed, or `finish` is unknown.

    Some servers say "stop" after a tool call.

    >>> stop_reason("stop", has_tools=True), stop_reason("error", has_tools=False)
    ('tool_use', None)
    """
    found = STOP_REASONS.get(finish) if isinstance(finish, str) else None
    return "tool_use" if found == "end_turn" and has_tools else found
