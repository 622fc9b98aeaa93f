"""Messages of OpenAI's chat, and the blocks that they become."""

from typing import Any

import pytest

from shared.translation.notes import Untranslatable
from tests.translation.chat_to_messages.requests import translate, translated

PNG = "data:image/png;base64,iVBORw0="
ANSWER = {"role": "assistant", "content": "Hello"}


def call(number: int, arguments: Any = "{}", **members: Any) -> dict[str, Any]:
    function = {"name": f"tool_{number}", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function, **members}


def calls(*made: Any, **members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(made), **members}


def result(number: int, content: Any = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def blocks(*parts: Any) -> list[Any]:
    """The blocks of one message of the user."""
    return translated(user(*parts))["messages"][0]["content"]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def pointer_of(*messages: Any, caps: Any = None) -> str:
    with pytest.raises(Untranslatable) as caught:
        translate(*messages, caps=caps)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer
