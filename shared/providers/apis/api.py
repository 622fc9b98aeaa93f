"""The form in which the APIs are described to guards: which members are text, and which are not.

A member is written as its path from the top of a body, such as
``request.messages[].content[].image_url.url``:

| part | meaning |
|---|---|
| `request`, `response`, `event` | the kind of body: the first step of each path |
| `content[]` | each object of that list |
| `(input[]\\|output[])` | one or the other |
| `source{base64\\|url}` | only an object whose ``type`` is one of these |
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

#: Unseen in APIs with files.
FILES = "The content of files, pictures and URLs that a body names or encodes, except encoded text."
_STEP = re.compile(r"(\w+)(\[\])?(?:\{([^}]*)\})?")
_CHOICE = re.compile(r"\(([^)]*)\)")
_DOT = re.compile(r"\.(?![^{]*\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The members of one API, for guards. A member that no list names is text.

    Attributes:
        name: its name, such as openai.chat.
        calls: the ends of the paths of its calls.
        texts: the usual texts.
        roles: members that hold one of the fixed roles.
        labels: members that hold a name, an id or a setting.
        media: members that hold a picture, sound or a file, as a URL or encoded.
        opaque: members in base64 that no model reads: signatures, vectors, padding; and ids of files.
        free: members with an object whose content the API does not define: its names are text, too.
        json: texts that are JSON in a string: their readers remove its escapes.
        numbers: members with the number of an alternative or a part. Items of a list have 0 without one.
        tokens: members that repeat a text in tokens, as probabilities or ids.
        ids: members that may hold token ids or vectors instead of text: such a request is rejected.
        unseen: what guards cannot see, one sentence each.
    """

    name: str
    calls: tuple[str, ...]
    texts: tuple[str, ...]
    roles: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    json: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class Step(NamedTuple):
    """A step of a path: the name of a member, whether it is a list, and the allowed values of ``type``."""

    name: str
    is_list: bool
    types: frozenset[str] | None


def steps_of(path: str) -> Iterator[list[Step]]:
    """Yield the steps of each path that a written one stands for. The first step is the kind of body."""
    pieces = _CHOICE.split(path)
    choices = [piece.split("|") if number % 2 else [piece] for number, piece in enumerate(pieces)]
    for chosen in itertools.product(*choices):
        yield [_step(text) for text in _DOT.split("".join(chosen))]


def _step(text: str) -> Step:
    found = _STEP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a step of a path.")
    name, is_list, types = found.groups()
    return Step(name, is_list is not None, frozenset(types.split("|")) if types else None)
