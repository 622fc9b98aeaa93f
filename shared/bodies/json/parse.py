"""Strict JSON: a document that every parser reads alike (RFC 8259 and RFC 7493, I-JSON).

A body that two parsers read differently passes the check of one and has another meaning for the other. So
these are errors: duplicate keys, lone surrogates, NaN, numbers without a bound, charsets other than UTF-8,
byte order marks.
"""

import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NoReturn

import orjson

from shared.bodies.json.top_names import ANY_NAMES, TopNames
from shared.bodies.slices import SLICE, slices
from shared.core.sizes import JSON_PARTS

#: The most levels of arrays and objects in a body.
MAX_DEPTH = 64
#: The most digits of an integer: the default bound of Python's int().
MAX_DIGITS = 4300
# The beginning of an array or object.
_OPENED = re.compile(r"[ \t\r\n]*[\[{]")
# One call of the C encoder writes at most so many members: meanwhile no other thread runs.
_LONG = 20_000
# The weight of each part of a document: a number, or true, false and null, a fifth of a string or an array.
_ARRAY, _QUOTE, _NUMBER = 10, 5, 2
_OPENINGS = {"[": 1, "{": 1}
_PARTS = {'"': _QUOTE, "[": _ARRAY, "{": _ARRAY, ",": _NUMBER}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LENIENT = json.JSONDecoder(parse_int=float)  # which takes any number of digits
# The longest body that is read by orjson first, which stops all other threads for less than 5 ms.
_SHORT = 1024 * 1024
_SPACE = b" \t\r\n"
# A sign is rare in a slice that has it at most once in so many of its first bytes.
_PROBE, _RARE = 1024, 100
_OTHER: Final = object()
_NESTED = (dict, list)
# From here on orjson makes floats of integers.
_ROUNDED: Final = 2.0**63
_TOO_DEEP = "The body nests arrays and objects deeper than {} levels."


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """The most levels of arrays and objects in a document, and its most parts (see `has_more_parts`)."""

    depth: int = MAX_DEPTH
    parts: int = JSON_PARTS


BOUNDS = JsonBounds()


def parse_json(body: bytes, bounds: JsonBounds = BOUNDS) -> Any:
    """Return the document. Raises ValueError, with a full sentence, unless it is strict JSON in `bounds`."""
    document = _plain_document(body, bounds)
    return _checked_document(body, bounds) if document is _OTHER else document


def _checked_document(body: bytes, bounds: JsonBounds) -> Any:
    """Return the document of a body that needs all checks."""
    try:
        text = body.decode("utf-8")
        if has_more_parts(text, bounds.parts):
            raise ValueError(
                f"The body has more than {bounds.parts} strings, names, arrays and objects; "
                "five numbers count as one."
            )
        document = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP.format(bounds.depth)) from None
    if _weight(text, _OPENINGS) > bounds.depth and _deeper_than(document, bounds.depth):
        raise ValueError(_TOO_DEEP.format(bounds.depth))
    if (rb"\ud" in body or rb"\uD" in body) and _SURROGATE.search(body):
        try:
            dump_json(document)
        except UnicodeEncodeError:
            raise ValueError("The body has an unpaired surrogate.") from None
    return document


def _plain_document(body: bytes, bounds: JsonBounds) -> Any:
    """Return the document of most bodies, in a third of the time; `_OTHER` for a body that needs more checks.

    Written again, it is the body apart from spaces. So it has no key twice, no number that would change and
    no escapes of surrogates.
    """
    size = len(body)
    if size >= SLICE:
        return _long_document(body, bounds) if size <= _SHORT else _OTHER
    openings = body.count(b"[") + body.count(b"{")
    if size > bounds.parts:  # a shorter one cannot weigh too much
        weight = openings * _ARRAY + body.count(b'"') * _QUOTE + body.count(b",") * _NUMBER
        if weight > bounds.parts * _ARRAY:
            return _OTHER
    try:
        document = orjson.loads(body)
        written = orjson.dumps(document)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # orjson writes 254 levels, and reads more
        return _OTHER
    if written != body and written.translate(None, _SPACE) != body.translate(None, _SPACE):
        return _OTHER
    return _OTHER if openings > bounds.depth and _deeper_than(document, bounds.depth) else document


def _long_document(body: bytes, bounds: JsonBounds) -> Any:
    """Return the same for a long body. To look at each value is faster than to write it and to remove spaces.

    It has as many strings as the body. So it has no key twice: of two, orjson keeps the last.
    """
    quotes = _count(body, b'"')
    openings = _count(body, b"[") + _count(body, b"{")
    if openings * _ARRAY + quotes * _QUOTE > bounds.parts * _ARRAY:  # it may take too long to be read
        return _OTHER
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _OTHER
    strings = _strings_in(document, bounds)
    if strings is None or (quotes > 2 * strings and quotes != 2 * strings + _escaped_quotes(body)):
        return _OTHER
    return document


def _strings_in(document: Any, bounds: JsonBounds) -> int | None:
    """Return the number of strings and names. None: it is not within `bounds`, or has a rounded number."""
    strings = weight = 0
    dicts: list[dict[str, Any]] = []
    lists: list[list[Any]] = [[document]]
    for _ in range(bounds.depth + 1):
        # Calls of C for all values of a level: there may be many.
        values = [*chain.from_iterable(map(dict.values, dicts)), *chain.from_iterable(lists)]
        kinds = list(map(type, values))
        strings += sum(map(len, dicts)) + kinds.count(str)
        weight += (len(values) - sum(map(bool, dicts)) - sum(map(bool, lists))) * _NUMBER
        if float in kinds and not all([-_ROUNDED < one < _ROUNDED for one in values if type(one) is float]):
            return None
        dicts = [one for one in values if type(one) is dict] if dict in kinds else []
        lists = [one for one in values if type(one) is list] if list in kinds else []
        weight += (len(dicts) + len(lists)) * _ARRAY
        if weight + strings * 2 * _QUOTE > bounds.parts * _ARRAY:
            return None
        if not dicts and not lists:
            return strings
    return None


def _escaped_quotes(body: bytes) -> int:
    """Return the number of quotes with a backslash that is not escaped itself, in JSON."""
    return body.replace(rb"\\", b"").count(rb"\"")


def _count(body: bytes, sign: bytes) -> int:
    """Return how often `sign` is in a body.

    Where it is rare, to remove it takes a fifth of the time that it takes to count it (measured).
    """
    return sum(
        [
            piece.count(sign)
            if piece.count(sign, 0, _PROBE) * _RARE > _PROBE
            else len(piece) - len(piece.replace(sign, b""))
            for piece in slices(body)
        ]
    )


def parse_body(body: bytes, bounds: JsonBounds = BOUNDS, names: TopNames = ANY_NAMES) -> Any:
    """Return the document of a body that another program reads, too, with names that `names` allows.

    Raises ValueError like `parse_json`.
    """
    document = _plain_document(body, bounds)
    if document is _OTHER:
        document = _checked_document(body, bounds)
    names.check(document)
    return document


def looks_like_json(body: bytes, bounds: JsonBounds = BOUNDS) -> bool:
    """True when a lenient parser would read `body` as JSON: in any UTF, also with a byte order mark.

    Many parsers read the first value and ignore what follows it. So a body that begins with an object, or
    with an array of more than numbers, counts as JSON, and so does one that has too many parts to be read.
    """
    try:
        text = body.decode(json.detect_encoding(body), "replace").removeprefix("\ufeff")
        opened = _OPENED.match(text)
        if opened is None:
            _LENIENT.decode(text)
        elif not has_more_parts(text, bounds.parts):
            first, end = _LENIENT.raw_decode(text, opened.end() - 1)
            # A text may begin with "[1]".
            return isinstance(first, dict) or _holds_more(first) or not text[end:].strip(" \t\r\n\0")
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _holds_more(values: list[Any]) -> bool:
    """True for an array with a string, an object or an array in it."""
    return any([isinstance(value, str | dict | list) for value in values])


def has_more_parts(text: str, most: int) -> bool:
    """True when JSON has more than `most` parts: strings, names, arrays and objects, and a fifth per number.

    The text is only counted, not parsed, so this is cheap. Characters in strings do not count. For another
    text than JSON the result means nothing.
    """
    most *= _ARRAY
    if len(text) * _ARRAY <= most or _weight(text, _PARTS) <= most:  # enough for most bodies
        return False
    quotes = outside = 0
    held = ""
    for piece in slices(text):
        piece = held + piece
        held = "\\" if (len(piece) - len(piece.rstrip("\\"))) % 2 else ""
        between = piece.removesuffix(held).replace("\\\\", "").replace('\\"', "").split('"')
        outside += _weight("".join(between[quotes % 2 :: 2]), _PARTS)
        quotes += len(between) - 1
        if outside + quotes * _QUOTE > most:
            return True
    return False


def _weight(text: str, signs: Mapping[str, int]) -> int:
    """Return how often each of `signs` is in a text, times its weight.

    To look for a sign takes a tenth of the time that it takes to count it, and long texts have few of them.
    """
    return sum(
        [
            piece.count(sign) * weight
            for piece in slices(text)
            for sign, weight in signs.items()
            if sign in piece
        ]
    )


def dump_json(document: Any) -> bytes:
    """Return the document as compact UTF-8. Takes every value that `parse_json` returns."""
    if not is_long(document):
        return _ENCODER.encode(document).encode()
    # The fast encoder would stop all other threads until it is done. This one is written in Python.
    written = io.StringIO()
    written.writelines(_ENCODER.iterencode(document))
    return written.getvalue().encode()


def is_long(document: Any) -> bool:
    """True when the document has too many members to be written or copied in one call."""
    pending, count = [document], 0
    while pending:
        node = pending.pop()
        if isinstance(node, dict | list):
            count += len(node)
            if count > _LONG:
                return True
            pending += children(node)
    return False


def children(node: dict[str, Any] | list[Any]) -> Iterable[Any]:
    """Return the values directly in an array or object."""
    return node.values() if isinstance(node, dict) else node


def _deeper_than(document: Any, max_depth: int) -> bool:
    level = [document] if type(document) in _NESTED else []
    for _ in range(max_depth):
        if not level:
            return False
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
    return bool(level)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("The body has an object with a duplicate key.")
    return found


def _integer(text: str) -> int:
    if len(text.removeprefix("-")) > MAX_DIGITS:
        raise ValueError(f"The body has an integer of more than {MAX_DIGITS} digits.")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("The body has a number that is too large.")
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError(f"The body has {text}, which is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
