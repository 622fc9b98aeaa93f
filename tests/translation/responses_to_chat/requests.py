"""Requests of OpenAI's responses, translated and checked by the SDK of OpenAI."""

from typing import Any, get_args

import pytest

from shared.translation.notes import Notes, Settings, Untranslatable
from shared.translation.responses_to_chat.request import request
from tests.translation import oracles

USER = {"role": "user", "content": "Hi"}
# A member that servers have beside OpenAI's.
OWN = "reasoning_content"


def translate(
    *items: Any, caps: Any = None, settings: Settings | None = None, **members: Any
) -> tuple[dict[str, Any], Notes]:
    """The request for chat, and the notes."""
    document = {"model": "gpt-6", "input": list(items) or "Hi", **members}
    made, notes = request(document, caps or {}, settings or Settings())
    known = [{name: each[name] for name in each if name != OWN} for each in made["messages"]]
    oracles.chat_request({**made, "messages": known})
    return made, notes


def translated(*items: Any, **given: Any) -> dict[str, Any]:
    """The request for chat, of which nothing was lost or changed."""
    made, notes = translate(*items, **given)
    assert (notes.dropped, notes.changed) == ([], [])
    return made


def pointer_of(*items: Any, **members: Any) -> str:
    """Where a request that is rejected is wrong."""
    with pytest.raises(Untranslatable) as caught:
        translate(*items, **members)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer


def literals(hint: Any) -> set[str]:
    """The texts that a member may have."""
    return {hint} if isinstance(hint, str) else {one for each in get_args(hint) for one in literals(each)}
