"""Requests of Anthropic's messages, translated and checked by the SDK of OpenAI."""

from typing import Any

from shared.translation.messages_to_chat.request import request
from shared.translation.notes import Notes, Settings
from tests.translation import oracles

USER = {"role": "user", "content": "Hi"}
# A member that servers have beside OpenAI's.
OWN = ("top_k",)


def translate(
    *messages: Any, caps: Any = None, settings: Settings | None = None, **members: Any
) -> tuple[dict[str, Any], Notes]:
    """The request for OpenAI, and the notes."""
    document = {"model": "gpt-6", "max_tokens": 100, "messages": list(messages) or [USER], **members}
    made, notes = request(document, caps or {}, settings or Settings())
    oracles.chat_request({name: value for name, value in made.items() if name not in OWN})
    return made, notes


def translated(*messages: Any, **given: Any) -> dict[str, Any]:
    """The request for OpenAI, of which nothing was lost or changed."""
    made, notes = translate(*messages, **given)
    assert (notes.dropped, notes.changed) == ([], [])
    return made
