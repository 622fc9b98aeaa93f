"""Why a response ended: `finish_reason` of OpenAI's chat, and what other APIs say instead.

Anthropic's messages have a `stop_reason`. OpenAI's responses have a `status`, and details if incomplete.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

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
#: The reason for an incomplete response by that of chat; None: it is complete.
INCOMPLETE_REASONS: Final[Mapping[str, str | None]] = {
    "stop": None,
    "tool_calls": None,
    "function_call": None,
    "length": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
}
_OF_INCOMPLETE: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}


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


class ResponseEnd(NamedTuple):
    """How a response of OpenAI's responses ended: its status, and its reason if it is incomplete."""

    status: str
    reason: str | None

    @property
    def details(self) -> dict[str, Any] | None:
        """The member `incomplete_details`."""
        return None if self.reason is None else {"reason": self.reason}


def response_end(finish: Any) -> ResponseEnd | None:
    """The end of a response by the reason of chat; None: the response failed, or `finish` is unknown.

    >>> response_end("tool_calls"), response_end("error")
    (ResponseEnd(status='completed', reason=None), None)
    """
    if not isinstance(finish, str) or finish not in INCOMPLETE_REASONS:
        return None
    reason = INCOMPLETE_REASONS[finish]
    return ResponseEnd("completed" if reason is None else "incomplete", reason)


def finish_of_status(status: Any, details: Any, *, has_tools: bool) -> tuple[str | None, bool]:
    """The reason of chat by a status, and whether `details` are known. None: the response did not end well.

    >>> finish_of_status("incomplete", {"reason": "max_output_tokens"}, has_tools=False)
    ('length', True)
    """
    if status == "completed":
        return ("tool_calls" if has_tools else "stop", True)
    if status != "incomplete":
        return (None, True)
    reason = details.get("reason") if isinstance(details, dict) else None
    found = _OF_INCOMPLETE.get(reason) if isinstance(reason, str) else None
    return (found or "stop", found is not None)
