"""Requests of OpenAI's chat, translated and checked by the SDK of Anthropic."""

from typing import Any

from shared.translation.chat_to_messages.request import request
from shared.translation.notes import Notes, Settings
from tests.translation import oracles

USER = {"role": "user", "content": "Hi"}


def translate(
    *messages: Any, caps: Any = None, settings: Settings | None = None, **members: Any
) -> tuple[dict[str, Any], Notes]:
    """The request for Anthropic, and the notes."""
    document = {"model": "claude-sonnet-5", "messages": list(messages) or [USER], **members}
    made, notes = request(document, caps or {}, settings or Settings())
    oracles.messages_request(made)
    return made, notes


def translated(*messages: Any, **given: Any) -> dict[str, Any]:
    """The request for Anthropic, of which nothing was lost or changed."""
    made, notes = translate(*messages, **given)
    assert (notes.dropped, notes.changed) == ([], [])
    return made
