"""Changes of one member at the top of a JSON object, with all other bytes as they were."""

import json
import re
from typing import NamedTuple

# Strings, and what begins and ends objects, arrays, members. All between is numbers, words and spaces.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}\[\],:]', re.DOTALL)
_SPACE = b" \t\r\n"


class Span(NamedTuple):
    """The bytes of a value: from `start` to before `end`."""

    start: int
    end: int


def member_span(body: bytes, name: str) -> Span | None:
    """The value of the member `name` at the top of an object; None when it has none.

    `body` must be JSON, which is not checked here.

    >>> member_span(b'{"a": {"model": 1}, "model": "x"}', "model")
    Span(start=29, end=32)
    """
    depth, key, start = 0, b"", -1
    for found in _TOKEN.finditer(body):
        token = found[0]
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]", b",") and depth == 1:
            if start >= 0:
                return _trimmed(body, start, found.start())
        elif token == b":" and depth == 1 and _is_name(key, name):
            start = found.end()
        if token in (b"}", b"]"):
            depth -= 1
        if depth == 1 and token.startswith(b'"') and start < 0:
            key = token
    return None


def with_member(body: bytes, name: str, value: bytes) -> bytes:
    """The object with another value, in JSON, for a member at its top. A new member comes first.

    >>> with_member(b'{"model": "a", "n":1}', "model", b'"b"'), with_member(b'{ }', "model", b'"b"')
    (b'{"model": "b", "n":1}', b'{"model":"b" }')
    """
    if (span := member_span(body, name)) is not None:
        return body[: span.start] + value + body[span.end :]
    first = body.index(b"{") + 1
    rest = body[first:]
    comma = b"" if rest.lstrip(_SPACE).startswith(b"}") else b","
    return body[:first] + json.dumps(name).encode() + b":" + value + comma + rest


def _is_name(key: bytes, name: str) -> bool:
    return key[1:-1] == name.encode() or (b"\\" in key and json.loads(key) == name)


def _trimmed(body: bytes, start: int, end: int) -> Span:
    value = body[start:end]
    return Span(end - len(value.lstrip(_SPACE)), start + len(value.rstrip(_SPACE)))
