"""Requests of OpenAI's chat, translated for OpenAI's responses and checked by its SDK."""

from typing import Any

import pytest

from shared.translation.chat_to_responses.request import request
from shared.translation.notes import Notes, Settings, Untranslatable
from tests.translation import oracles

USER = {"role": "user", "content": "Hi"}
ITEM = {"type": "message", **USER}


def translate(
    *messages: Any, caps: Any = None, settings: Settings | None = None, **members: Any
) -> tuple[dict[str, Any], Notes]:
    """The request for responses, and the notes."""
    document = {"model": "gpt-6", "messages": list(messages) or [USER], **members}
    made, notes = request(document, caps or {}, settings or Settings())
    oracles.responses_request(made)
    return made, notes


def translated(*messages: Any, **given: Any) -> dict[str, Any]:
    """The request for responses, of which nothing was lost or changed."""
    made, notes = translate(*messages, **given)
    assert (notes.dropped, notes.changed) == ([], [])
    return made


def pointer_of(*messages: Any, **members: Any) -> str:
    """Where a request that is rejected is wrong."""
    with pytest.raises(Untranslatable) as caught:
        translate(*messages, **members)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer
