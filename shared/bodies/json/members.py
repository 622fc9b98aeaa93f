"""Changes of one member at the top of a JSON object, with all other bytes as they were.

Providers choose what is in their responses. So a member is found by one match of a regular expression, whose
time grows linearly with the length of the body: a loop over its parts takes a hundred times as long.
"""

import json
import re
from functools import cache
from typing import Final, NamedTuple

from shared.bodies.json.parse import MAX_DEPTH

_SPACE = b" \t\r\n"
_GAP: Final = rb"[ \t\r\n]*+"
_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_SCALAR: Final = rb'[^"{}\[\],: \t\r\n]++'
_FLAT: Final = rb'[^"{}\[\]]++|' + _STRING
_SHORT_ESCAPES: Final = dict(zip('"\\/\b\f\n\r\t', '"\\/bfnrt', strict=True))


def _nested(depth: int) -> bytes:
    """A pattern of arrays and objects with at most so many levels."""
    inner = rb"(?:%s)*+" % _FLAT
    for _ in range(depth - 1):
        inner = rb"(?:%s|[\[{]%s[\]}])*+" % (_FLAT, inner)
    return rb"[\[{]%s[\]}]" % inner


_NESTED: Final = _nested(MAX_DEPTH)
_VALUE: Final = rb"(?:%s|%s|%s)" % (_STRING, _NESTED, _SCALAR)
_OBJECT: Final = re.compile(rb"%s(?=\{)%s%s" % (_GAP, _NESTED, _GAP), re.DOTALL)


class Span(NamedTuple):
    """The bytes of a value: from `start` to before `end`."""

    start: int
    end: int


def is_object(body: bytes) -> bool:
    """Whether the body is one object, with nothing behind it. Its values are not checked.

    >>> is_object(b' {"a": [1]} '), is_object(b'{"a": 1}\\n{"a": 2}'), is_object(b"[1]")
    (True, False, False)
    """
    return _OBJECT.fullmatch(body) is not None


def member_span(body: bytes, name: str) -> Span | None:
    """The value of the member `name` at the top of an object; None when it has none.

    `body` must be JSON, which is not checked here. In one that is deeper than `MAX_DEPTH` nothing is found.

    >>> member_span(b'{"a": {"model": 1}, "model": "x"}', "model")
    Span(start=29, end=32)
    """
    found = _member(name).match(body)
    return None if found is None else Span(*found.span(1))


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


@cache
def _member(name: str) -> re.Pattern[bytes]:
    """Matches an object from its beginning to the value of its first member with that name."""
    key = b'"%s"%s:' % (b"".join(map(_spellings, name)), _GAP)
    other = b"(?!%s)%s%s:%s%s%s," % (key, _STRING, _GAP, _GAP, _VALUE, _GAP)
    return re.compile(rb"%s\{%s(?:%s%s)*+%s%s(%s)" % (_GAP, _GAP, other, _GAP, key, _GAP, _VALUE), re.DOTALL)


def _spellings(character: str) -> bytes:
    """A pattern of the ways in which a string in JSON may have the character."""
    units = character.encode("utf-16-be")
    codes = b"".join(
        [rb"\\u(?i:%04x)" % int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    )
    found = [codes]
    if character not in '"\\' and character >= " ":
        found.append(re.escape(character.encode()))
    if character in _SHORT_ESCAPES:
        found.append(re.escape(f"\\{_SHORT_ESCAPES[character]}".encode()))
    return b"(?:%s)" % b"|".join(found)
