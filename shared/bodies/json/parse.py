"""JSON that can be read in one way only (RFC 8259 and RFC 7493, I-JSON).

What one parser reads as this and another as that is how checks are passed by: duplicate keys, lone
surrogates, NaN, numbers without bound, other charsets, byte order marks. All are refused.
"""

import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from shared.bodies.json.size import has_more_parts
from shared.core.sizes import JSON_PARTS

#: Levels of arrays and objects that a body may have at most.
MAX_DEPTH = 64
#: Digits of an integer: the bound of Python's own int(), on whatever Python this runs.
MAX_DIGITS = 4300
_OPENED = re.compile(r"[ \t\r\n]*[\[{]")
# Members of a document that are written in one call.
_LONG = 20_000
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """How many levels of arrays and objects a document may have, and parts as `has_more_parts` has it."""

    depth: int = MAX_DEPTH
    parts: int = JSON_PARTS


BOUNDS = JsonBounds()


def parse_json(body: bytes, bounds: JsonBounds = BOUNDS) -> Any:
    """The document. Raises ValueError, with a full sentence, on anything but strict JSON within `bounds`."""
    try:
        text = body.decode("utf-8")
        if has_more_parts(text, bounds.parts):
            raise ValueError(_too_much(bounds.parts))
        document = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise ValueError(_too_deep(bounds.depth)) from None
    if body.count(b"[") + body.count(b"{") > bounds.depth and _deeper_than(document, bounds.depth):
        raise ValueError(_too_deep(bounds.depth))
    if _SURROGATE.search(body):
        _refuse_lone_surrogates(document)
    return document


def parse_body(body: bytes, bounds: JsonBounds = BOUNDS) -> Any:
    """The same of a body that others read, too: names that differ in case alone are one name to some of them.

    Go's encoding/json takes the last of "model" and "Model". Only the names of the document itself are looked
    at: a schema deeper in it may well have both.
    """
    document = parse_json(body, bounds)
    if isinstance(document, dict) and len({name.casefold() for name in document}) < len(document):
        raise ValueError("The body has two keys at its top level that differ in case alone.")
    return document


def looks_like_json(body: bytes, bounds: JsonBounds = BOUNDS) -> bool:
    """True when a lenient parser would read `body` as JSON: in any UTF, with a byte order mark too.

    What begins like JSON and has too many parts to be read is taken for it.
    """
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass").removeprefix("\ufeff")
        if _OPENED.match(text) and has_more_parts(text, bounds.parts):
            return True
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def dump_json(document: Any) -> bytes:
    """The document as compact UTF-8. Takes every value that `parse_json` gives."""
    if not is_long(document):
        return _ENCODER.encode(document).encode()
    # One call of the fast encoder would keep all other threads waiting; this one is written in Python.
    written = io.StringIO()
    written.writelines(_ENCODER.iterencode(document))
    return written.getvalue().encode()


def is_long(document: Any) -> bool:
    """Whether it has so many members that no single call should write or copy all of it."""
    waiting, count = [document], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            count += len(node)
            if count > _LONG:
                return True
            waiting += children(node)
    return False


def children(node: Any) -> Iterator[Any]:
    """What stands directly in an array or object; nothing for other values."""
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _deeper_than(document: Any, max_depth: int) -> bool:
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(max_depth):
        level = [child for node in level for child in children(node) if isinstance(child, dict | list)]
    return bool(level)


def _too_deep(max_depth: int) -> str:
    return f"The body nests arrays and objects deeper than {max_depth} levels."


def _too_much(most: int) -> str:
    return f"The body has more than {most} texts, names, arrays and objects; five numbers count as one."


def _refuse_lone_surrogates(document: Any) -> None:
    try:
        dump_json(document)
    except UnicodeEncodeError:
        raise ValueError("The body holds half of a surrogate pair.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("The body has an object with a duplicate key.")
    return found


def _integer(text: str) -> int:
    if len(text.removeprefix("-")) > MAX_DIGITS:
        raise ValueError(f"The body holds an integer of more than {MAX_DIGITS} digits.")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("The body holds a number that is too large.")
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError(f"The body holds {text}, which is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
