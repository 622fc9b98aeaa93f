"""The texts of a document that a language model reads or writes.

In the bodies of the known APIs, the members that are text are those of `shared.providers.apis.text_fields`.
In any other document, and in schemas, all strings are text, the names of members too.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, final

from shared.bodies.json.strings import unescape
from shared.bodies.text.maskable_text import MaskableText, Part
from shared.providers.apis import text_fields
from shared.providers.apis.events import thought_of
from shared.providers.apis.text_fields import (
    ALTERNATIVES,
    GIVEN_NAMES,
    JSON_MEMBERS,
    LABELS,
    PLACES,
    SPECIAL_NAMES,
    Holder,
)


@final
class Text(NamedTuple):
    """A text of a document: its pieces, each with its part (None for one that cannot be masked).

    `is_json` is True for JSON in a string. Its reader removes the escapes.
    """

    pieces: Sequence[tuple[str, Part | None]]
    is_json: bool = False

    @classmethod
    def at(cls, holder: Any, key: Any, *, is_json: bool = False) -> "Text":
        return cls(((holder[key], Part(holder, key)),), is_json)

    @classmethod
    def fixed(cls, text: str) -> "Text":
        return cls(((text, None),))

    def read(self) -> str:
        """Return the text that its reader sees."""
        written = self.pieces[0][0] if len(self.pieces) == 1 else "".join([text for text, _ in self.pieces])
        return unescape(written) if self.is_json else written

    @property
    def escapes(self) -> int:
        """The number of backslashes that its reader removes."""
        return sum(text.count("\\") for text, _ in self.pieces) if self.is_json else 0

    def maskable(self) -> MaskableText:
        """Return the text with the places of its characters."""
        whole = MaskableText(is_json=self.is_json, can_mask=True)
        for text, part in self.pieces:
            whole.add(text, part)
        whole.end()
        return whole

    def write(self) -> bool:
        """Write the masks into the document. False when there are none."""
        return any([part.write() for _, part in self.pieces if part is not None])


def texts_of(document: Any) -> Iterator[str]:
    """Yield each text of a document. The parts of one message are one more text, joined."""
    if text_fields.is_messages(document):
        return iter(texts_of_messages(document))
    return (text.read() for text in all_texts([document]))


def texts_of_messages(document: Any) -> list[str]:
    """Return the texts of a document that `is_messages`."""
    found: list[_Member | Text] = []
    _find(document, text_fields.holder_of(document), found)
    return [
        one.read() if type(one) is Text else unescape(one[0][one[1]]) if one[2] else one[0][one[1]]
        for one in found
    ]


def text_places(holder: list[Any]) -> Iterator[Text]:
    """Yield each text, with its place, of the document that is the only item of `holder`."""
    document = holder[0]
    if text_fields.is_messages(document):
        return message_texts(document, text_fields.holder_of(document))
    return all_texts(holder)


def all_texts(node: Any) -> Iterator[Text]:
    """Yield all strings in an array or object, the names of members too."""
    if isinstance(node, dict):
        yield from map(Text.fixed, node)
    for key, child in members(node):
        if isinstance(child, str):
            yield Text.at(node, key)
        else:
            yield from all_texts(child)


def fixed_texts(node: Any) -> Iterator[Text]:
    """Yield the texts that cannot be masked: names of members, and values that are not strings."""
    if isinstance(node, dict):
        yield from map(Text.fixed, node)
    elif not isinstance(node, list | str):
        yield Text.fixed(json.dumps(node))
    for _, child in members(node):
        yield from fixed_texts(child)


def drop_tokens(node: Any) -> None:
    """Remove the tokens of texts, and their probabilities. They repeat the masked text."""
    if isinstance(node, dict):
        for name, value in node.items():
            if value is not None and text_fields.repeats_text(name, value):
                node[name] = None
    for _, child in members(node):
        drop_tokens(child)


def message_texts(node: Any, holder: Holder) -> Iterator[Text]:
    """Yield the texts in an array or object of a known body."""
    found: list[_Member | Text] = []
    _find(node, holder, found)
    return (one if isinstance(one, Text) else Text.at(one[0], one[1], is_json=one[2]) for one in found)


# A string in a document: the array or object, the index or name, and whether it is JSON.
_Member = tuple[Any, Any, bool]


def _find(node: Any, holder: Holder, found: list[_Member | Text]) -> None:
    """Add the texts in an array or object of a known body. Parsed JSON has no subclasses of its types."""
    if type(node) is dict:
        _find_in_object(node, holder, found)
    elif type(node) is list:
        _find_in_list(node, holder, found)


def _find_in_object(node: dict[str, Any], holder: Holder, found: list[_Member | Text]) -> None:
    for name, child in node.items():
        kind = type(child)
        if name in SPECIAL_NAMES:
            labels = LABELS.get((holder, name)) if kind is str else None
            if not _may_be_text(holder, node, name, found) if labels is None else labels[child]:
                continue
        if kind is str:
            found.append((node, name, name in JSON_MEMBERS))
        elif kind is dict or kind is list:
            if name in GIVEN_NAMES and text_fields.is_given(holder, name, child):
                found += given_texts(name, child)
                continue
            inner = name if holder is not None and name in PLACES else None
            if kind is dict:
                _find_in_object(child, inner, found)
                continue
            if name not in ALTERNATIVES:
                found += _joined(child)
            _find_in_list(child, inner, found)


def _find_in_list(node: list[Any], holder: Holder, found: list[_Member | Text]) -> None:
    for key, child in enumerate(node):
        kind = type(child)
        if kind is str:
            found.append((node, key, False))
        elif kind is dict:
            _find_in_object(child, holder, found)
        elif kind is list:
            found += _joined(child)
            _find_in_list(child, holder, found)


def _may_be_text(holder: Holder, node: dict[str, Any], name: str, found: list[_Member | Text]) -> bool:
    if name in text_fields.MEDIA_NAMES:
        found += hidden_texts(holder, node, name)
    return text_fields.is_text_member(holder, node, name)


def hidden_texts(holder: Holder, node: dict[str, Any], name: str) -> Iterator[Text]:
    """Yield the texts that a member encodes, as they are and without escapes. They cannot be masked."""
    for text in text_fields.hidden_texts(holder, node, name):
        yield Text.fixed(text)
        if "\\u" in text:
            yield Text.fixed(unescape(text))


def given_texts(name: str, value: Any) -> Iterator[Text]:
    """Yield the texts of a member whose content the API does not define."""
    if name == text_fields.TOOL_INPUT:
        # The input of a tool. In a stream it is JSON in strings, so it is searched as JSON here too.
        yield Text(list(_as_json(value)))
    else:
        yield from all_texts(value)


def members(node: Any) -> Iterable[tuple[Any, Any]]:
    """Return the keys and values of an array or object; nothing for other values."""
    if isinstance(node, dict):
        return node.items()
    return enumerate(node) if isinstance(node, list) else ()


def _joined(parts: list[Any]) -> Iterable[Text]:
    """Return the parts of one message as one text, as the model sees them: a word may go over two parts."""
    if len(parts) < 2:
        return ()
    name = text_fields.TEXT
    texts = [part for part in parts if type(part) is dict and name in part and type(part[name]) is str]
    return _texts_by_thought(texts) if texts[1:] else ()


def _texts_by_thought(texts: list[Any]) -> Iterator[Text]:
    for thought in {thought_of(part): None for part in texts}:
        same = [part for part in texts if thought_of(part) == thought]
        if len(same) > 1:
            yield Text([(part[text_fields.TEXT], Part(part, text_fields.TEXT)) for part in same])


def _as_json(node: Any) -> Iterator[tuple[str, Part | None]]:
    """Yield the pieces of the document as JSON without escapes, with the spaces of `json.dumps`."""
    if not isinstance(node, dict | list):
        yield json.dumps(node), None
        return
    opens, closes = "{}" if isinstance(node, dict) else "[]"
    before = opens
    for key, child in members(node):
        name = f'"{key}": ' if isinstance(node, dict) else ""
        if isinstance(child, str):
            yield f'{before}{name}"', None
            yield child, Part(node, key)
            before = '", '
        else:
            yield f"{before}{name}", None
            yield from _as_json(child)
            before = ", "
    yield (before.removesuffix(", ") if node else opens) + closes, None
