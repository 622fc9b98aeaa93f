"""Lowers the output that a request asks for, in the JSON of each API."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.bodies.json.members import with_member
from shared.providers.calls import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_RESPONSES,
)

#: The members that bound the output, by API. The first one is written where a request has none of them.
_MEMBERS: Final[Mapping[str, Sequence[str]]] = {
    OPENAI_CHAT: ("max_tokens", "max_completion_tokens"),
    OPENAI_COMPLETIONS: ("max_tokens",),
    OPENAI_RESPONSES: ("max_output_tokens",),
    ANTHROPIC_MESSAGES: ("max_tokens",),
}
# The kinds of providers whose newest models know the second name of a chat only.
_NEW_NAMES: Final = frozenset({"openai", "azure"})
_LEAST: Final[Mapping[str, int]] = {OPENAI_RESPONSES: 16}
_LEAST_THOUGHT: Final = 1024


def least_output(api: str, document: Any) -> int | None:
    """The fewest tokens of output that a request can be lowered to; None: it cannot be lowered.

    >>> least_output("anthropic.messages", {"thinking": {"type": "enabled", "budget_tokens": 1024}})
    1025
    """
    if api not in _MEMBERS or not isinstance(document, dict):
        return None
    return max(_LEAST.get(api, 1), _thought(document) + 1)


def _thought(document: Mapping[str, Any]) -> int:
    """The tokens for reasoning. Anthropic rejects a request whose output has no room for them."""
    thinking = document.get("thinking")
    thought = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return thought if isinstance(thought, int) else 0


def with_most_output(body: bytes, document: Mapping[str, Any], most: int, *, api: str, kind: str) -> bytes:
    """The body of a request that asks for at most so many tokens of output, for that kind of provider.

    All other bytes stay as they were.

    >>> body = b'{"max_tokens": 500, "n": 1}'
    >>> with_most_output(body, {"max_tokens": 500}, 100, api="openai.chat", kind="openai")
    b'{"max_tokens": 100, "n": 1}'
    """
    names = _MEMBERS[api]
    found = [name for name in names if document.get(name) is not None]
    for name in found or names[-1 if kind in _NEW_NAMES else 0 :][:1]:
        asked = document.get(name)
        if not isinstance(asked, int) or asked > most:
            body = with_member(body, name, b"%d" % most)
    if api == ANTHROPIC_MESSAGES and _thought(document) >= most:
        # The client spoke another API, and asked for an effort.
        fits = b'{"type":"enabled","budget_tokens":%d}' % (most - 1)
        body = with_member(body, "thinking", fits if most > _LEAST_THOUGHT else b'{"type":"disabled"}')
    return body
