"""The text of a whole stream: events, or lines of JSON, put together again.

A model's answer comes in pieces of a few letters. Pieces that belong together (same choice, same
field) are joined, so that a stream gets the verdict that the same answer gets in one piece.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from shared.bodies.message_text import texts_of
from shared.bodies.strict_json import children, parse_json

_LINE_END = re.compile(r"\r\n|\r|\n")
# Where a piece belongs: the choice, and the part or the block of its message.
_PLACES = ("index", "output_index", "content_index", "summary_index")


def event_data(text: str) -> Iterator[str]:
    """The data of each server-sent event (WHATWG HTML, 9.2.6), of one that is cut off as well."""
    data: list[str] = []
    for line in (*_LINE_END.split(text.removeprefix("\ufeff")), ""):
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


def stream_texts(items: Iterable[str]) -> Iterator[str]:
    """The texts of a stream's items: those of each item, and those that go over several joined.

    Raises ValueError when an item that looks like an object is not strict JSON.
    """
    joined: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for item in items:
        if not item.lstrip().startswith(("{", "[{")):
            yield item
            continue
        document = parse_json(item.encode())
        yield from texts_of(document)
        for place, piece in _pieces(document, ()):
            joined[place].append(piece)
    yield from ("".join(pieces) for pieces in joined.values() if len(pieces) > 1)


def _pieces(node: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string with its place: names of members, and the numbers of choices and parts."""
    if isinstance(node, dict):
        place += tuple(f"{name}={node[name]}" for name in _PLACES if isinstance(node.get(name), int))
        for name, child in node.items():
            yield from _pieces(child, (*place, name))
    elif isinstance(node, list):
        for child in children(node):
            yield from _pieces(child, place)
    elif isinstance(node, str):
        yield place, node
