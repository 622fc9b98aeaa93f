"""The texts of requests, their tokens, and the reply of the demo upstream."""

from collections.abc import Iterable
from typing import Any


def last_prompt(turns: Any) -> str:
    """The last message of the user, whose content may be text or a list of parts; "" without one."""
    if isinstance(turns, str):
        return turns
    users = [turn for turn in _objects(turns) if turn.get("role") == "user"]
    return content_text(users[-1].get("content")) if users else ""


def conversation(turns: Any) -> list[str]:
    """The text of each message. `turns` is a list of messages, or one text."""
    return (
        [turns] if isinstance(turns, str) else [content_text(turn.get("content")) for turn in _objects(turns)]
    )


def content_text(content: Any) -> str:
    """The text of a content: text itself, or a list of parts of which some have text."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in _objects(content) if isinstance(part.get("text"), str))


def prompts(given: Any) -> list[str]:
    """The texts of an input: a text, a list of token ids, or a list of either. Token ids become words."""
    is_list = isinstance(given, list) and any(not isinstance(one, int) for one in given)
    return [_prompt(one) for one in (given if is_list else [given])]


def _prompt(given: Any) -> str:
    return " ".join(str(token) for token in given) if isinstance(given, list) else str(given)


def _objects(given: Any) -> list[dict[str, Any]]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def tokens(text: str) -> list[str]:
    """The text as tokens: words, each with the space that follows."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


def count_tokens(texts: Iterable[str]) -> int:
    """The number of tokens of all texts."""
    return sum(len(tokens(text)) for text in texts)


class Reply:
    """The response of the demo upstream to a prompt.

    Attributes:
        tokens: at most as many as the first of `limits` that is a positive number.
        is_cut: whether there would be more.
    """

    def __init__(self, prompt: str, *limits: Any) -> None:
        said = tokens(f"You said: {prompt}")
        self.tokens = said[: next((one for one in limits if isinstance(one, int) and one > 0), None)]
        self.is_cut = len(self.tokens) < len(said)
        self.text = "".join(self.tokens)
        self.count = len(self.tokens)
