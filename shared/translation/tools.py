"""Calls of tools: their ids, names and arguments in the APIs of OpenAI and of Anthropic.

OpenAI has the arguments as a text with JSON, which a model may write wrongly; Anthropic has an object.
"""

import hashlib
import json
import re
from typing import Any, Final

from shared.bodies.json.parse import parse_json
from shared.translation.notes import Document

#: A name of a tool that both take.
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# The characters that Anthropic rejects in the id of a call.
_NO_ID: Final = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST: Final = 64
_HEX: Final = 8


def arguments_of(value: Any) -> str:
    """The arguments of a call, for OpenAI.

    >>> arguments_of({"city": "Rome"})
    '{"city":"Rome"}'
    """
    if not isinstance(value, dict):
        return "{}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def input_of(arguments: Any) -> Document | None:
    """The input of a call, for Anthropic; None: the arguments are not an object. Empty ones are.

    >>> input_of(""), input_of('{"city": "Rome"}'), input_of('{"city": ')
    ({}, {'city': 'Rome'}, None)
    """
    if not isinstance(arguments, str):
        return arguments if isinstance(arguments, dict) else {} if arguments is None else None
    if not arguments.strip():
        return {}
    try:
        value = parse_json(arguments.encode())
    except ValueError:  # also half a letter
        return None
    return value if isinstance(value, dict) else None


def short_name(name: str) -> str:
    """A name that is not too long for OpenAI. Two long ones with the same beginning stay different."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - _HEX - 1]}_{_digest(name)}"


def call_id(given: str) -> str:
    """The id of a call for Anthropic: as it is, if that takes it.

    >>> call_id("call_1"), call_id("functions.weather:0")
    ('call_1', 'functions_weather_0_c8cf4471')
    """
    written = _NO_ID.sub("_", given)
    return given if written == given else f"{written}_{_digest(given)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_HEX]


class ToolIds:
    """The ids of the calls in one response. Each is another one, and is as its model gave it if it can be.

    >>> ids = ToolIds("abcdefghijklmnopqrstuvwxyz")
    >>> ids.make("call_1"), ids.make("call_1"), ids.make(None)
    ('call_1', 'call_1_2', 'toolu_abcdefghijklmnopqrstuvwx')
    """

    __slots__ = ("_given", "_made")

    def __init__(self, token: str, prefix: str = "toolu_") -> None:
        self._made = f"{prefix}{token[:24]}"
        # The number of the last call with each id.
        self._given: dict[str, int] = {}

    def make(self, given: Any) -> str:
        """The id of the next call, which has that one or none."""
        first = given if isinstance(given, str) and given else self._made
        unique, number = first, self._given.get(first, 1)
        while unique in self._given:
            number += 1
            unique = f"{first}_{number}"
        self._given[first], self._given[unique] = number, 1
        return unique


def chat_id(given: Any, token: str) -> str:
    """The id of a response of chat, by that of messages."""
    return f"chatcmpl-{given if isinstance(given, str) and given else token}"


def messages_id(given: Any, token: str) -> str:
    """The id of a response of messages, by that of chat.

    >>> messages_id("chatcmpl-abc", ""), messages_id("chatcmpl-msg_abc", "")
    ('msg_abc', 'msg_abc')
    """
    rest = given.removeprefix("chatcmpl-") if isinstance(given, str) else ""
    return rest if rest.startswith("msg_") else f"msg_{rest or token}"


def responses_id(given: Any, token: str) -> str:
    """The id of a response of OpenAI's responses, by that of chat.

    >>> responses_id("chatcmpl-abc", ""), responses_id("chatcmpl-resp_abc", "")
    ('resp_abc', 'resp_abc')
    """
    rest = given.removeprefix("chatcmpl-") if isinstance(given, str) else ""
    return rest if rest.startswith("resp_") else f"resp_{rest or token}"
